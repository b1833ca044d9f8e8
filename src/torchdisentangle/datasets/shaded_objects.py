"""A coloured solid in a coloured room, like Shapes3D, ray-cast from its factors instead of read from a file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchdisentangle.datasets.factors import FactorDataset
from torchdisentangle.datasets.solids import SOLIDS, Solid

ROOM_HALF_WIDTH = 3.0
CAMERA_DISTANCE = 3.4
CAMERA_HEIGHT = 2.0
LOOK_AT_HEIGHT = 0.75
HALF_FIELD_OF_VIEW = 0.42  # tangent
LIGHT = (0.52, 0.82, 0.24)  # towards the lamp, of length 1; the lid, the sides and the two walls get different shares
AMBIENT = 0.4
RAYS_PER_PIXEL = 3  # along each side of the pixel
FLOOR, WALL, OBJECT = range(3)


class ShadedObjects(FactorDataset):
    r"""Cubes, cylinders, spheres and capsules of any colour and scale in the corner of a room, seen from varying sides.

    The scene's geometry depends on scale, shape and orientation only, its colours on the hues only, so that an image is

    .. math::

        x = \sum_{s \in \{\text{floor}, \text{wall}, \text{object}\}}
        w_s(\text{scale}, \text{shape}, \text{orientation}) \, c(\text{hue}_s) ,

    with :math:`c` the fully saturated colour of a hue, and :math:`w_s` the part of each pixel in which surface
    :math:`s` is seen, times its brightness (ambient plus Lambert's cosine law for one distant lamp, and the object's
    shadow). The weights :math:`w` of all views are ray-cast when the data set is made. The factors:

    - ``floor_hue``, ``wall_hue``, ``object_hue``: 10 even steps around the colour circle, from red;
    - ``scale``: of the object, 8 even steps from 0.75 to 1.25;
    - ``shape``: cube, cylinder, sphere, capsule;
    - ``orientation``: of the camera around the object, 15 even steps from -30 to 30 degrees; lamp, room and object
      stay as they are.

    They have Shapes3D's order and sizes. All 480,000 images differ.

    Args:
        image_size: height and width in pixels.
        factor_sizes: numbers of values of the factors other than ``shape``: floor hue, wall hue, object hue, scale,
            orientation.

    Raises:
        ValueError: if ``image_size`` is not positive, or there are not five positive factor sizes.

    Reference:
        Burgess and Kim, *3D Shapes Dataset*, 2018, for the factors.

    Example:
        >>> dataset = ShadedObjects(image_size=16, factor_sizes=(10, 10, 10, 2, 3))
        >>> dataset.factor_sizes
        (10, 10, 10, 2, 4, 3)
        >>> image, factors = dataset[0]
        >>> image.shape, bool((image[0] >= image[1]).all())  # all is red
        (torch.Size([3, 16, 16]), True)
    """

    factor_names: tuple[str, ...] = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")

    def __init__(self, image_size: int = 64, *, factor_sizes: Sequence[int] = (10, 10, 10, 8, 15)) -> None:
        super().__init__((*factor_sizes[:4], len(SOLIDS), *factor_sizes[4:]))
        if image_size < 1:
            raise ValueError(f"image_size must be positive, got {image_size}")
        self.image_size = image_size
        _, _, _, scales, _, orientations = self.factor_sizes
        self._views = _views(_even(0.75, 1.25, scales), _even(-30, 30, orientations), image_size)

    def factor_values(self, factors: Tensor) -> Tensor:
        """What the factors mean: three hues, scale, shape number and orientation in degrees.

        Args:
            factors: integers of shape :math:`(N, 6)`.

        Returns:
            Float32 values of shape :math:`(N, 6)`: hues in [0, 1); scale in [0.75, 1.25]; shape in 0, 1, 2, 3;
            orientation in [-30, 30].

        Raises:
            ValueError: if the factors have another shape, or a value outside its factor's range.

        Example:
            >>> dataset = ShadedObjects(image_size=8, factor_sizes=(10, 10, 10, 2, 3))
            >>> dataset.factor_values(torch.tensor([[0, 5, 1, 1, 3, 0]]))
            tensor([[  0.0000,   0.5000,   0.1000,   1.2500,   3.0000, -30.0000]])
        """
        self._check(factors)
        *hues, scales, shapes, orientations = self.factor_sizes
        tables = [torch.arange(hue) / hue for hue in hues]
        tables += [_even(0.75, 1.25, scales), torch.arange(shapes).float(), _even(-30, 30, orientations)]
        return torch.stack([table.to(factors.device)[factors[:, k].long()] for k, table in enumerate(tables)], dim=1)

    def render(self, factors: Tensor) -> Tensor:
        colours = hue_to_rgb(self.factor_values(factors)[:, :3])
        weights = self._views[factors[:, 3:].long().cpu().unbind(1)].to(factors.device)
        images = colours.transpose(1, 2) @ weights.flatten(2)
        return images.reshape(-1, 3, self.image_size, self.image_size)


def hue_to_rgb(hue: Tensor) -> Tensor:
    r"""Fully saturated colours: red at hue 0, green at 1/3, blue at 2/3, linear in between.

    .. math::

        c_k = \operatorname{clip}(|6 (h - k / 3) \bmod 6 - 3| - 1, 0, 1), \qquad k = 0, 1, 2

    Args:
        hue: values in [0, 1], of any shape.

    Returns:
        Red, green and blue in [0, 1] along a new last dimension.

    Example:
        >>> hue_to_rgb(torch.tensor([0.0, 1 / 6]))
        tensor([[1., 0., 0.],
                [1., 1., 0.]])
    """
    thirds = torch.arange(3, device=hue.device) / 3
    return ((6 * (hue[..., None] - thirds)).remainder(6) - 3).abs().sub(1).clamp(0, 1)


def _views(scales: Tensor, degrees: Tensor, image_size: int) -> Tensor:
    """Weights of floor, wall and object in every pixel of every view: (scale, shape, orientation, 3, H, W)."""
    camera, rays = _camera(torch.deg2rad(45 + degrees), image_size * RAYS_PER_PIXEL)
    to_room, room_normal = _room(camera, rays)
    on_room = camera + to_room[..., None] * rays
    light = torch.nn.functional.normalize(torch.tensor(LIGHT), dim=0)

    def weights(solid: Solid, scale: float) -> Tensor:
        middle = torch.tensor([0.0, scale / 2, 0.0])
        to_object = solid.enter((camera - middle) / scale, rays / scale)
        on_object = (camera + to_object.nan_to_num(posinf=0.0)[..., None] * rays - middle) / scale
        surface = torch.where(room_normal[..., 1] > 0, FLOOR, WALL)
        surface = torch.where(to_object < to_room, OBJECT, surface)
        shadowed = solid.enter((on_room - middle) / scale, light / scale).isfinite()
        cosine = torch.where(surface == OBJECT, solid.normal(on_object) @ light, (room_normal @ light) * ~shadowed)
        brightness = AMBIENT + (1 - AMBIENT) * cosine.clamp(min=0)
        seen = torch.stack([brightness * (surface == s) for s in (FLOOR, WALL, OBJECT)], dim=1)
        return torch.nn.functional.avg_pool2d(seen, RAYS_PER_PIXEL)

    return torch.stack([torch.stack([weights(solid, scale) for solid in SOLIDS]) for scale in scales.tolist()])


def _camera(azimuth: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Positions (A, 1, 1, 3) of the camera, and directions (A, size, size, 3) of its rays; x and z lie on the floor."""
    zero, one = torch.zeros_like(azimuth), torch.ones_like(azimuth)
    backward = torch.stack([azimuth.sin(), zero, azimuth.cos()], dim=-1)
    right = torch.stack([azimuth.cos(), zero, -azimuth.sin()], dim=-1)
    height = torch.stack([zero, one, zero], dim=-1)
    camera = CAMERA_DISTANCE * backward + CAMERA_HEIGHT * height
    forward = torch.nn.functional.normalize(LOOK_AT_HEIGHT * height - camera, dim=-1)
    up = torch.linalg.cross(right, forward)
    offsets = ((torch.arange(size) + 0.5) * (2 / size) - 1) * HALF_FIELD_OF_VIEW
    camera, forward, right, up = (vector[:, None, None] for vector in (camera, forward, right, up))
    return camera, forward + offsets[None, :, None] * right - offsets[:, None, None] * up


def _room(camera: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
    """Multiple of each ray at which it leaves the room, which has no ceiling, and the inward normal there."""
    floor = torch.where(rays[..., 1] < 0, -CAMERA_HEIGHT / rays[..., 1], torch.inf)
    walls = torch.maximum((ROOM_HALF_WIDTH - camera) / rays, (-ROOM_HALF_WIDTH - camera) / rays)
    leave, axis = torch.stack([walls[..., 0], floor, walls[..., 2]], dim=-1).min(dim=-1)
    return leave, -torch.eye(3)[axis] * rays.sign()


def _even(first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(first, last, steps) if steps > 1 else torch.tensor([(first + last) / 2])
