"""IMA contrast and Jacobian Amari distance: closed forms, invariances, and a second computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import assert_close, random_jacobian, random_orthogonal
from torchdisentangle import IMAContrast, JacobianAmariDistance, ManifoldTotalCorrelation, StatisticCollection
from torchdisentangle.functional import (
    decoder_jacobian,
    gram_matrix,
    ima_contrast,
    inverse_jacobian,
    jacobian_amari_distance,
)

seeds = st.integers(0, 2**16)
angles = st.floats(0.05, math.pi / 2)  # below, -log sin t grows and its rounding with it


def polar(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0] * z[:, 1].cos(), z[:, 0] * z[:, 1].sin()], dim=1)


def polar_inverse(x: Tensor) -> Tensor:
    return torch.stack([x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])], dim=1)


@given(angles)
def test_contrast_of_two_directions(angle: float) -> None:
    jacobian = torch.tensor([[[1.0, math.cos(angle)], [0.0, math.sin(angle)]]], dtype=torch.float64)
    assert_close(ima_contrast(gram_matrix(jacobian)), -math.log(math.sin(angle)))


def test_contrast_at_a_known_angle() -> None:
    jacobian = torch.tensor([[[1.0, math.cos(0.3)], [0.0, math.sin(0.3)]]], dtype=torch.float64)
    assert float(ima_contrast(gram_matrix(jacobian))) == pytest.approx(1.219018, abs=5e-7)  # as many digits are known


def test_a_conformal_map_has_no_contrast() -> None:
    def square(z: Tensor) -> Tensor:  # of complex numbers
        return torch.stack([z[:, 0].square() - z[:, 1].square(), 2 * z[:, 0] * z[:, 1]], dim=1)

    z = 1 + random_jacobian(1, 20, 2)[0].abs()
    assert_close(ima_contrast(gram_matrix(decoder_jacobian(square, z))), 0.0)


def test_an_encoder_tells_the_contrast_of_its_inverse() -> None:
    z = 1 + random_jacobian(1, 20, 2)[0].abs()
    stretched = torch.tensor([[1.0, 0.5], [0.0, 2.0]]).double()
    of_decoder = gram_matrix(decoder_jacobian(lambda z: polar(z) @ stretched, z))
    encoder = decoder_jacobian(lambda x: polar_inverse(x @ stretched.inverse()), polar(z) @ stretched).detach()
    assert ima_contrast(of_decoder) > 0.1
    assert_close(ima_contrast(gram_matrix(inverse_jacobian(encoder))), ima_contrast(of_decoder))
    norms = np.linalg.norm(np.linalg.inv(encoder.numpy()), axis=1)
    local = np.log(norms).sum(1) + np.linalg.slogdet(encoder.numpy())[1]
    assert_close(ima_contrast(of_decoder), float(local.mean()))


def test_a_singular_encoder_is_counted() -> None:
    contrast = IMAContrast()
    encoder = torch.stack([torch.eye(2), torch.ones(2, 2)])
    with pytest.warns(UserWarning, match="num_nonfinite"):
        contrast.update(inverse_jacobian(encoder))
    assert contrast.compute() == 0
    assert contrast.num_nonfinite == 1


@settings(max_examples=15)  # each of which differentiates twice
@given(seeds)
def test_contrast_does_not_see_how_each_source_is_measured(seed: int) -> None:
    """Permuted and transformed one by one, the sources have the same contrast at the same points."""
    mixing = random_jacobian(1, 5, 3, seed)[0]
    z = random_jacobian(1, 6, 3, seed + 1)[0]

    def decode(z: Tensor) -> Tensor:
        return (z.tanh() + z) @ mixing.T + 0.3 * z.prod(1, keepdim=True).sin()

    contrast = ima_contrast(gram_matrix(decoder_jacobian(decode, z)))
    order = torch.tensor([2, 0, 1])
    moved = z[:, order].sinh()
    other = ima_contrast(gram_matrix(decoder_jacobian(lambda u: decode(u.asinh()[:, order.argsort()]), moved)))
    torch.testing.assert_close(other, contrast, rtol=1e-7, atol=1e-9)  # the Gram matrices have random conditions


def test_contrast_is_the_total_correlation_and_shares_its_state() -> None:
    metrics = StatisticCollection([IMAContrast(), ManifoldTotalCorrelation()])
    for size in (4, 9):
        metrics.reset()
        metrics.update(random_jacobian(30, size, 4))
        values = metrics.compute()
        assert values["IMAContrast"] == values["ManifoldTotalCorrelation"] > 0
    assert len(metrics.compute_groups) == 1
    assert metrics["IMAContrast"].standard_error() == metrics["ManifoldTotalCorrelation"].standard_error()
    normalized = IMAContrast(normalize=True)
    normalized.update(random_jacobian(30, 9, 4))
    assert_close(normalized.compute(), values["IMAContrast"] / 4)


def test_only_square_jacobians_have_an_inverse() -> None:
    with pytest.raises(ValueError, match=r"square Jacobians .* got \(3, 2, 4\)"):
        inverse_jacobian(torch.zeros(3, 2, 4))


@given(seeds)
def test_amari_distance_of_scaled_permutations_is_zero(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mixing = random_jacobian(6, 7, 4, seed)
    unmixing = torch.linalg.pinv(mixing)
    scales = torch.rand(4, generator=generator).double() + 0.5
    permuted = scales[:, None] * unmixing[:, torch.randperm(4, generator=generator)]
    assert float(jacobian_amari_distance(permuted, mixing)) < 1e-12  # of squares of rounding errors


@given(angles)
def test_amari_distance_of_a_rotation(angle: float) -> None:
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    expected = min(math.tan(angle), 1 / math.tan(angle)) ** 2
    assert_close(jacobian_amari_distance(rotation[None], torch.eye(2)[None]), expected)


@pytest.mark.parametrize("size", [2, 5])
def test_amari_distance_at_its_worst(size: int) -> None:
    ones = torch.ones(3, size, size)
    assert jacobian_amari_distance(ones, torch.eye(size).expand(3, size, size)) == size - 1
    dead = torch.eye(size).repeat(3, 1, 1)
    dead[:, 0] = 0  # a row and a column of zeros, each as bad as one of equal entries
    assert_close(jacobian_amari_distance(dead, torch.eye(size).expand(3, size, size)), (size - 1) / size)


def test_amari_distance_term_by_term() -> None:
    unmixing, mixing = random_jacobian(5, 3, 6), random_jacobian(5, 6, 3, seed=1)
    total = 0.0
    for w, a in zip(unmixing.numpy(), mixing.numpy(), strict=True):
        for products in (w @ a, (w @ a).T):
            total += sum((row**2).sum() / max(row**2) - 1 for row in products) / 6
    assert_close(jacobian_amari_distance(unmixing, mixing), total / 5)


def test_amari_distance_of_an_encoder_that_turns_its_sources() -> None:
    """Not of a constant matrix: a nonlinear mixing, and an encoder that inverts it up to a rotation."""
    z = 1 + random_jacobian(1, 20, 2)[0].abs()
    turn = random_orthogonal(2)
    mixing = decoder_jacobian(polar, z)
    for rotation in (torch.eye(2).double(), turn):
        metric = JacobianAmariDistance()
        metric.update(decoder_jacobian(lambda x, m=rotation: polar_inverse(x) @ m.T, polar(z)), mixing)
        tangent = float((rotation[0, 1] / rotation[0, 0]).abs())
        assert_close(metric.compute(), min(tangent, 1 / tangent) ** 2 if tangent else 0.0)
        assert float(metric.standard_error()) < 1e-7  # the same at all points, to the root of the squares' rounding


def test_jacobians_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="as many latents as sources"):
        JacobianAmariDistance().update(torch.zeros(2, 3, 5), torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="as many latents as sources"):
        jacobian_amari_distance(torch.zeros(2, 3, 5), torch.zeros(3, 5, 3))


def test_the_figure() -> None:
    metric = JacobianAmariDistance()
    metric.update(torch.eye(2).expand(3, 2, 2), torch.eye(2).expand(3, 2, 2))
    assert metric.plot()[1].get_ylabel() == "Jacobian Amari distance"
    assert IMAContrast().plot([1.0, 0.5])[1].get_ylabel() == "IMA contrast (nats)"
