"""The Haar wavelet transform of images, as a layer of a flow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

_HAAR = 0.5 * torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64)
# rows: mean, horizontal, vertical, diagonal detail; columns: a square of pixels, row by row; its own inverse


class HaarTransform(nn.Module):
    r"""Orthonormal Haar wavelet transform between flat images and their coefficients, coarse to fine.

    Every level turns each square of four pixels into a mean (the pixel of an image of half the size, to which the next
    level is applied) and three details:

    .. math:: \begin{pmatrix} m \\ h \\ v \\ d \end{pmatrix} = \frac12
              \begin{pmatrix} 1 & 1 & 1 & 1 \\ 1 & -1 & 1 & -1 \\ 1 & 1 & -1 & -1 \\ 1 & -1 & -1 & 1 \end{pmatrix}
              \begin{pmatrix} x_{00} \\ x_{01} \\ x_{10} \\ x_{11} \end{pmatrix}, \quad \log |\det| = 0

    It has the methods of a normflows layer: ``forward`` makes images of coefficients, ``inverse`` coefficients of
    images, both ``(N, d)``, with the log-determinant ``(N,)``, which is 0.

    Args:
        data_shape: shape of the images, ``(channels, H, W)``.
        num_levels: how often the size is halved.

    Raises:
        ValueError: if the shape is no image's, or its sides cannot be halved so often.

    Reference:
        Haar, *Zur Theorie der orthogonalen Funktionensysteme*, 1910; Mallat, *A Theory for Multiresolution Signal
        Decomposition: The Wavelet Representation*, PAMI 1989.

    Example:
        >>> transform = HaarTransform((1, 4, 4), num_levels=2)
        >>> coefficients, _ = transform.inverse(torch.ones(1, 16))
        >>> coefficients[0, :4]  # all that a flat image has is its mean, times 2 for each level
        tensor([4., 0., 0., 0.])
    """

    def __init__(self, data_shape: Sequence[int], num_levels: int) -> None:
        super().__init__()
        self.sizes: list[int] = [len(scale) for scale in haar_scales(data_shape, num_levels)]
        self.data_shape: tuple[int, ...] = tuple(data_shape)
        self.num_levels = num_levels
        self.register_buffer("haar", _HAAR.float(), persistent=False)

    haar: Tensor

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Images of coefficients."""
        channels, height, width = self.data_shape
        coarsest, *details = z.split(self.sizes, dim=1)
        step = 2**self.num_levels
        image = coarsest.reshape(-1, channels, height // step, width // step)
        for detail in details:
            squares = torch.cat([image[:, :, None], detail.reshape(len(z), channels, 3, *image.shape[2:])], dim=2)
            image = pixel_shuffle(self._turned(squares), 2)
        return image.flatten(1), z.new_zeros(len(z))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients of images."""
        image, parts = x.reshape(-1, *self.data_shape), []
        for _ in range(self.num_levels):
            squares = pixel_unshuffle(image, 2)
            turned = self._turned(squares.unflatten(1, (-1, 4))).unflatten(1, (-1, 4))
            image = turned[:, :, 0]
            parts.append(turned[:, :, 1:].flatten(1))
        return torch.cat([image.flatten(1), *reversed(parts)], dim=1), x.new_zeros(len(x))

    def _turned(self, squares: Tensor) -> Tensor:
        """Pixels ``(N, channels, 4, h, w)`` of all squares to coefficients ``(N, 4 channels, h, w)``, or back."""
        return torch.einsum("ij,ncjhw->ncihw", self.haar.to(squares), squares).flatten(1, 2)


def haar_scales(data_shape: Sequence[int], num_levels: int) -> list[list[int]]:
    """Which coefficients of a Haar transform, or latents of a wavelet flow, belong to which scale.

    Args:
        data_shape: shape of the images, ``(channels, H, W)``.
        num_levels: how often the size is halved.

    Returns:
        Index sets: first the coarsest image, then the details from coarse to fine. They can be the ``partition`` of
        the manifold metrics.

    Raises:
        ValueError: if the shape is no image's, or its sides cannot be halved so often.

    Example:
        >>> [len(scale) for scale in haar_scales((1, 8, 8), num_levels=2)]
        [4, 12, 48]
    """
    step = 2**num_levels
    if num_levels < 1 or len(data_shape) != 3 or data_shape[1] % step or data_shape[2] % step:
        raise ValueError(
            "images (channels, H, W) whose sides can be halved at least once and num_levels times are needed, got "
            f"data_shape={tuple(data_shape)}, num_levels={num_levels}"
        )
    ends = [math.prod(data_shape) // 4**level for level in range(num_levels, -1, -1)]
    return [list(range(start, end)) for start, end in zip([0, *ends], ends, strict=False)]
