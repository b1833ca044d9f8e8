"""Decoded data in the size and the form in which a page shows them: PNG files, or short lists of numbers."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image  # which matplotlib needs
from torch import Tensor
from torch.nn import functional

_SIDE = 64  # pixels
_BYTES = 3 * 2**20  # of all pictures that are made small together, before compression
_ENTRIES = 128  # of data that are no images


def smaller(images: Tensor, count: int) -> Tensor:
    """Images of a size that a page can hold: at most 64 pixels a side, and fewer if they are many.

    Args:
        images: ``(..., channels, H, W)``.
        count: how many the page will hold of this kind.

    Returns:
        The images, or the means of their areas.

    Example:
        >>> smaller(torch.rand(5, 3, 100, 50), 5).shape, smaller(torch.rand(5, 3, 100, 50), 5000).shape
        (torch.Size([5, 3, 64, 32]), torch.Size([5, 3, 20, 10]))
    """
    *lead, channels, height, width = images.shape
    fits = math.sqrt(_BYTES / max(count * channels * height * width, 1))
    scale = min(1.0, _SIDE / max(height, width), fits)
    if scale == 1:
        return images
    size = [max(int(scale * side), 1) for side in (height, width)]
    small = functional.interpolate(images.reshape(-1, channels, height, width), size, mode="area")
    return small.reshape(*lead, channels, *size)


def thinned(data: Tensor) -> Tensor:
    """Every n-th entry of data ``(..., entries)``, at most 128 of them.

    Example:
        >>> thinned(torch.rand(7, 300)).shape
        torch.Size([7, 100])
    """
    return data[..., :: max(math.ceil(data.shape[-1] / _ENTRIES), 1)]


@dataclass(frozen=True)
class Scale:
    """What is black and what is white: 0 and 1, or the smallest and the largest number if any are outside.

    Args:
        low: black.
        high: white.

    Example:
        >>> Scale.of(torch.tensor([0.0, 0.5])), Scale.of(torch.tensor([-1.0, torch.nan]), torch.tensor([0.5]))
        (Scale(low=0.0, high=1.0), Scale(low=-1.0, high=0.5))
    """

    low: float
    high: float

    @classmethod
    def of(cls, *data: Tensor) -> Scale:
        """The scale of data that are shown together; numbers that are not finite have no say."""
        finite = torch.cat([one[one.isfinite()] for one in data])
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        return cls(0.0, 1.0) if low >= 0 and high <= 1 else cls(low, high)

    def png(self, images: Tensor) -> str:
        """A mosaic of images ``(rows, columns, channels, H, W)`` as an address that holds a PNG file of 8 bits.

        Numbers that are not finite are black.
        """
        rows, columns, channels, height, width = images.shape
        shares = (images.nan_to_num(self.low, self.low, self.low) - self.low) / max(self.high - self.low, 1e-12)
        pixels = (255 * shares).round().clamp(0, 255).to(torch.uint8)
        mosaic = pixels.permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels).numpy()
        file = io.BytesIO()
        Image.fromarray(mosaic[..., 0] if channels == 1 else mosaic).save(file, "png")
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def numbers(values: Any) -> Any:
    """Nested numbers of four digits for JSON, which knows no NaN.

    Example:
        >>> numbers(torch.tensor([[1 / 3, torch.nan]]))
        [[0.3333, None]]
    """
    if isinstance(values, Tensor):
        values = values.tolist()
    if isinstance(values, list):
        return [numbers(value) for value in values]
    return float(f"{values:.4g}") if math.isfinite(values) else None
