from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchdisentangle.datasets.sprites import ELLIPSE_SEMI_AXES, HEART_AREA, HEART_SIZE, SQUARE_HALF_SIDE, Sprites

AREAS = (4 * SQUARE_HALF_SIDE**2, math.pi * math.prod(ELLIPSE_SEMI_AXES), HEART_AREA * HEART_SIZE**2)
SYMMETRY = (10, 20, 40)  # orientations after which a square, an ellipse, a heart looks the same


def factors_of(shape: int, **varied: Tensor) -> Tensor:
    """Factors of the largest shape, upright, near the centre, with some of the factors varied."""
    n = max((len(values) for values in varied.values()), default=1)
    factors = torch.tensor([shape, 5, 0, 16, 16]).repeat(n, 1)
    for name, values in varied.items():
        factors[:, Sprites.factor_names.index(name)] = values
    return factors


def moments(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Area (N,), centroid (N, 2) and covariance (N, 2, 2) of the ink, on the canvas [-1, 1]^2, right and down."""
    size = images.shape[-1]
    ink = images[:, 0].double() * (2 / size) ** 2
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * (2 / size) - 1
    down, right = torch.meshgrid(centres, centres, indexing="ij")
    points = torch.stack([right, down], dim=-1)
    area = ink.sum((1, 2))
    centroid = torch.einsum("nhw,hwk->nk", ink, points) / area[:, None]
    offset = points - centroid[:, None, None]
    covariance = torch.einsum("nhw,nhwk,nhwl->nkl", ink, offset, offset) / area[:, None, None]
    return area, centroid, covariance


@pytest.mark.parametrize("shape", range(3))
def test_area_grows_with_the_square_of_scale(shape: int) -> None:
    dataset = Sprites(image_size=128, antialias=True)
    factors = factors_of(shape, scale=torch.arange(6))
    area, _, _ = moments(dataset.render(factors))
    scale = dataset.factor_values(factors)[:, 1].double()
    # The border is 200 pixels long and blended with an error far below a pixel each: 1 % of the area is generous,
    # while one scale step changes it by 20 % or more.
    torch.testing.assert_close(area, AREAS[shape] * scale**2, rtol=0.01, atol=0)


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize("antialias", [False, True])
def test_centroid_is_the_position_at_every_orientation(shape: int, antialias: bool) -> None:
    dataset = Sprites(antialias=antialias)
    factors = dataset.sample_factors(100, torch.Generator().manual_seed(shape))
    factors[:, 0] = shape
    _, centroid, _ = moments(dataset.render(factors))
    # A pixel is 1/32, and a position step 1/31. Rounding the border of an upright square to whole pixels moves its
    # centroid by up to half a pixel; blended borders by far less.
    tolerance = 0.5 / 32 if not antialias else 0.05 / 32
    torch.testing.assert_close(centroid, dataset.factor_values(factors)[:, 3:].double(), rtol=0, atol=tolerance)


def test_orientation_turns_the_long_axis_of_the_ellipse_anticlockwise() -> None:
    dataset = Sprites(antialias=True)
    factors = factors_of(1, orientation=torch.arange(40))
    _, _, covariance = moments(dataset.render(factors))
    # Angle of the principal axis from second moments; rows grow downwards, so anticlockwise is negative.
    angle = -0.5 * torch.atan2(2 * covariance[:, 0, 1], covariance[:, 0, 0] - covariance[:, 1, 1])
    error = angle - dataset.factor_values(factors)[:, 2].double()
    wrapped = torch.remainder(error + math.pi / 2, math.pi) - math.pi / 2  # an axis has no direction
    assert wrapped.abs().max() < math.radians(0.5)  # a step is 9 degrees


def test_orientation_turns_the_tip_of_the_heart_anticlockwise() -> None:
    dataset = Sprites(antialias=True)
    upright, quarter, half, three_quarters = dataset.render(factors_of(2, orientation=torch.tensor([0, 10, 20, 30])))
    # Turning the grid about its centre turns the heart about the canvas's, so its position has to be turned along.
    positions = torch.tensor([[16, 16], [16, 15], [15, 15], [15, 16]])
    turned = dataset.render(
        factors_of(2, orientation=torch.tensor([0, 10, 20, 30]), x=positions[:, 0], y=positions[:, 1])
    )
    for k in range(4):
        torch.testing.assert_close(turned[k], upright.rot90(k, (1, 2)), rtol=0, atol=1e-4)  # rounding at slopes of 32
    assert len({image.numpy().tobytes() for image in (upright, quarter, half, three_quarters)}) == 4


@pytest.mark.parametrize("shape", range(3))
def test_second_moments_are_those_of_the_shape(shape: int) -> None:
    dataset = Sprites(image_size=128, antialias=True)
    _, _, covariance = moments(dataset.render(factors_of(shape)))
    a, b = ELLIPSE_SEMI_AXES
    if shape == 0:
        wanted = torch.eye(2).double() * SQUARE_HALF_SIDE**2 / 3
    elif shape == 1:
        wanted = torch.diag(torch.tensor([a**2, b**2], dtype=torch.float64)) / 4
    else:  # of the heart only the symmetry is asked: upright, it is its own mirror image
        wanted = torch.diag(covariance[0].diagonal())
    # Blended borders put ink up to half a pixel, 1/128, too far out: 2 % of moments of about 0.03, and in the mixed
    # moment, where it cancels, a thousandth of that.
    torch.testing.assert_close(covariance[0], wanted, rtol=0.02, atol=5e-5)


def test_blended_pixels_are_the_inked_fraction() -> None:
    fine, coarse = Sprites(image_size=512), Sprites(image_size=64, antialias=True)
    factors = coarse.sample_factors(60, torch.Generator().manual_seed(0))
    fraction = torch.nn.functional.avg_pool2d(fine.render(factors), 8)
    error = (coarse.render(factors) - fraction).abs()
    # A straight border at 45 degrees through a pixel is off by at most 1/8 (distance against area), a corner by 1/4;
    # counting 64 points adds up to 1/16.
    assert error.amax() < 0.3
    assert error[error > 0].mean() < 0.06


@pytest.mark.parametrize("shape", range(3))
def test_shape_repeats_after_its_symmetry_and_not_before(shape: int) -> None:
    dataset = Sprites(antialias=True)
    images = dataset.render(factors_of(shape, orientation=torch.arange(40)))
    period = SYMMETRY[shape]
    distance = (images - images[:1]).abs().amax((1, 2, 3))
    same = torch.arange(40) % period == 0
    assert distance[same].max() < 1e-4  # rounding in float32, amplified by the border's slope of 32
    assert distance[~same].min() > 0.1


def test_all_images_of_a_sub_grid_without_symmetries_differ() -> None:
    grid = Sprites().sub_grid(orientation=range(10), x=slice(10, 14), y=slice(10, 14))
    images = grid.render(grid.index_to_factors(torch.arange(len(grid))))
    assert len(images) == 3 * 6 * 10 * 4 * 4
    assert len(images.flatten(1).unique(dim=0)) == len(images)


@pytest.mark.parametrize("image_size", [32, 64, 65])
def test_no_sprite_touches_the_border(image_size: int) -> None:
    dataset = Sprites(image_size, antialias=True)
    grid = dataset.sub_grid(scale=5, x=[0, 31], y=[0, 31])
    images = grid.render(grid.index_to_factors(torch.arange(len(grid))))
    assert images.shape == (480, 1, image_size, image_size)
    edges = torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]])
    assert edges.max() == 0
    assert images.min() == 0
    assert images.max() == 1


def test_binary_image_is_the_blended_one_rounded() -> None:
    factors = Sprites().sample_factors(50, torch.Generator().manual_seed(0))
    binary, blended = Sprites().render(factors), Sprites(antialias=True).render(factors)
    assert set(binary.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(binary, (blended > 0.5).float())


def test_a_batch_of_mixed_shapes_equals_its_images_alone() -> None:
    dataset = Sprites(image_size=32)
    factors = dataset.sample_factors(20, torch.Generator().manual_seed(0))
    assert torch.equal(dataset.render(factors), torch.cat([dataset.render(row[None]) for row in factors]))
    assert torch.equal(dataset[70_000][0], dataset.render(dataset.index_to_factors(torch.tensor([70_000])))[0])
    assert dataset.render(factors[:0]).shape == (0, 1, 32, 32)


def test_a_single_position_is_the_centre() -> None:
    dataset = Sprites(image_size=32, factor_sizes=(1, 4, 1, 1))
    values = dataset.factor_values(dataset.index_to_factors(torch.arange(len(dataset))))
    assert torch.equal(values[:, 1], torch.ones(12))
    assert torch.equal(values[:, 3:], torch.zeros(12, 2))


@pytest.mark.parametrize("arguments", [{"image_size": 0}, {"factor_sizes": (6, 40)}, {"factor_sizes": (6, 0, 3, 3)}])
def test_bad_arguments_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="positive"):
        Sprites(**arguments)
