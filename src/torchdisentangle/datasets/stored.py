"""Data sets with known factors whose images are read from files: what the loaders of the several formats share."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchdisentangle.archive import read_arrays
from torchdisentangle.datasets.factors import FactorDataset

_MOST_DIMENSIONS = 8


class StoredFactorDataset(FactorDataset):
    """Base of data sets whose images are stored, in any order, one for every combination of the factors.

    Args:
        images: uint8 array of shape (N, H, W) or (N, H, W, C).
        factor_sizes: number of values of each factor.
        order: for each index of the grid, where its image is stored, of shape (N,); by default at that index.
        white: stored value that is shown as 1.

    Raises:
        ValueError: if there is not one image for every combination, or they are not of type uint8.

    Example:
        >>> class Dice(StoredFactorDataset):
        ...     factor_names = ("eyes",)
        >>> dataset = Dice(np.arange(6, dtype=np.uint8).reshape(6, 1, 1), [6], white=5)
        >>> dataset[5]
        (tensor([[[1.]]]), tensor([5]))
    """

    def __init__(
        self, images: Any, factor_sizes: Sequence[int], order: np.ndarray | None = None, *, white: int = 255
    ) -> None:
        super().__init__(factor_sizes)
        if images.dtype != np.uint8 or len(images.shape) not in (3, 4):
            raise ValueError(f"want uint8 images (N, H, W) or (N, H, W, C), got {images.dtype} {tuple(images.shape)}")
        if images.shape[0] != len(self):
            raise ValueError(
                f"the factor sizes {self.factor_sizes} make {len(self)} combinations, but there are "
                f"{images.shape[0]} images"
            )
        self._images = images
        self._order = order
        self._white = white

    def render(self, factors: Tensor) -> Tensor:
        index = self.factors_to_index(factors).cpu().numpy()
        stored = self._read(index if self._order is None else self._order[index])
        images = torch.from_numpy(stored).to(factors.device).float() / self._white
        return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()

    def _read(self, positions: np.ndarray) -> np.ndarray:
        return self._images[positions]


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let every ValueError name the file that is read.

    Args:
        path: of the file.

    Example:
        >>> with naming("sprites.npz"):
        ...     raise ValueError("want labels")
        Traceback (most recent call last):
            ...
        ValueError: sprites.npz: want labels
    """
    try:
        yield
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


def grid_of_labels(labels: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Sizes of the factors that the labels span, and where each combination is among them.

    The values of a factor are its labels' different values, in ascending order.

    Args:
        labels: one row of labels for each image, of shape (N, K).

    Returns:
        The number of values of each factor, and for each index of the grid its row, of shape (N,).

    Raises:
        ValueError: unless every combination of the values is there exactly once.

    Example:
        >>> grid_of_labels(np.array([[1, 0.5], [0, 0.2], [0, 0.5], [1, 0.2]]))
        ((2, 2), array([1, 2, 3, 0]))
    """
    if labels.ndim != 2:
        raise ValueError(f"want labels of shape (N, K), got {labels.shape}")
    columns = [np.unique(column, return_inverse=True) for column in labels.T]
    sizes = tuple(len(values) for values, _ in columns)
    index = np.ravel_multi_index(tuple(inverse for _, inverse in columns), sizes)
    order = np.argsort(index, kind="stable")
    if len(labels) != np.prod(sizes) or not np.array_equal(index[order], np.arange(len(labels))):
        raise ValueError(
            f"want each of the {np.prod(sizes)} combinations of {sizes} values once, got {len(labels)} rows"
        )
    return sizes, order


def read_npz(path: str | Path, *names: str, max_bytes: int = 2**32) -> list[np.ndarray]:
    """Some arrays of an ``.npz`` file; the others, pickled ones in particular, are not touched.

    Args:
        path: of the file.
        *names: of the arrays.
        max_bytes: how many bytes they may take together.

    Returns:
        The arrays, in the order of their names.

    Raises:
        ValueError: if the file is not an ``.npz`` archive, is damaged, lacks one of them, or it is pickled or too
            large.
    """
    return list(read_arrays(path, names=names, max_bytes=max_bytes).values())


def read_unzipped(path: str | Path, max_bytes: int = 2**30) -> bytes:
    """The bytes of a file, unzipped if its name ends in ``.gz``.

    Args:
        path: of the file.
        max_bytes: how many bytes it may unzip to; the largest file of the formats read here has 550 MB.

    Returns:
        The bytes.

    Raises:
        ValueError: if it cannot be unzipped, or is larger.
    """
    data = Path(path).read_bytes()
    if Path(path).suffix != ".gz":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unzipped = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unzipped: {error}") from error
    if len(unzipped) > max_bytes:
        raise ValueError(f"{path} is larger than {max_bytes} bytes when it is unzipped")
    return unzipped


def array_after_header(
    path: str | Path, data: bytes, start: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The array that follows a header.

    Args:
        path: of the file, for the message.
        data: all of its bytes.
        start: where the header ends.
        shape: that the header tells.
        dtype: likewise.

    Returns:
        The array, not to be written to.

    Raises:
        ValueError: if there are fewer or more bytes than the header tells.
    """
    if len(shape) > _MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise ValueError(f"{path} is damaged: its header tells the shape {shape[:_MOST_DIMENSIONS]}")
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{path} should hold {shape} values of {dtype}, but has {len(data) - start} bytes of them")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Square images of another size, bilinear with the pixels' footprints averaged, and rounded.

    Args:
        images: uint8 array of shape (N, H, W) or (N, H, W, C).
        size: height and width of the result.

    Returns:
        uint8 array of shape (N, size, size) or (N, size, size, C).

    Example:
        >>> resized(np.full((2, 96, 96), 7, dtype=np.uint8), 64).shape
        (2, 64, 64)
    """
    if images.shape[1:3] == (size, size):
        return images
    channels_last = images if images.ndim == 4 else images[..., None]
    small = []
    for chunk in np.array_split(channels_last, -(-len(images) // 1000)):  # as floats they need 4 times the memory
        pixels = torch.from_numpy(np.ascontiguousarray(chunk)).permute(0, 3, 1, 2).float()
        pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
        small.append(pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy())
    result = np.concatenate(small)
    return result if images.ndim == 4 else result[..., 0]
