"""Where rays meet simple solids, and the normals there: all that is needed to draw them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

CUBE_HALF_SIDE = 0.45
CYLINDER_RADIUS = 0.45
SPHERE_RADIUS = 0.5
CAPSULE_RADIUS = 0.3
HALF_HEIGHT = 0.5


class Solid(NamedTuple):
    """A convex solid of height 1 about the origin, the second coordinate pointing up.

    Args:
        enter: from origins and directions of rays, each (..., 3), the multiple of the direction at which the ray enters
            the solid, (...); infinite if it does not, or starts inside.
        normal: from points of the surface (..., 3) the outward unit normals (..., 3).

    Example:
        >>> cube = SOLIDS[0]
        >>> origin, ray = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([[-1.0, 0.1, 0.1], [1.0, 0.1, 0.1]])
        >>> cube.enter(origin, ray)
        tensor([1.5500,    inf])
        >>> cube.normal(origin + 1.55 * ray[0])
        tensor([1., 0., 0.])
    """

    enter: Callable[[Tensor, Tensor], Tensor]
    normal: Callable[[Tensor], Tensor]


Interval = tuple[Tensor, Tensor]


def _slab(origin: Tensor, ray: Tensor, half: float) -> Interval:
    """Between two parallel planes; takes one coordinate."""
    first, second = (-half - origin) / ray, (half - origin) / ray
    return torch.minimum(first, second), torch.maximum(first, second)


def _round(origin: Tensor, ray: Tensor, radius: float) -> Interval:
    """A sphere if it is given three coordinates, an endless cylinder if it is given two."""
    a = (ray * ray).sum(-1).clamp(min=1e-12)  # a ray along the cylinder is nearly endlessly in it, or misses it
    b, c = (origin * ray).sum(-1), (origin * origin).sum(-1) - radius**2
    discriminant = b * b - a * c
    root = discriminant.clamp(min=0).sqrt()
    hit = discriminant > 0
    return torch.where(hit, (-b - root) / a, torch.inf), torch.where(hit, (-b + root) / a, -torch.inf)


def _enter(*intervals: Interval) -> Tensor:
    """Entry into what all the given solids share: after the last of their entries, before the first of their exits."""
    enter = torch.stack([interval[0] for interval in intervals]).amax(0)
    leave = torch.stack([interval[1] for interval in intervals]).amin(0)
    return torch.where((enter < leave) & (enter > 0), enter, torch.inf)


def _enter_cube(origin: Tensor, ray: Tensor) -> Tensor:
    halves = (CUBE_HALF_SIDE, HALF_HEIGHT, CUBE_HALF_SIDE)
    return _enter(*(_slab(origin[..., k], ray[..., k], half) for k, half in enumerate(halves)))


def _cube_normal(point: Tensor) -> Tensor:
    relative = point / torch.tensor([CUBE_HALF_SIDE, HALF_HEIGHT, CUBE_HALF_SIDE])
    return torch.eye(3)[relative.abs().argmax(-1)] * relative.sign()


def _enter_cylinder(origin: Tensor, ray: Tensor) -> Tensor:
    side = _round(origin[..., ::2], ray[..., ::2], CYLINDER_RADIUS)
    return _enter(side, _slab(origin[..., 1], ray[..., 1], HALF_HEIGHT))


def _cylinder_normal(point: Tensor) -> Tensor:
    on_lid = point[..., 1].abs() / HALF_HEIGHT > point[..., ::2].norm(dim=-1) / CYLINDER_RADIUS
    lid = torch.tensor([0.0, 1.0, 0.0]) * point.sign()
    side = torch.nn.functional.normalize(point * torch.tensor([1.0, 0.0, 1.0]), dim=-1)
    return torch.where(on_lid[..., None], lid, side)


def _enter_sphere(origin: Tensor, ray: Tensor) -> Tensor:
    return _enter(_round(origin, ray, SPHERE_RADIUS))


def _sphere_normal(point: Tensor) -> Tensor:
    return torch.nn.functional.normalize(point, dim=-1)


def _enter_capsule(origin: Tensor, ray: Tensor) -> Tensor:
    """The first entry into a cylinder or one of the spheres at its two ends."""
    half_core = HALF_HEIGHT - CAPSULE_RADIUS
    end = torch.tensor([0.0, half_core, 0.0])
    side = _round(origin[..., ::2], ray[..., ::2], CAPSULE_RADIUS)
    core = _enter(side, _slab(origin[..., 1], ray[..., 1], half_core))
    top, bottom = (_enter(_round(origin - offset, ray, CAPSULE_RADIUS)) for offset in (end, -end))
    return torch.minimum(core, torch.minimum(top, bottom))


def _capsule_normal(point: Tensor) -> Tensor:
    half_core = HALF_HEIGHT - CAPSULE_RADIUS
    nearest = torch.zeros_like(point)
    nearest[..., 1] = point[..., 1].clamp(-half_core, half_core)
    return torch.nn.functional.normalize(point - nearest, dim=-1)


SOLIDS = (
    Solid(_enter_cube, _cube_normal),
    Solid(_enter_cylinder, _cylinder_normal),
    Solid(_enter_sphere, _sphere_normal),
    Solid(_enter_capsule, _capsule_normal),
)
