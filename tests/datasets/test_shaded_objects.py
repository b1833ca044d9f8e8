from __future__ import annotations

import colorsys
import math

import pytest
import torch
from torch import Tensor

from torchdisentangle.datasets.shaded_objects import (
    AMBIENT,
    CAMERA_DISTANCE,
    CAMERA_HEIGHT,
    HALF_FIELD_OF_VIEW,
    LIGHT,
    LOOK_AT_HEIGHT,
    ROOM_HALF_WIDTH,
    ShadedObjects,
    hue_to_rgb,
)
from torchdisentangle.datasets.solids import SPHERE_RADIUS

SIZE = 32
RED, GREEN, BLUE = range(3)


@pytest.fixture(scope="module")
def dataset() -> ShadedObjects:
    """Three hues, so that floor, wall and object can be a colour channel each."""
    return ShadedObjects(SIZE, factor_sizes=(3, 3, 3, 8, 15))


def all_views(dataset: ShadedObjects, floor: int, wall: int, thing: int) -> Tensor:
    grid = dataset.sub_grid(floor_hue=floor, wall_hue=wall, object_hue=thing)
    return grid.render(grid.index_to_factors(torch.arange(len(grid))))


def test_hues_are_those_of_the_standard_library() -> None:
    hues = torch.linspace(0, 1, 101)
    wanted = torch.tensor([colorsys.hsv_to_rgb(hue, 1, 1) for hue in hues.tolist()])
    torch.testing.assert_close(hue_to_rgb(hues), wanted, rtol=0, atol=1e-5)  # float32, times 6


def test_each_hue_colours_its_surface_only(dataset: ShadedObjects) -> None:
    images = all_views(dataset, RED, GREEN, BLUE)
    assert images.min() >= 0
    assert images.max() <= 1
    assert images[:, RED, -1].min() > 0  # the bottom row is floor
    assert images[:, [GREEN, BLUE], -1].max() == 0
    assert images[:, GREEN, 0].min() > 0  # the top row is wall
    assert images[:, [RED, BLUE], 0].max() == 0
    alone = (images[:, BLUE] > 0) & (images[:, [RED, GREEN]] == 0).all(1)
    assert alone.all(0).any()  # there is a pixel which is object in all views
    swapped = all_views(dataset, BLUE, RED, GREEN)
    assert torch.equal(swapped, images[:, [GREEN, BLUE, RED]])


def test_all_views_differ_even_if_everything_is_red(dataset: ShadedObjects) -> None:
    images = all_views(dataset, RED, RED, RED)
    assert images[:, [GREEN, BLUE]].max() == 0
    views = (images * 255).round().to(torch.uint8).flatten(1)  # also as they would be stored
    assert len(views.unique(dim=0)) == len(views) == 8 * 4 * 15


@pytest.mark.parametrize("shape", range(4))
def test_object_grows_with_scale(dataset: ShadedObjects, shape: int) -> None:
    factors = torch.tensor([[RED, GREEN, BLUE, 0, shape, 7]]).repeat(8, 1)
    factors[:, 3] = torch.arange(8)
    area = (dataset.render(factors)[:, BLUE] > 0).sum((1, 2))
    assert (area.diff() > 0).all()


def test_area_of_the_sphere_is_its_perspective_projection(dataset: ShadedObjects) -> None:
    factors = torch.tensor([[RED, GREEN, BLUE, 0, 2, 7]]).repeat(8, 1)
    factors[:, 3] = torch.arange(8)
    images = dataset.render(factors)
    area = (images[:, BLUE] > images[:, [RED, GREEN]].amax(1)).double().mean((1, 2))
    for scale, measured in zip(dataset.factor_values(factors)[:, 3].tolist(), area.tolist(), strict=True):
        to_sphere = (CAMERA_DISTANCE, CAMERA_HEIGHT - scale / 2)
        to_target = (CAMERA_DISTANCE, CAMERA_HEIGHT - LOOK_AT_HEIGHT)
        off_axis = math.atan2(to_sphere[1], to_sphere[0]) - math.atan2(to_target[1], to_target[0])
        sine = SPHERE_RADIUS * scale / math.hypot(*to_sphere)
        # A cone of half-angle a about an axis off by t cuts the image plane in an ellipse of semi-axes
        # sin a cos a / (cos^2 t - sin^2 a) and sin a / sqrt(cos^2 t - sin^2 a).
        ellipse = math.pi * sine**2 * math.sqrt(1 - sine**2) / (math.cos(off_axis) ** 2 - sine**2) ** 1.5
        # Pixels on the border, about 50 in 300, count as object if it is the brightest there: a bias of a third of
        # a pixel makes 5 %; the next scale is 15 % larger.
        assert measured == pytest.approx(ellipse / (2 * HALF_FIELD_OF_VIEW) ** 2, rel=0.06)


