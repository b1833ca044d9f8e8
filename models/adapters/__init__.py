"""How modules of known kinds become a :class:`~torchdisentangle.models.LatentModel`: one file for each kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

from torch import nn

from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import autoencoder, generator, invertible, normflows, zuko
from torchdisentangle.models.adapters.inspection import attribute

__all__ = ["ADAPTERS", "Adapter", "as_latent_model"]


class Adapter(NamedTuple):
    """A kind of module: how it is recognised, and how it is adapted.

    Args:
        fits: whether a module is of this kind.
        adapt: ``adapt(module, latent_dim=None, num_classes=None)`` gives the latent model.
    """

    fits: Callable[[nn.Module], bool]
    adapt: Callable[..., LatentModel]


@singledispatch
def as_latent_model(
    module: nn.Module | LatentModel, *, latent_dim: int | None = None, num_classes: int | None = None
) -> LatentModel:
    """Adapt a module to :class:`~torchdisentangle.models.LatentModel`.

    It recognises, in this order: a ``LatentModel`` itself; modules wrapped by ``torch.compile`` or DDP; modules with a
    method ``latent_model()``; normflows and zuko flows; modules with a ``decode`` (and ``encode``, ``log_det``) method;
    FrEIA-style invertible modules with ``forward(x, rev=...)``; modules with a ``decoder`` or ``generator``; and
    modules that hold exactly one such module. Other classes can be registered, and come before all these:

    .. code-block:: python

        @as_latent_model.register(MyModel)
        def adapt(module, *, latent_dim=None, num_classes=None):
            return MyLatentModel(module, latent_dim=module.width)

    Args:
        module: the model.
        latent_dim: number of latents; by default the size of the model's base distribution, or its attribute
            ``latent_dim`` (``latent_size``, ``z_dim``; also among Lightning's ``hparams``).
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
    if isinstance(module, LatentModel):
        return module
    if not isinstance(module, nn.Module):
        raise TypeError(f"a torch module is needed, got {type(module).__name__}")
    known = {"latent_dim": latent_dim, "num_classes": num_classes}
    adapt = _adapter_of(module)
    if adapt is not None:
        return adapt(module, **known)
    inside = {type(child).__name__: child for child in module.children() if _adapter_of(child) is not None}
    if len(inside) == 1:
        (child,) = inside.values()
        settings = {name: value if value is not None else attribute(module, name) for name, value in known.items()}
        return as_latent_model(child, **settings)
    found = f"; it holds several candidates ({', '.join(inside)})" if inside else ""
    raise TypeError(
        f"{type(module).__name__} is no latent model: none of decode(z), a decoder or generator, forward(x, rev=...), "
        f"a normflows or zuko flow was found{found}. Give it a method latent_model(), or register an adapter with "
        f"as_latent_model.register({type(module).__name__})"
    )


def _adapter_of(module: nn.Module) -> Callable[..., LatentModel] | None:
    """The function that adapts a module; ``None`` if it is of no known kind."""
    registered = as_latent_model.dispatch(type(module))
    if registered is not as_latent_model.dispatch(object):
        return registered
    return next((adapter.adapt for adapter in ADAPTERS if adapter.fits(module)), None)


def _wrapped(module: nn.Module) -> Any:
    """The module inside of ``torch.compile`` or DDP; ``None`` if there is none."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module
    return getattr(module, "_orig_mod", None)


def _wraps_known(module: nn.Module) -> bool:
    wrapped = _wrapped(module)
    return wrapped is not None and _adapter_of(wrapped) is not None


def _adapt_wrapped(module: nn.Module, **known: int | None) -> LatentModel:
    return as_latent_model(_wrapped(module), **known)


def _adapts_itself(module: nn.Module) -> bool:
    return callable(getattr(module, "latent_model", None))


def _adapted_by_itself(module: Any, **known: int | None) -> LatentModel:
    return module.latent_model()


ADAPTERS = (
    Adapter(_wraps_known, _adapt_wrapped),
    Adapter(_adapts_itself, _adapted_by_itself),
    Adapter(normflows.fits, normflows.adapt),
    Adapter(zuko.fits, zuko.adapt),
    Adapter(autoencoder.fits, autoencoder.adapt),
    Adapter(invertible.fits, invertible.adapt),
    Adapter(generator.fits, generator.adapt),
)
"""The kinds that :func:`as_latent_model` knows; the first that fits adapts a module."""
