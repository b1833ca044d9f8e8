"""Gaussian total correlation and Wasserstein correlation: closed forms and singular covariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torch import Tensor

from torchdisentangle import functional as F

WEAK = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 4.0]], dtype=torch.float64)


def covariance(seed: int, size: int = 4) -> Tensor:
    codes = torch.randn(50, size, generator=torch.Generator().manual_seed(seed)).double()
    return codes.mT @ codes / 50


def test_known_values() -> None:
    pair = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    assert float(F.gaussian_total_correlation(pair)) == pytest.approx(0.830366, abs=1e-6)
    assert float(F.gaussian_wasserstein_correlation(pair)) == pytest.approx(0.610735, abs=1e-6)
    assert float(F.gaussian_total_correlation(WEAK)) == pytest.approx(0.0797910, abs=1e-7)
    assert float(F.gaussian_wasserstein_correlation(WEAK)) == pytest.approx(0.106232, abs=1e-6)
    assert float(F.gaussian_wasserstein_correlation(WEAK, normalize=True)) == pytest.approx(0.0151760, abs=1e-7)
    for rho, expected in ((0.5, 0.143841), (0.8, 0.510826)):
        pair = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
        assert float(F.gaussian_total_correlation(pair)) == pytest.approx(expected, abs=1e-6)
    for value in (F.gaussian_total_correlation(torch.eye(3)), F.gaussian_wasserstein_correlation(torch.eye(3))):
        assert float(value) == pytest.approx(0.0, abs=1e-6)


@given(st.integers(0, 10_000))
def test_wasserstein_by_a_matrix_square_root(seed: int) -> None:
    sigma = covariance(seed)
    expected = 2 * np.trace(sigma) - 2 * np.trace(sqrtm(np.diag(np.diag(sigma)) @ sigma.numpy()).real)
    assert float(F.gaussian_wasserstein_correlation(sigma)) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 100), min_size=4, max_size=4))
def test_total_correlation_does_not_see_scales(seed: int, scales: list[float]) -> None:
    sigma, scale = covariance(seed), torch.tensor(scales, dtype=torch.float64)
    value = F.gaussian_total_correlation(scale[:, None] * sigma * scale)
    torch.testing.assert_close(value, F.gaussian_total_correlation(sigma), rtol=1e-9, atol=1e-9)


def test_singular_covariances_are_finite() -> None:
    twice = torch.ones(2, 2, dtype=torch.float64)
    assert 15 < float(F.gaussian_total_correlation(twice)) < 17
    assert float(F.gaussian_wasserstein_correlation(twice, normalize=True)) == pytest.approx(2 - math.sqrt(2))
    with_constant = torch.zeros(4, 4, dtype=torch.float64)
    with_constant[:3, :3] = WEAK
    assert float(F.gaussian_total_correlation(with_constant)) == pytest.approx(0.0797910, abs=1e-7)
    assert float(F.gaussian_wasserstein_correlation(with_constant)) == pytest.approx(0.106232, abs=1e-6)
    zero = torch.zeros(3, 3)
    assert float(F.gaussian_total_correlation(zero)) == 0
    assert float(F.gaussian_wasserstein_correlation(zero)) == 0
    assert float(F.gaussian_wasserstein_correlation(zero, normalize=True)) == 0


def test_gradients_and_refusals() -> None:
    sigma = covariance(0).requires_grad_()
    for function in (F.gaussian_total_correlation, F.gaussian_wasserstein_correlation):
        assert torch.autograd.gradcheck(lambda x, f=function: f((x + x.mT) / 2), sigma)
        with pytest.raises(ValueError, match=r"\(d, d\) is needed, got \(2, 3\)"):
            function(torch.zeros(2, 3))
        with pytest.raises(ValueError, match="finite"):
            function(torch.full((2, 2), math.nan))
