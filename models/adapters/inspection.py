"""What a module tells about itself: where it comes from, its settings, and the sizes of its latent space."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from torch import nn


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
        given: the user's answer, which comes first.

    Returns:
        ``given``, or the module's attribute ``latent_dim``, ``latent_size`` or ``z_dim``.

    Raises:
        TypeError: if none of them is an integer.
    """
    for value in (given, *(attribute(module, name) for name in ("latent_dim", "latent_size", "z_dim"))):
        if isinstance(value, int):
            return value
    raise TypeError(
        f"how many latents {type(module).__name__} has is unknown: give it an attribute latent_dim, or pass latent_dim="
    )
