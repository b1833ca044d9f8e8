"""The constants of the probe estimator, against numerical integration and simulated Wishart matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2, wishart

from torchdisentangle.functional.manifold.wishart import log_volume_bias, pairwise_bias


@pytest.mark.parametrize("num_probes", [2, 3, 8, 100])
def test_bias_by_integration(num_probes: int) -> None:
    """det W / det G is a product of independent chi-squared variables of m, m - 1, ... degrees of freedom."""
    expected = [0.0]
    for degrees in range(num_probes, max(num_probes - 4, 0), -1):
        integral, _ = quad(lambda t, k=degrees: t * chi2.pdf(math.exp(t), k) * math.exp(t), -60, 10, limit=500)
        expected.append(expected[-1] + 0.5 * integral)
    found = log_volume_bias(len(expected) - 1, num_probes)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)  # what quad promises


def test_bias_by_simulation() -> None:
    scale = np.array([[2.0, 1.2, 0.0], [1.2, 1.0, 0.3], [0.0, 0.3, 0.5]])
    samples = wishart.rvs(7, scale, size=20_000, random_state=0)
    half = 0.5 * np.linalg.slogdet(samples)[1] - 0.5 * np.linalg.slogdet(scale)[1]
    assert abs(half.mean() - log_volume_bias(3, 7)[3]) < 5 * half.std() / math.sqrt(20_000)


def test_many_probes_have_no_bias_but_their_scale() -> None:
    bias = torch.tensor(log_volume_bias(3, 10**6)).double()
    torch.testing.assert_close(bias, 0.5 * math.log(10**6) * torch.arange(4).double(), rtol=0, atol=1e-5)
    assert 0 < pairwise_bias(10**6) < 1e-6


def test_too_few_probes() -> None:
    assert len(log_volume_bias(0, 1)) == 1
    with pytest.raises(ValueError, match="volume of 3 latents needs at least as many probes, got 2"):
        log_volume_bias(3, 2)
    with pytest.raises(ValueError, match="at least as many probes, got 1"):
        pairwise_bias(1)