def test_orientation_moves_the_corner_of_the_room(dataset: ShadedObjects) -> None:
    factors = torch.tensor([[RED, GREEN, BLUE, 0, 3, 0]]).repeat(15, 1)
    factors[:, 5] = torch.arange(15)
    top = dataset.render(factors)[:, GREEN, 0]
    found = top.diff(dim=1).abs().argmax(1) + 1  # the two walls meet in front of this column
    pitch = math.atan2(CAMERA_HEIGHT - LOOK_AT_HEIGHT, CAMERA_DISTANCE)
    ahead = math.cos(pitch) + HALF_FIELD_OF_VIEW * (1 - 1 / SIZE) * math.sin(pitch)  # of the top row's rays
    angle = torch.deg2rad(dataset.factor_values(factors)[:, 5])
    corner = math.sqrt(2) * ROOM_HALF_WIDTH
    across = ahead * corner * angle.sin() / (CAMERA_DISTANCE + corner * angle.cos())
    column = (across / HALF_FIELD_OF_VIEW + 1) * SIZE / 2
    # The jump is in the pixel which the corner is in, or at one of its sides.
    assert (found - column).abs().max() <= 1


def pixels_of(points: Tensor, size: int) -> Tensor:
    """Rows and columns (N, 2) at which the middle camera, 45 degrees from both walls, sees points of the room."""
    half = math.sqrt(0.5)
    backward, right = torch.tensor([half, 0.0, half]), torch.tensor([half, 0.0, -half])
    offset = points - CAMERA_DISTANCE * backward - torch.tensor([0.0, CAMERA_HEIGHT, 0.0])
    pitch = math.atan2(CAMERA_HEIGHT - LOOK_AT_HEIGHT, CAMERA_DISTANCE)
    forward = -math.cos(pitch) * backward - torch.tensor([0.0, math.sin(pitch), 0.0])
    up = -math.sin(pitch) * backward + torch.tensor([0.0, math.cos(pitch), 0.0])
    across, above = (offset @ axis / (offset @ forward) / HALF_FIELD_OF_VIEW for axis in (right, up))
    return (torch.stack([1 - above, 1 + across], dim=-1) * size / 2).long()


@pytest.fixture(scope="module")
def close_up() -> Tensor:
    """A sphere of scale 1 from the middle camera, in 256 x 256 pixels."""
    return ShadedObjects(256, factor_sizes=(3, 3, 3, 1, 1)).render(torch.tensor([[RED, GREEN, BLUE, 0, 2, 0]]))[0]


def test_sphere_is_shaded_by_lamberts_law(close_up: Tensor) -> None:
    normal = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    camera = torch.tensor([math.sqrt(0.5) * CAMERA_DISTANCE, CAMERA_HEIGHT - 0.5, math.sqrt(0.5) * CAMERA_DISTANCE])
    facing = (normal * torch.nn.functional.normalize(camera - SPHERE_RADIUS * normal, dim=-1)).sum(-1)
    normal = normal[facing > 0.25]  # well inside the visible half
    row, column = pixels_of(SPHERE_RADIUS * normal + torch.tensor([0.0, 0.5, 0.0]), 256).T
    cosine = normal @ torch.nn.functional.normalize(torch.tensor(LIGHT), dim=0)
    assert cosine.min() < -0.1  # some of it in its own shade
    # The radius is about 48 pixels, so that half a pixel is at most 1/20 in the normal where the sphere is steep.
    wanted = AMBIENT + (1 - AMBIENT) * cosine.clamp(min=0)
    torch.testing.assert_close(close_up[BLUE, row, column], wanted, rtol=0, atol=0.05 * (1 - AMBIENT))


def test_sphere_throws_its_shadow_on_the_floor(close_up: Tensor) -> None:
    light = torch.nn.functional.normalize(torch.tensor(LIGHT), dim=0)
    grid = torch.linspace(-1.2, 0.6, 61)
    x, z = (axis.flatten() for axis in torch.meshgrid(grid, grid, indexing="ij"))
    points = torch.stack([x, torch.zeros_like(x), z], dim=-1)
    to_middle = torch.tensor([0.0, 0.5, 0.0]) - points
    past = (to_middle - (to_middle @ light)[:, None] * light).norm(dim=-1)  # of the middle, on the way to the lamp
    row, column = pixels_of(points, 256).T
    floor = close_up[RED, row, column]
    free = (close_up[BLUE, row, column] == 0) & ((past - SPHERE_RADIUS).abs() > 0.05)  # a pixel is 0.03 deep there
    shadow = past < SPHERE_RADIUS
    assert (free & shadow).sum() > 20
    torch.testing.assert_close(floor[free & shadow], torch.full_like(floor[free & shadow], AMBIENT))
    lit = AMBIENT + (1 - AMBIENT) * float(light[1])
    torch.testing.assert_close(floor[free & ~shadow], torch.full_like(floor[free & ~shadow], lit))


def test_items_are_rendered_factors(dataset: ShadedObjects) -> None:
    factors = dataset.sample_factors(20, torch.Generator().manual_seed(0))
    images = dataset.render(factors)
    assert images.shape == (20, 3, SIZE, SIZE)
    assert images.dtype == torch.float32
    for index, image in zip(dataset.factors_to_index(factors).tolist(), images, strict=True):
        torch.testing.assert_close(dataset[index][0], image, rtol=0, atol=1e-6)  # batched products may round otherwise


def test_bad_arguments_are_refused(dataset: ShadedObjects) -> None:
    with pytest.raises(ValueError, match="positive"):
        ShadedObjects(0)
    with pytest.raises(ValueError, match="positive size"):
        ShadedObjects(8, factor_sizes=(10, 10, 10, 8))
    with pytest.raises(ValueError, match="shape has values 0 to 3, got 4"):
        dataset.render(torch.tensor([[0, 0, 0, 0, 4, 0]]))
