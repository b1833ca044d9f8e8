"""Representation topology divergence: known bars, invariances, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchdisentangle.functional.topology.rtd import (
    cross_barcode,
    quantile_normalized_distances,
    representation_topology_divergence,
    shift_latent,
)


def cloud(seed: int, n: int = 9) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distances(points: Tensor) -> Tensor:
    return quantile_normalized_distances(points)


@given(st.floats(0.1, 5), st.floats(0.1, 5))
def test_two_points(a: float, b: float) -> None:
    """One bar [b, a) in either variant, if b < a; symmetrised over both variants |a - b|."""
    pair = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    for variant in ("min", "max"):
        bars = cross_barcode(a * pair, b * pair, variant=variant)  # type: ignore[arg-type]
        assert float((bars[:, 1] - bars[:, 0]).sum()) == pytest.approx(max(a - b, 0), abs=1e-12)
    assert float(representation_topology_divergence(a * pair, b * pair)) == pytest.approx(abs(a - b), abs=1e-12)


def test_equal_clouds_do_not_diverge() -> None:
    matrix = distances(cloud(0))
    assert float(representation_topology_divergence(matrix, matrix)) == 0


def test_one_side_of_a_scaled_cloud() -> None:
    matrix = distances(cloud(0))
    there, back = cross_barcode(matrix, 2 * matrix), cross_barcode(2 * matrix, matrix)
    assert float((there[:, 1] - there[:, 0]).sum()) == pytest.approx(0, abs=1e-12)
    assert float((back[:, 1] - back[:, 0]).sum()) > 0


@settings(max_examples=10)
@given(st.permutations(range(9)))
def test_order_and_direction_do_not_matter(order: list[int]) -> None:
    a, b = distances(cloud(0)), distances(cloud(1))
    expected = float(representation_topology_divergence(a, b))
    assert expected > 0
    assert float(representation_topology_divergence(b, a)) == pytest.approx(expected, rel=1e-12)
    permuted = representation_topology_divergence(a[order][:, order], b[order][:, order])
    assert float(permuted) == pytest.approx(expected, rel=1e-12)


def test_gradient_is_that_of_finite_differences() -> None:
    """The bars are entries of the matrices, so away from ties the divergence is smooth."""
    start, other, direction, step = cloud(0), distances(cloud(1)), cloud(2), 1e-6
    points = start.clone().requires_grad_()
    representation_topology_divergence(distances(points), other).backward()
    assert points.grad is not None
    up, down = (
        representation_topology_divergence(distances(start + sign * step * direction), other) for sign in (1, -1)
    )
    slope = float((up - down) / (2 * step))
    assert abs(slope) > 1e-3
    assert float((points.grad * direction).sum()) == pytest.approx(slope, rel=1e-5)  # central differences: step^2


def test_distances_are_free_of_scale_and_finite_where_points_coincide() -> None:
    points = cloud(0)
    torch.testing.assert_close(distances(5 * points), distances(points))
    same = torch.ones(4, 2, requires_grad=True)
    matrix = distances(same)
    assert (matrix == 0).all()
    matrix.sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()


def test_shift_keeps_the_distribution_and_the_other_latents() -> None:
    z = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved, kept = shift_latent(z, 1, 1 / 8)
    assert kept.float().mean() == pytest.approx(7 / 8, abs=0.02)  # the last eighth leaves (0, 1)
    assert torch.equal(moved[:, [0, 2]], z[kept][:, [0, 2]])
    level = torch.special.ndtr((z[kept][:, 1] - z[:, 1].mean()) / z[:, 1].std(correction=0))
    found = torch.special.ndtr((moved[:, 1] - z[:, 1].mean()) / z[:, 1].std(correction=0))
    torch.testing.assert_close(found, level + 1 / 8, rtol=0, atol=1e-9)
    back, _ = shift_latent(z, 1, 0.0)
    torch.testing.assert_close(back, z)


def test_bad_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="square matrices of one size"):
        representation_topology_divergence(torch.zeros(2, 2), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="finite"):
        representation_topology_divergence(torch.full((2, 2), math.nan), torch.zeros(2, 2))


def test_a_penalty_does_not_shrink_the_data() -> None:
    """The divergence of normalised distances is that of scaled clouds, so its gradient has no part along their scale.

    With a quantile that is a constant to autograd it has one, and pulls the decoded images together.
    """
    a, b = cloud(0).requires_grad_(), cloud(1)
    representation_topology_divergence(distances(a), distances(b)).backward()
    assert a.grad is not None
    assert float(a.grad.abs().max()) > 1e-2
    assert float((a.grad * a).sum()) == pytest.approx(0, abs=1e-12)
