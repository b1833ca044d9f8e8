"""What the metrics ask of a generative model, whatever library it comes from."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from torchdisentangle.models.prior import Prior


class Posterior(NamedTuple):
    r"""Diagonal Gaussian :math:`q(z \mid x)`, or a single point if there is no variance.

    Args:
        mean: ``(N, d)``.
        log_variance: ``(N, d)``; ``None`` for a deterministic encoder, such as a flow.

    Example:
        >>> import torch
        >>> Posterior(torch.zeros(1, 2), torch.zeros(1, 2)).sample(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    mean: Tensor
    log_variance: Tensor | None = None

    def sample(self, noise: Tensor) -> Tensor:
        """The latents that standard normal ``noise`` ``(N, d)`` gives; the mean if there is no variance."""
        return self.mean if self.log_variance is None else self.mean + (0.5 * self.log_variance).exp() * noise


class LatentModel:
    """A generative model as the metrics see it. Subclass it and define what the model can do.

    Methods left undefined are abilities that the model lacks; :meth:`require` says so in one sentence. Latents are
    always flat, ``(N, latent_dim)``; data have any shape.

    Args:
        module: the model itself.
        latent_dim: number of latents ``d``.
        num_classes: for a class-conditional model; its methods then get ``labels`` ``(N,)``.

    Example:
        >>> class Doubling(LatentModel):
        ...     def decode(self, z, labels=None):
        ...         return 2 * z
        >>> model = Doubling(nn.Identity(), latent_dim=3)
        >>> model.supports("decode"), model.supports("encode")
        (True, False)
    """

    ABILITIES: ClassVar[dict[str, str]] = {
        "decode": "decode latents",
        "encode": "encode data",
        "log_det": "give the log-determinant of its decoder",
    }

    def __init__(self, module: nn.Module, latent_dim: int, num_classes: int | None = None) -> None:
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be positive, got {latent_dim}")
        self.module, self.latent_dim, self.num_classes = module, int(latent_dim), num_classes

    @property
    def prior(self) -> Prior:
        """Distribution of the latents; a standard normal unless defined otherwise."""
        return Prior.standard_normal(self.latent_dim)

    @property
    def ready(self) -> bool:
        """Whether the model can be evaluated already; ``False`` before layers that initialise on data have seen any."""
        return True

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """Posterior of the latents, given data ``(N, *data_shape)``."""
        raise NotImplementedError

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Data ``(N, *data_shape)`` of latents ``(N, d)``."""
        raise NotImplementedError

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        r"""Log-determinant :math:`\log |\det \partial g / \partial z|` of the decoder at latents, ``(N,)`` in nats."""
        raise NotImplementedError

    def supports(self, ability: str) -> bool:
        """Whether the model can do it.

        Args:
            ability: ``"decode"``, ``"encode"`` or ``"log_det"``.
        """
        return getattr(type(self), ability) is not getattr(LatentModel, ability)

    def require(self, *abilities: str) -> None:
        """Refuse a model that lacks one of the abilities.

        Args:
            abilities: as for :meth:`supports`.

        Raises:
            TypeError: naming the model and what it cannot do.
        """
        for ability in abilities:
            if not self.supports(ability):
                raise TypeError(
                    f"{type(self.module).__name__} cannot {self.ABILITIES[ability]}: define {ability}(...) on it, or "
                    f"register an adapter with as_latent_model.register({type(self.module).__name__})"
                )


@singledispatch
def as_latent_model(
    module: nn.Module | LatentModel, *, latent_dim: int | None = None, num_classes: int | None = None
) -> LatentModel:
    """Adapt a module to :class:`LatentModel`.

    Known are, in this order: a :class:`LatentModel` itself; modules wrapped by ``torch.compile`` or DDP; modules with a
    method ``latent_model()``; normflows and zuko flows; modules with a ``decode`` (and ``encode``, ``log_det``) method;
    FrEIA-style invertible modules with ``forward(x, rev=...)``; modules with a ``decoder`` or ``generator``; and
    modules that hold exactly one such module. Register others by their class:

    .. code-block:: python

        @as_latent_model.register(MyModel)
        def adapt(module, *, latent_dim=None, num_classes=None):
            return MyLatentModel(module, latent_dim=module.width)

    Args:
        module: the model.
        latent_dim: number of latents; by default as the model's base distribution or its attribute ``latent_dim``
            (``latent_size``, ``z_dim``; also among Lightning's ``hparams``) says.
        num_classes: number of classes of a conditional model; its methods then get labels.

    Returns:
        The adapted model.

    Raises:
        TypeError: if the module is of no known kind, or the number of latents cannot be found.

    Example:
        >>> import torch
        >>> class Decoder(nn.Module):
        ...     latent_dim = 2
        ...     def decode(self, z):
        ...         return torch.cat([z, z], dim=1)
        >>> as_latent_model(Decoder()).decode(torch.ones(1, 2))
        tensor([[1., 1., 1., 1.]])
    """
    known = {"latent_dim": latent_dim, "num_classes": num_classes}
    if isinstance(module, LatentModel):
        return module
    adapt = _adapter_of(module)
    if adapt is not None:
        return adapt(module, **known)
    inside = {type(child).__name__: child for child in module.children() if _adapter_of(child) is not None}
    if len(inside) == 1:
        names = ("latent_dim", "num_classes")
        return as_latent_model(
            next(iter(inside.values())),
            **{name: known[name] if known[name] is not None else attribute(module, name) for name in names},
        )
    found = f"; it holds several candidates ({', '.join(inside)})" if inside else ""
    raise TypeError(
        f"{type(module).__name__} is no latent model: none of decode(z), a decoder or generator, forward(x, rev=...), "
        f"a normflows or zuko flow was found{found}. Give it a method latent_model(), or register an adapter with "
        f"as_latent_model.register({type(module).__name__})"
    )


Adapter = Callable[..., LatentModel]

_LIBRARIES = {
    "normflows": "torchdisentangle.models.adapters.normflows",
    "zuko": "torchdisentangle.models.adapters.zuko",
}


def _adapter_of(module: Any) -> Adapter | None:
    """The function that adapts a module, ``None`` if it is of no known kind."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"a torch module is needed, got {type(module).__name__}")
    for library in {cls.__module__.partition(".")[0] for cls in type(module).__mro__} & _LIBRARIES.keys():
        import_module(_LIBRARIES[library])  # registers its adapters; the library is there, for the module comes from it
    registered = as_latent_model.dispatch(type(module))
    if registered is not as_latent_model.dispatch(object):
        return registered
    wrapped = getattr(module, "_orig_mod", None)
    if wrapped is None and isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        wrapped = module.module
    if wrapped is not None:
        return (lambda _, **known: as_latent_model(wrapped, **known)) if _adapter_of(wrapped) else None
    if callable(getattr(module, "latent_model", None)):
        return lambda module, **known: module.latent_model()
    for adapters in ("autoencoder", "invertible", "generator"):
        kind = import_module(f"torchdisentangle.models.adapters.{adapters}")
        if kind.fits(module):
            return kind.adapt
    return None


def attribute(module: nn.Module, name: str) -> Any:
    """A setting of a module, from its attributes or Lightning's ``hparams``; ``None`` if it has none."""
    value = getattr(module, name, None)
    return value if value is not None else dict(getattr(module, "hparams", None) or {}).get(name)


def num_classes_of(module: nn.Module, decode: Callable[..., Any]) -> int | None:
    """The attribute ``num_classes`` of a module that decodes conditionally; others may have it for a classifier.

    Args:
        module: the module.
        decode: its method or network that decodes, which takes labels if it is conditional.

    Returns:
        The number of classes; ``None`` if the module has none, or its decoder takes the latents alone.
    """
    try:
        signature(decode).bind("latents", "labels")
    except TypeError:
        return None
    return attribute(module, "num_classes")


def find_latent_dim(module: nn.Module, given: int | None) -> int:
    """The number of latents of a module.

    Args:
        module: the module.
        given: what the user said.

    Returns:
        ``given``, or the module's attribute ``latent_dim``, ``latent_size`` or ``z_dim``.

    Raises:
        TypeError: if it cannot be found.
    """
    for value in (given, *(attribute(module, name) for name in ("latent_dim", "latent_size", "z_dim"))):
        if isinstance(value, int):
            return value
    raise TypeError(
        f"how many latents {type(module).__name__} has is unknown: give it an attribute latent_dim, or pass latent_dim="
    )
