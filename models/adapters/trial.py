"""Trying a module on a few zeros, to learn what it does not tell: the shape of its latents, and how it encodes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from torchdisentangle.models.adapters.inspection import attribute

_ROWS = 2  # as some modules drop an axis of length one
_SIDES = (28, 32, 64, 128, 16, 224)
_SMALL = 64
_DATA_SHAPE = ("data_shape", "input_shape", "image_shape", "img_shape", "input_dim")
_SIDE = ("sample_size", "image_size", "img_size", "resolution")
_CHANNELS = ("in_channels", "image_channels", "num_channels")


@contextmanager
def trial(module: nn.Module) -> Iterator[None]:
    """Inside this context the module can be called; afterwards it is as it was, with its flags and counters."""
    from torchdisentangle.evaluation.undisturbed import undisturbed  # which imports the adapters

    flags = [(one, {name: value for name, value in vars(one).items() if _is_flag(value)}) for one in module.modules()]
    try:
        with warnings.catch_warnings(), undisturbed(module):
            warnings.simplefilter("ignore")  # what is wrong with a real batch is said then
            yield
    finally:
        for one, values in flags:
            vars(one).update(values)


def can_be_tried(module: nn.Module) -> bool:
    """Whether all layers are built: a trial would build those that are not, with wrong sizes."""
    return not any(map(is_lazy, chain(module.parameters(), module.buffers())))


def zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Two rows of zeros."""
    return like.new_zeros(_ROWS, *shape)


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns; ``None`` if it raises."""
    try:
        return function(*arguments)
    except Exception:  # whatever a model raises on data that it is not made for
        return None


def has_convolutions(module: nn.Module) -> bool:
    """Whether a module may want its latents as images."""
    return any(isinstance(layer, _ConvNd) for layer in module.modules())


def latent_shapes(module: nn.Module, latent_dim: int | None) -> Iterator[tuple[int, ...]]:
    """Shapes that latents may have, judged by the layers that may come first.

    Args:
        module: what decodes.
        latent_dim: number of latents, if it is known.

    Example:
        >>> decoder = nn.Sequential(nn.ConvTranspose2d(4, 8, 4), nn.Conv2d(8, 3, 1))
        >>> list(latent_shapes(decoder, 16))
        [(16,), (16, 1, 1), (4, 2, 2)]
        >>> list(latent_shapes(decoder, None))
        [(4, 1, 1), (8, 1, 1)]
    """
    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Linear, _ConvNd))]
    if latent_dim is None:
        sizes = (
            (layer.in_features,)
            if isinstance(layer, nn.Linear)
            else (layer.in_channels, *(1 for _ in layer.kernel_size))
            for layer in sorted(layers, key=lambda layer: isinstance(layer, _ConvNd))
        )
        yield from dict.fromkeys(sizes)
        return
    yield (latent_dim,)
    convolutions = [layer for layer in layers if isinstance(layer, _ConvNd)]
    yield from dict.fromkeys((latent_dim, *(1 for _ in layer.kernel_size)) for layer in convolutions)
    for channels, axes in dict.fromkeys((layer.in_channels, len(layer.kernel_size)) for layer in convolutions):
        side = round((latent_dim / channels) ** (1 / axes))
        if side > 1 and channels * side**axes == latent_dim:
            yield channels, *(side for _ in range(axes))


def told_data_shape(module: nn.Module) -> tuple[int, ...] | None:
    """The shape of the data, if the module or its config tells."""
    for name in _DATA_SHAPE:
        value = attribute(module, name)
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        if isinstance(value, (tuple, list)) and value and all(isinstance(size, int) for size in value):
            return tuple(value)
    sides = (attribute(module, name) for name in _SIDE)
    channels = (attribute(module, name) for name in _CHANNELS)
    side = next((value for value in sides if isinstance(value, int)), None)
    channel = next((value for value in channels if isinstance(value, int)), None)
    return None if side is None or channel is None else (channel, side, side)


def data_shapes(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes that data may have, judged by the first layer."""
    first = next((layer for layer in module.modules() if isinstance(layer, (nn.Linear, _ConvNd))), None)
    if isinstance(first, nn.Linear):
        yield (first.in_features,)
    elif first is not None:
        for side in _SIDES:
            yield first.in_channels, *(side for _ in first.kernel_size)


def encoded_shape(encode: Callable[[Tensor], Tensor], module: nn.Module, like: Tensor) -> tuple[int, ...] | None:
    """The shape of the latents, from a trial encoding; ``None`` if it cannot be found.

    Latents that are images have the size that goes with the data: they are found only if the module tells the shape of
    its data.

    Args:
        encode: gives posterior means.
        module: the module.
        like: of the dtype and device of the data.
    """
    told = told_data_shape(module)
    if told is not None:
        factor = told[-1] // _SMALL if len(told) == 3 and told[-1] > _SMALL and told[-1] % _SMALL == 0 else 1
        smaller = outcome(encode, zeros((told[0], *(size // factor for size in told[1:])), like))
        if factor > 1 and smaller is not None and smaller.ndim == 4:
            return smaller.shape[1], *(size * factor for size in smaller.shape[2:])
        mean = smaller if factor == 1 else outcome(encode, zeros(told, like))
        if mean is not None:
            return tuple(mean.shape[1:])
    means = (outcome(encode, zeros(shape, like)) for shape in data_shapes(module))
    mean = next((mean for mean in means if mean is not None), None)
    return None if mean is None or math.prod(mean.shape[1:]) != mean.shape[1] else tuple(mean.shape[1:])


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, torch.Size))
