"""White shapes on black, like dSprites, rendered from their factors instead of read from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchdisentangle.datasets.factors import FactorDataset

SQUARE_HALF_SIDE = 0.3
ELLIPSE_SEMI_AXES = (0.42, 0.21)
HEART_SIZE = 0.66


class Sprites(FactorDataset):
    r"""Squares, ellipses and hearts of varying scale, orientation and position, rendered exactly from these factors.

    The canvas is :math:`[-1, 1]^2`. A point :math:`p` of it is seen by the shape, which has its centroid in its
    origin, at

    .. math::

        q = R(-\theta)\, (p - c) / s ,

    and a pixel is white where the shape's implicit function :math:`h(q)` is negative at the pixel's centre.
    The factors:

    - ``shape``: square, ellipse, heart;
    - ``scale``: :math:`s` in 6 even steps from 0.5 to 1;
    - ``orientation``: :math:`\theta = 2 \pi k / 40`, anticlockwise as seen;
    - ``x``, ``y``: the centre :math:`c` in 32 even steps from -0.5 to 0.5, to the right and downwards.

    They have dSprites' order and sizes. One thing differs: the orientations of dSprites include both 0 and
    :math:`2 \pi`, those here do not, so that every heart is a different image. Squares look the same again after 10 of
    the 40 orientations and ellipses after 20, in both data sets; a data set of different images is for instance
    ``sub_grid(orientation=range(10))``. A code cannot tell what is not in the image, so on the whole grid the
    orientation cannot be scored perfectly.

    Args:
        image_size: height and width in pixels. Below about 32 pixels neighbouring factor values make different images
            only with ``antialias``.
        antialias: whether a pixel on the border has the fraction of it that is inside (to first order) instead of
            0 or 1.
        factor_sizes: numbers of values of the factors after ``shape``: scale, orientation, x, y.

    Raises:
        ValueError: if ``image_size`` is not positive, or there are not four positive factor sizes.

    Reference:
        Matthey et al., *dSprites: Disentanglement testing Sprites dataset*, 2017, for the factors.

    Example:
        >>> dataset = Sprites()
        >>> image, factors = dataset[len(dataset) - 1]
        >>> factors
        tensor([ 2,  5, 39, 31, 31])
        >>> image.shape, image.unique()
        (torch.Size([1, 64, 64]), tensor([0., 1.]))
    """

    factor_names: tuple[str, ...] = ("shape", "scale", "orientation", "x", "y")

    def __init__(
        self, image_size: int = 64, *, antialias: bool = False, factor_sizes: Sequence[int] = (6, 40, 32, 32)
    ) -> None:
        super().__init__((len(_SHAPES), *factor_sizes))
        if image_size < 1:
            raise ValueError(f"image_size must be positive, got {image_size}")
        self.image_size = image_size
        self.antialias = antialias

    def factor_values(self, factors: Tensor) -> Tensor:
        r"""What the factors mean: shape number, scale, orientation in radians, and centre on the canvas.

        Args:
            factors: integers of shape :math:`(N, 5)`.

        Returns:
            Float32 values of shape :math:`(N, 5)`: shape in 0, 1, 2; scale in [0.5, 1]; orientation in
            :math:`[0, 2 \pi)`; x and y in [-0.5, 0.5].

        Raises:
            ValueError: if the factors have another shape, or a value outside its factor's range.

        Example:
            >>> Sprites().factor_values(torch.tensor([[1, 0, 20, 0, 31]]))
            tensor([[ 1.0000,  0.5000,  3.1416, -0.5000,  0.5000]])
        """
        self._check(factors)
        _, scales, orientations, columns, rows = self.factor_sizes
        values = (
            torch.arange(len(_SHAPES)),
            torch.linspace(1.0, 0.5, scales, dtype=torch.float64).flip(0),
            torch.arange(orientations, dtype=torch.float64) * (2 * math.pi / orientations),
            _positions(columns),
            _positions(rows),
        )
        columns_of_values = [table.float().to(factors.device)[factors[:, k].long()] for k, table in enumerate(values)]
        return torch.stack(columns_of_values, dim=1)

    def render(self, factors: Tensor) -> Tensor:
        _, scale, orientation, x, y = self.factor_values(factors).unbind(1)
        images = torch.empty(len(factors), 1, self.image_size, self.image_size, device=factors.device)
        for number, height in enumerate(_SHAPES):
            rows = (factors[:, 0] == number).nonzero()[:, 0]
            u, v = self._seen_by_shape(scale[rows], orientation[rows], x[rows], y[rows])
            images[rows, 0] = self._ink(height(u, v) * scale[rows, None, None])
        return images

    def _seen_by_shape(self, scale: Tensor, orientation: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates (right, up) of all pixel centres in the frames of the shapes, each (N, H, W)."""
        centres = (torch.arange(self.image_size, device=x.device) + 0.5) * (2 / self.image_size) - 1
        right = (centres - x[:, None])[:, None, :] / scale[:, None, None]
        up = (y[:, None] - centres)[:, :, None] / scale[:, None, None]
        cos, sin = orientation.cos()[:, None, None], orientation.sin()[:, None, None]
        return cos * right + sin * up, cos * up - sin * right

    def _ink(self, height: Tensor) -> Tensor:
        if not self.antialias:
            return (height < 0).float()
        pixel = 2 / self.image_size
        return (0.5 - height / pixel).clamp(0, 1)


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - SQUARE_HALF_SIDE


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    a, b = ELLIPSE_SEMI_AXES
    radius = torch.hypot(u / a, v / b)
    slope = torch.hypot(u / a**2, v / b**2).clamp(min=1e-6)
    return radius * (radius - 1) / slope  # the distance to first order: value over gradient


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """A square on its tip, with half a disc on each of its upper sides."""
    u, v = u.abs() / HEART_SIZE, v / HEART_SIZE + HEART_CENTROID
    square = (u + (v - 0.5).abs() - 0.5) / math.sqrt(2)
    disc = torch.hypot(u - 0.25, v - 0.75) - math.sqrt(2) / 4
    return HEART_SIZE * torch.minimum(square, disc)


# The height above the tip: a square of area 1/2 at 1/2, two half discs of area pi/16 at 3/4 + 1/(3 pi).
HEART_AREA = 1 / 2 + math.pi / 8
HEART_CENTROID = (1 / 4 + (math.pi / 8) * (3 / 4 + 1 / (3 * math.pi))) / HEART_AREA

_SHAPES = (_square, _ellipse, _heart)


def _positions(steps: int) -> Tensor:
    return torch.linspace(-0.5, 0.5, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
