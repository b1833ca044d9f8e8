from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchdisentangle.datasets.solids import CAPSULE_RADIUS, CUBE_HALF_SIDE, CYLINDER_RADIUS, SOLIDS, SPHERE_RADIUS

# The same solids once more, as signed distances, from which points, insides and normals follow independently.


def distance_to_box(offset: Tensor) -> Tensor:
    return offset.clamp(min=0).norm(dim=-1) + offset.amax(-1).clamp(max=0)


def cube(point: Tensor) -> Tensor:
    return distance_to_box(point.abs() - torch.tensor([CUBE_HALF_SIDE, 0.5, CUBE_HALF_SIDE]))


def cylinder(point: Tensor) -> Tensor:
    radial = point[..., ::2].norm(dim=-1) - CYLINDER_RADIUS
    return distance_to_box(torch.stack([radial, point[..., 1].abs() - 0.5], dim=-1))


def sphere(point: Tensor) -> Tensor:
    return point.norm(dim=-1) - SPHERE_RADIUS


def capsule(point: Tensor) -> Tensor:
    core = torch.zeros_like(point)
    core[..., 1] = point[..., 1].clamp(-(0.5 - CAPSULE_RADIUS), 0.5 - CAPSULE_RADIUS)
    return (point - core).norm(dim=-1) - CAPSULE_RADIUS


DISTANCES = (cube, cylinder, sphere, capsule)


def rays(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    origin = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1) * 3
    return origin, torch.randn(n, 3, generator=generator) * 0.5 - origin


@pytest.mark.parametrize(("number", "distance"), list(enumerate(DISTANCES)))
def test_rays_enter_on_the_surface_along_the_normal(number: int, distance: Callable[[Tensor], Tensor]) -> None:
    origin, ray = rays(2000, number)
    enter = SOLIDS[number].enter(origin, ray)
    hit = enter.isfinite()
    assert 0.2 < hit.float().mean() < 0.9  # the sample has both
    point = (origin + enter[:, None] * ray)[hit].requires_grad_()
    height = distance(point)
    # A quadratic in float32 with coefficients about 10 loses digits in grazing rays: sqrt(1e-6) at the very worst.
    assert height.abs().max() < 2e-3
    assert height.abs().median() < 1e-6
    (gradient,) = torch.autograd.grad(height.sum(), point)
    normal = SOLIDS[number].normal(point.detach())
    torch.testing.assert_close(normal.norm(dim=-1), torch.ones(len(point)))
    assert ((normal * ray[hit]).sum(-1) < 1e-3).all()  # a ray enters against the normal
    smooth = (gradient.norm(dim=-1) - 1).abs() < 1e-3
    agreement = (normal * gradient).sum(-1)[smooth]
    assert smooth.float().mean() > 0.5
    assert (agreement > 0.999).float().mean() > 0.99  # the rest is edges, where the normal jumps


@pytest.mark.parametrize(("number", "distance"), list(enumerate(DISTANCES)))
def test_rays_are_outside_before_they_enter_and_misses_never_enter(
    number: int, distance: Callable[[Tensor], Tensor]
) -> None:
    origin, ray = rays(500, 10 + number)
    enter = SOLIDS[number].enter(origin, ray)
    steps = torch.linspace(0, 2, 2001)
    inside = distance(origin[:, None] + steps[:, None] * ray[:, None]) < -1e-3
    before = steps < enter[:, None]
    assert not (inside & before).any()
    just_after = origin + (enter + 1e-2)[:, None] * ray
    # A ray that enters is inside shortly after, but for those that only cut a rim.
    assert (distance(just_after[enter.isfinite()]) < 0).float().mean() > 0.95


@pytest.mark.parametrize("number", range(4))
def test_rays_that_point_away_or_run_along_an_axis(number: int) -> None:
    origin = torch.tensor([[0.0, 2.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.1, 0.0], [2.0, 0.9, 0.0]])
    ray = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    enter = SOLIDS[number].enter(origin, ray)
    assert enter.isfinite().tolist() == [False, True, True, False]
    assert enter[1].item() == pytest.approx(1.5)  # all solids are of height 1
