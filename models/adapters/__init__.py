"""How modules of known kinds become a :class:`~torchdisentangle.models.LatentModel`: one file for each kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

from torch import nn

from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import autoencoder, invertible, nflows, normflows, pythae, zuko
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

    It recognises, in this order: a ``LatentModel`` itself; modules wrapped by ``torch.compile``, DDP or Fabric; modules
    with a method ``latent_model()``; normflows, nflows and zuko flows; modules with a ``decode`` (and ``encode``,
    ``log_det``) method; FrEIA-style invertible modules with ``forward(x, rev=...)``; modules with a ``decoder`` or a
    generator (``generator``, ``G_ema``, ``G``, ``netG``, ``gen``), and perhaps an ``encoder`` or a ``forward`` that
    returns ``(reconstruction, mean, log_variance)``; modules that hold exactly one of all these; and modules with
    ``encode``, ``encoder`` or ``embed`` alone. Other classes can be registered, and come before all these:

    .. code-block:: python

        @as_latent_model.register(MyModel)
        def adapt(module, *, latent_dim=None, num_classes=None):
            return MyLatentModel(module, latent_dim=module.width)

    Args:
        module: the model.
        latent_dim: number of latents; by default the size of the model's base distribution, an attribute of the model
            (``latent_shape``, ``latent_dim``, ``latent_size``, ``n_latents``, ``z_dim``, ``nz``, ``noise_dim``, ...),
            also of its decoder, its ``config`` or Lightning's ``hparams``; else found by decoding or encoding zeros.
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
    for kinds in (ADAPTERS, ENCODERS):
        adapt = _adapter_of(module, kinds)
        if adapt is not None:
            return adapt(module, **known)
        inside = {name: child for name, child in module.named_children() if _adapter_of(child, kinds) is not None}
        if len(inside) == 1:
            (child,) = inside.values()
            settings = {name: value if value is not None else attribute(module, name) for name, value in known.items()}
            return as_latent_model(child, **settings)
        if inside:
            raise _no_latent_model(module, inside)
    raise _no_latent_model(module, {})


def _no_latent_model(module: nn.Module, inside: dict[str, nn.Module]) -> TypeError:
    name = type(module).__name__
    if inside:
        candidates = ", ".join(f"{key}: {type(child).__name__}" for key, child in inside.items())
        found = f"it holds several candidates ({candidates}). Pass one of them, give it"
    else:
        found = (
            "none of decode(z), encode(x), an encoder, a decoder or generator, forward(x, rev=...), a normflows, "
            "nflows or zuko flow was found. Give it"
        )
    return TypeError(
        f"{name} is no latent model: {found} a method latent_model(), or register an adapter with "
        f"as_latent_model.register({name})"
    )


def _adapter_of(module: nn.Module, kinds: tuple[Adapter, ...]) -> Callable[..., LatentModel] | None:
    """The function that adapts a module; ``None`` if it is of none of the kinds."""
    registered = as_latent_model.dispatch(type(module))
    if registered is not as_latent_model.dispatch(object):
        return registered
    return next((adapter.adapt for adapter in kinds if adapter.fits(module)), None)


def _wrapped(module: nn.Module) -> Any:
    """The module inside of ``torch.compile``, DDP or Fabric; ``None`` if there is none."""
    parallel = isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel))
    if parallel or type(module).__name__ == "_FabricModule":
        return module.module
    return getattr(module, "_orig_mod", None)


def _wraps_known(module: nn.Module) -> bool:
    wrapped = _wrapped(module)
    return wrapped is not None and _adapter_of(wrapped, (*ADAPTERS, *ENCODERS)) is not None


def _adapt_wrapped(module: nn.Module, **known: int | None) -> LatentModel:
    return as_latent_model(_wrapped(module), **known)


def _adapts_itself(module: nn.Module) -> bool:
    return callable(getattr(module, "latent_model", None))


def _adapted_by_itself(module: Any, **known: int | None) -> LatentModel:
    return module.latent_model()


def _has_method_decode(module: nn.Module) -> bool:
    return callable(getattr(module, "decode", None))


def _adapt_autoencoder(
    module: nn.Module, *, latent_dim: int | None = None, num_classes: int | None = None
) -> LatentModel:
    """Adapt a module that decodes; if its decoder or generator is itself a latent model, that decodes."""
    name = autoencoder.found(module, autoencoder.DECODERS)
    part = getattr(module, name or "", None)
    inside = None
    if isinstance(part, nn.Module) and _decodes_by_itself(part):
        known = {"latent_dim": latent_dim, "num_classes": num_classes}
        inside = as_latent_model(part, **{key: known[key] or attribute(module, key) for key in known})
    model = autoencoder.adapt(module, latent_dim=latent_dim, num_classes=num_classes, inside=inside)
    return model if inside is None or model.supports("encode") else inside


def _decodes_by_itself(part: nn.Module) -> bool:
    """Whether a decoder is more than a network to call: registered, a flow, or with a method ``decode``."""
    adapt = _adapter_of(part, ADAPTERS)
    return adapt not in (None, _adapt_autoencoder) or callable(getattr(part, "decode", None))


ADAPTERS = (
    Adapter(_wraps_known, _adapt_wrapped),
    Adapter(_adapts_itself, _adapted_by_itself),
    Adapter(normflows.fits, normflows.adapt),
    Adapter(nflows.fits, nflows.adapt),
    Adapter(zuko.fits, zuko.adapt),
    Adapter(pythae.fits, pythae.adapt),
    Adapter(_has_method_decode, _adapt_autoencoder),
    Adapter(invertible.fits, invertible.adapt),
    Adapter(autoencoder.fits, _adapt_autoencoder),
)
"""The kinds that :func:`as_latent_model` knows; the first that fits adapts a module."""

ENCODERS = (Adapter(autoencoder.encodes_only, autoencoder.adapt),)
"""The kinds that encode only, for which a module and then its children are searched afterwards."""
