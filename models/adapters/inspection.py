"""What a module tells about itself: where it comes from, its settings, and the sizes of its latent space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from inspect import signature
from numbers import Integral
from typing import Any

from torch import nn

LATENT_DIM_NAMES = (
    "latent_dim",
    "latent_dims",
    "latent_size",
    "n_latents",
    "num_latents",
    "z_dim",
    "z_size",
    "nz",
    "noise_dim",
)
"""Names under which modules keep the number of latents."""

_IN_THE_EXTRA_FLOWS = ("normflows", "zuko")
_SETTINGS = ("hparams", "config", "model_config", "cfg", "args")
_PARTS = ("encoder", "decoder", "generator", "G_ema", "G", "netG", "gen")


def comes_from(module: nn.Module, library: str) -> bool:
    """Whether the module's class, or one that it inherits from, is defined in a library.

    Args:
        module: the module.
        library: name of the top-level package, which need not be installed.

    Example:
        >>> comes_from(nn.Linear(2, 2), "torch"), comes_from(nn.Linear(2, 2), "zuko")
        (True, False)
    """
    return any(cls.__module__.partition(".")[0] == library for cls in type(module).__mro__)


def imported(library: str) -> Any:
    """The library that a module comes from.

    Args:
        library: name of the package, or of a module in it.

    Raises:
        ImportError: that says what to install, if the library is missing.

    Example:
        >>> imported("no_library")
        Traceback (most recent call last):
        ImportError: a model of no_library needs that library: pip install no_library
    """
    try:
        return import_module(library)
    except ImportError as error:
        name = library.partition(".")[0]
        package = "'torchdisentangle[flows]'" if name in _IN_THE_EXTRA_FLOWS else name
        raise ImportError(f"a model of {name} needs that library: pip install {package}", name=name) from error


def attribute(module: nn.Module, name: str) -> Any:
    """A setting of a module, from its attributes, Lightning's ``hparams``, or a config object; ``None`` if it has none.

    Example:
        >>> module = nn.Identity()
        >>> module.config = {"z_dim": 3}
        >>> attribute(module, "z_dim")
        3
    """
    places = (module, *(getattr(module, settings, None) for settings in _SETTINGS))
    values = (place.get(name) if isinstance(place, Mapping) else getattr(place, name, None) for place in places)
    return next((value for value in values if value is not None), None)


def takes_labels(function: Callable[..., Any]) -> bool:
    """Whether a function of latents or of data takes labels as a second argument."""
    try:
        signature(function).bind("data", "labels")
    except (TypeError, ValueError):
        return False
    return True


def num_classes_of(module: nn.Module, decode: Callable[..., Any]) -> int | None:
    """The attribute ``num_classes`` of a module that decodes conditionally; others may have it for a classifier.

    Args:
        module: the module.
        decode: its method or network that decodes, which takes labels if it is conditional.

    Returns:
        The number of classes; ``None`` if the module has none, or its decoder takes the latents alone.
    """
    return attribute(module, "num_classes") if takes_labels(decode) else None


def latent_shape_of(module: nn.Module, given: int | None) -> int | tuple[int, ...] | None:
    """The number of latents of a module, or their shape, as far as it tells.

    Args:
        module: the module.
        given: the user's answer, which comes before the attributes that hold a number.

    Returns:
        The attribute ``latent_shape``, the number given, or an attribute of :data:`LATENT_DIM_NAMES`: of the module, of
        its config, or of its encoder or decoder. ``None`` if there is none.

    Example:
        >>> module = nn.Identity()
        >>> latent_shape_of(module, None), latent_shape_of(module, 3)
        (None, 3)
    """
    shape = _shape(attribute(module, "latent_shape"))
    if isinstance(shape, tuple):
        return shape
    found = (_shape(value) for value in (given, *_numbers_of_latents(module)))
    return next((size for size in found if size is not None), None)


def find_latent_dim(module: nn.Module, given: int | None) -> int:
    """The number of latents of a module that has no latent shape.

    Raises:
        TypeError: if it does not tell.
    """
    size = latent_shape_of(module, given)
    if isinstance(size, int):
        return size
    raise unknown_latent_dim(module)


def unknown_latent_dim(module: nn.Module) -> TypeError:
    """The error for a module whose number of latents cannot be found."""
    return TypeError(
        f"how many latents {type(module).__name__} has is unknown: give it an attribute latent_dim (or latent_shape, "
        "for latents that are images), or pass latent_dim="
    )


def _numbers_of_latents(module: nn.Module) -> Iterator[Any]:
    children = dict(module.named_children())
    for place in (module, *(children[name] for name in _PARTS if name in children)):
        for name in LATENT_DIM_NAMES:
            yield attribute(place, name)


def _shape(value: Any) -> int | tuple[int, ...] | None:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (tuple, list)) and value and all(isinstance(size, Integral) for size in value):
        return tuple(int(size) for size in value)
    return None
