"""Information in bins against closed forms, bounds, and a computation with SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import norm
from torch import Tensor

from torchdisentangle.functional import binned_informativeness, misjed, quantize_posterior
from torchdisentangle.functional.informativeness.quantization import (
    LatentEntropies,
    mutual_information_of,
    pairwise_bin_sums,
    symmetric_matrix,
)
from torchdisentangle.functional.supervised.information import entropy, mutual_information

WIDTH = 8 / 100


def gaussian_channel(tau: float, sigma: float, num_rows: int = 3000) -> tuple[Tensor, Tensor]:
    """Means that are quantiles of N(0, tau^2), one latent of constant posterior width."""
    level = (torch.arange(num_rows, dtype=torch.float64) + 0.5) / num_rows
    mean = tau * torch.special.ndtri(level)[:, None]
    return mean, torch.full_like(mean, 2 * math.log(sigma))


@pytest.mark.parametrize("sigma", [1.0, 0.5, 0.3, 0.1])
def test_gaussian_channel(sigma: float) -> None:
    r"""I = 1/2 log(1 + 1/sigma^2); bins lose at most about what uniform noise of a bin's width hides."""
    truth = 0.5 * math.log(1 + 1 / sigma**2)
    value = binned_informativeness(*gaussian_channel(1.0, sigma)).item()
    assert value < truth
    assert value > truth - 0.5 * math.log(1 + WIDTH**2 / (12 * sigma**2)) - 1e-3  # 1e-3: 3,000 quantiles; the open ends


@pytest.mark.parametrize(("sigma", "published"), [(0.5, 0.80414), (1.0, 0.34075), (0.1, 2.30725)])
def test_reference_mode_gives_the_reference_numbers(sigma: float, published: float) -> None:
    value = binned_informativeness(*gaussian_channel(1.0, sigma), mode="reference").item()
    assert value == pytest.approx(published, abs=2e-4)  # of another number of quantiles


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.9])
def test_a_channel_matched_to_the_prior_tells_minus_log_sigma(sigma: float) -> None:
    value = binned_informativeness(*gaussian_channel(math.sqrt(1 - sigma**2), sigma)).item()
    assert value == pytest.approx(-math.log(sigma), abs=0.5 * math.log(1 + WIDTH**2 / (12 * sigma**2)) + 1e-3)


def test_entropy_is_the_differential_entropy_in_bins() -> None:
    bins = quantize_posterior(*gaussian_channel(0.8, 0.5))
    expected = 0.5 * math.log(2 * math.pi * math.e * (0.8**2 + 0.5**2)) - math.log(WIDTH)
    assert entropy(bins.mean(0)).item() == pytest.approx(expected, abs=1e-3)  # 3,000 quantiles instead of all


def test_agreement_with_scipy() -> None:
    generator = np.random.default_rng(0)
    mean, log_variance = generator.normal(size=(2, 50, 3))
    edges = np.concatenate([[-np.inf], np.linspace(-2, 2, 9)[1:-1], [np.inf]])
    cdf = norm.cdf(edges, mean[..., None], np.exp(0.5 * log_variance)[..., None])
    q = np.diff(cdf, axis=-1)
    total = q.mean(0)
    expected = rel_entr(q, np.broadcast_to(total, q.shape)).sum(-1).mean(0)  # mean divergence from the aggregate
    value = binned_informativeness(torch.tensor(mean), torch.tensor(log_variance), (-2.0, 2.0), 8)
    np.testing.assert_allclose(value, expected, rtol=1e-10)


@given(st.lists(st.tuples(st.floats(-12, 12), st.floats(-200, 6)), min_size=2, max_size=12), st.integers(2, 40))
def test_bounds(rows: list[tuple[float, float]], num_bins: int) -> None:
    """Between 0 and the smaller of log N and log B, wherever the posteriors are and however narrow."""
    mean, log_variance = torch.tensor(rows, dtype=torch.float64)[:, :, None].unbind(1)
    value = binned_informativeness(mean, log_variance, num_bins=num_bins).item()
    assert 0 <= value <= min(math.log(len(rows)), math.log(num_bins)) + 1e-12


def test_what_lies_outside_the_bounds_is_in_the_outer_bins() -> None:
    mean = torch.tensor([[-50.0], [-5.0], [5.0], [50.0]]).double()
    bins = quantize_posterior(mean, torch.full_like(mean, -8.0))
    assert bins[:2, 0, 0].tolist() == bins[2:, 0, -1].tolist() == [1.0, 1.0]
    assert binned_informativeness(mean, torch.full_like(mean, -8.0)).item() == pytest.approx(math.log(2))


def test_informativeness_is_a_training_penalty() -> None:
    mean, log_variance = torch.randn(6, 2).double().requires_grad_(), torch.randn(6, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: binned_informativeness(m, v, num_bins=7), (mean, log_variance))


def test_normalised_values() -> None:
    """They depend on the number of bins, which the information itself does not."""
    values = {}
    for num_bins in (100, 200):
        bins = quantize_posterior(*gaussian_channel(1.0, 0.5), num_bins=num_bins)
        entropies = LatentEntropies(entropy(bins.mean(0)), entropy(bins).mean(0))
        values[num_bins] = mutual_information_of(entropies).item(), mutual_information_of(entropies, True).item()
    assert values[100][0] == pytest.approx(values[200][0], abs=1e-3)
    assert values[100][1] == pytest.approx(0.198, abs=1e-3)
    assert values[200][1] == pytest.approx(0.169, abs=1e-3)
    nothing = LatentEntropies(torch.zeros(2), torch.zeros(2))
    assert mutual_information_of(nothing, normalize=True).tolist() == [0.0, 0.0]


def test_pairs_are_the_joint_distribution() -> None:
    bins = torch.rand(5, 4, 3).double()
    bins = bins / bins.sum(-1, keepdim=True)
    tables = pairwise_bin_sums(bins)
    assert tables.shape == (6, 3, 3)
    for table, (i, j) in zip(tables, torch.triu_indices(4, 4, 1).T.tolist(), strict=True):
        torch.testing.assert_close(table, torch.einsum("nb,nc->bc", bins[:, i], bins[:, j]))
        torch.testing.assert_close(table.sum(1), bins[:, i].sum(0))
    assert symmetric_matrix(mutual_information(tables), 4).diagonal().abs().max() == 0
    assert pairwise_bin_sums(bins[:, :1]).shape == (0, 3, 3)


def test_misjed_of_certain_latents_is_mutual_information() -> None:
    """Narrow posteriors: independent bits share nothing, equal bits share one bit."""
    bits = 2.0 * torch.cartesian_prod(torch.arange(2), torch.arange(2)).double() - 1
    mean = torch.cat([bits, bits[:, :1]], 1)
    marginal = torch.full((3,), math.log(2), dtype=torch.float64)
    value = misjed(marginal, mean)
    torch.testing.assert_close(value[0], torch.tensor([0.0, 0.0, math.log(2)], dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(value, value.T)
    torch.testing.assert_close(misjed(marginal, mean, normalize=True) * 2 * math.log(100), value)


def test_bad_input_is_refused() -> None:
    mean = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"two finite numbers that ascend, got \(4.0, -4.0\)"):
        binned_informativeness(mean, mean, (4.0, -4.0))
    with pytest.raises(ValueError, match="mode must be 'exact' or 'reference', got 'fast'"):
        binned_informativeness(mean, mean, mode="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"entropies \(d,\) and means \(N, d\)"):
        misjed(torch.zeros(3), mean)
