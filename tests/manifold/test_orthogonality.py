"""Distance to orthogonality: closed forms, the minimum over all signed permutations, and undetermined directions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import assert_close, random_jacobian, random_orthogonal
from torchdisentangle import DistanceToOrthogonality
from torchdisentangle.functional import distance_to_orthogonality, gram_matrix

ROTATED_BY_45_DEGREES = (4 - 2 * 2**0.5) ** 0.5  # 1.0824


def value_of(jacobian: Tensor, **settings: float) -> Tensor:
    metric = DistanceToOrthogonality(**settings)
    metric.update(jacobian)
    return metric.compute()


@given(st.floats(0, np.pi / 4), st.floats(0.01, 0.9))
def test_of_a_rotation(angle: float, ratio: float) -> None:
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float64)
    jacobian = torch.tensor([1.0, ratio], dtype=torch.float64).diag() @ turn.T
    expected = (4 - 4 * np.cos(angle)) ** 0.5
    found = distance_to_orthogonality(gram_matrix(jacobian[None]))
    assert float(found) == pytest.approx(expected, abs=1e-6)  # the root of rounding errors near 0


def test_of_45_degrees() -> None:
    jacobian = torch.tensor([[[2.0, 2.0], [-1.0, 1.0]]]).double()
    assert_close(value_of(jacobian), ROTATED_BY_45_DEGREES)
    assert_close(value_of(jacobian, normalize=True), ROTATED_BY_45_DEGREES / 2**0.5)


def test_it_is_the_least_over_all_signed_permutations() -> None:
    jacobian = random_jacobian(4, 6, 3)
    least = []
    for of_one in jacobian.numpy():
        vectors = np.linalg.svd(of_one)[2].T
        distances = []
        for order, signs in product(permutations(range(3)), product([-1, 1], repeat=3)):
            signed = np.zeros((3, 3))
            signed[range(3), order] = signs
            distances.append(np.linalg.norm(vectors - signed))
        least.append(min(distances))
    assert_close(value_of(jacobian), float(np.mean(least)))


@given(st.integers(0, 2**16))
def test_orthogonal_columns_are_at_distance_zero(seed: int) -> None:
    scales = torch.tensor([1.0, 3.0, 0.2]).double()
    jacobian = random_orthogonal(5, seed)[:, :3] * scales
    assert float(value_of(jacobian[None])) < 1e-6  # the root of rounding errors


@given(st.integers(0, 2**16))
def test_it_does_not_see_turns_of_the_data_nor_the_order_of_latents(seed: int) -> None:
    jacobian = random_jacobian(3, 6, 3, seed)
    moved = random_orthogonal(6, seed) @ jacobian[:, :, [2, 0, 1]] * 7.0
    torch.testing.assert_close(value_of(moved), value_of(jacobian), rtol=1e-6, atol=1e-6)  # of close singular values


def test_equal_singular_values_determine_nothing() -> None:
    conformal = 2.0 * torch.eye(3).expand(4, 3, 3)
    jacobian = torch.cat([conformal, torch.tensor([[[2.0, 2.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.1]]])])
    metric = DistanceToOrthogonality()
    metric.update(jacobian)
    assert metric.num_undefined == 4
    assert int(metric.num_samples) == 1
    assert_close(metric.compute(), ROTATED_BY_45_DEGREES)
    metric.reset()
    metric.update(conformal)
    assert metric.compute().isnan()
    assert metric.standard_error().isnan()
    assert distance_to_orthogonality(gram_matrix(conformal)).isnan()


def test_two_dead_latents_are_alike() -> None:
    """One has a direction of its own, two share a plane in which no direction is."""
    for num_dead, undefined in ((1, 0), (2, 1)):
        jacobian = torch.tensor([3.0, 2.0, 1.0]).diag()
        jacobian[:, 3 - num_dead :] = 0
        metric = DistanceToOrthogonality()
        metric.update(jacobian[None])
        assert metric.num_undefined == undefined


def test_the_unit_of_the_data() -> None:
    jacobian, std = random_jacobian(4, 6, 3), torch.linspace(0.5, 2.0, 6).double()
    assert_close(value_of(jacobian, data_std=std), value_of(jacobian * std[:, None]))
    assert (value_of(jacobian, data_std=std) - value_of(jacobian)).abs() > 1e-3


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="min_gap must be at least 0"):
        DistanceToOrthogonality(min_gap=-1.0)
