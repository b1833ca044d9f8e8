"""Sampled information of latent spaces: known answers, and standard errors that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from torchdisentangle import functional as F
from torchdisentangle.functional.similarity import monte_carlo

GENERATOR = torch.Generator().manual_seed(0)
MEAN_A, MEAN_B = (torch.randn(40, d, generator=GENERATOR).double() for d in (3, 2))
MEAN_B = MEAN_B + MEAN_A[:, :2]
LOG_VARIANCE_A, LOG_VARIANCE_B = torch.full_like(MEAN_A, -1.0), torch.full_like(MEAN_B, -0.5)


def brute_force(mean: Tensor, log_variance: Tensor, num_nodes: int = 40) -> float:
    """Information of a two-dimensional space by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.outer(weights, weights).reshape(-1)
    m, v = mean.numpy(), log_variance.exp().numpy()
    total = 0.0
    for i in range(len(m)):
        u = m[i] + np.sqrt(v[i]) * grid
        density = np.exp(-0.5 * ((u[:, None] - m) ** 2 / v).sum(-1)) / np.sqrt(v.prod(-1))
        total += (weight * np.log(density[:, i] / density.mean(1))).sum()
    return total / len(m)


def test_two_points() -> None:
    estimate = F.space_information(torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 1), num_samples=20_000)
    assert abs(estimate.value / math.log(2) - 0.485944) < 4 * estimate.standard_error / math.log(2)
    assert estimate.standard_error < 0.005


def test_information_of_spaces_against_quadrature() -> None:
    estimate = F.space_similarity(MEAN_A, LOG_VARIANCE_A, MEAN_B, LOG_VARIANCE_B, num_samples=20_000)
    expected = brute_force(MEAN_B, LOG_VARIANCE_B)
    assert abs(estimate.information_b.value - expected) < 4 * estimate.information_b.standard_error
    bound = F.channel_information(F.space_coefficients(MEAN_B, LOG_VARIANCE_B))
    assert bound < expected


@pytest.mark.parametrize("log_variance", [-80.0, -800.0, -1e30])
def test_posteriors_narrower_than_rounding(log_variance: float) -> None:
    mean = torch.tensor([[-50.0], [50.0]]).double()
    estimate = F.space_information(mean, torch.full_like(mean, log_variance), num_samples=50)
    assert estimate.value == pytest.approx(math.log(2), abs=1e-12)


def test_hard_clusters() -> None:
    mean = torch.arange(16.0)[:, None] * 100
    rows, columns = (mean / 400).floor() * 400, (mean / 100) % 4 * 100
    variance = torch.zeros_like(mean)
    crossed = F.space_similarity(rows, variance, columns, variance)
    assert crossed.information_a.value == pytest.approx(math.log(4), abs=1e-12)
    assert crossed.normalized_mutual_information.value == pytest.approx(0, abs=1e-12)
    assert crossed.variation_of_information.value == pytest.approx(4 * math.log(2), abs=1e-12)
    nested = F.space_similarity(mean, variance, rows, variance)
    assert nested.normalized_mutual_information.value == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert nested.variation_of_information.value == pytest.approx(2 * math.log(2), abs=1e-12)


def test_a_space_equals_itself_rotated_in_many_dimensions() -> None:
    """20 dimensions: products of densities underflow, logarithms of sums do not."""
    generator = torch.Generator().manual_seed(1)
    mean = 30 * torch.randn(50, 20, generator=generator).double()
    rotation, _ = torch.linalg.qr(torch.randn(20, 20, generator=generator).double())
    similarity = F.space_similarity(mean, torch.zeros_like(mean), mean @ rotation, torch.zeros_like(mean))
    assert similarity.information_a.value == pytest.approx(math.log(50))
    assert similarity.normalized_mutual_information.value == pytest.approx(1)
    assert similarity.variation_of_information.value == pytest.approx(0, abs=1e-9)


def test_standard_errors_are_the_spread_over_seeds() -> None:
    runs = [
        F.space_similarity(MEAN_A, LOG_VARIANCE_A, MEAN_B, LOG_VARIANCE_B, num_samples=300, seed=seed)
        for seed in range(80)
    ]
    for name in F.SpaceSimilarity._fields:
        values = torch.stack([getattr(run, name).value for run in runs])
        errors = torch.stack([getattr(run, name).standard_error for run in runs])
        assert values.std() / errors.mean() == pytest.approx(1, abs=0.25)  # 80 runs: the spread's own error is 8 %


def test_the_error_of_a_ratio_is_propagated_as_by_hand() -> None:
    """With independent terms: the partial derivatives of NMI and VI, written out."""
    samples = torch.randn(5000, 5, generator=torch.Generator().manual_seed(2)).double()
    samples = (samples - samples.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(samples.mT.cov())).mT
    deviation = torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6], dtype=torch.float64)
    means = torch.tensor([2.0, 1.8, 2.9, 2.5, 2.7], dtype=torch.float64)
    samples = samples * deviation + means  # exactly uncorrelated
    i_u, i_v, i_uu, i_vv, i_uv = means.tolist()
    a, b, c = 2 * i_u - i_uu, 2 * i_v - i_vv, i_u + i_v - i_uv
    root = math.sqrt(a * b)
    partial = torch.tensor(
        [(a - c) / (a * root), (b - c) / (b * root), c / (2 * a * root), c / (2 * b * root), -1 / root],
        dtype=torch.float64,
    )
    expected = (partial * deviation).square().sum().sqrt() / math.sqrt(5000)
    found = monte_carlo._estimate(lambda *i: F.normalized_mutual_information(*monte_carlo._shared(*i)), samples)
    assert found.value == pytest.approx(c / root)
    assert found.standard_error == pytest.approx(expected.item(), rel=1e-9)
    vi = monte_carlo._estimate(lambda *i: F.variation_of_information(*monte_carlo._shared(*i)), samples)
    by_hand = (4 * deviation[4] ** 2 + deviation[2] ** 2 + deviation[3] ** 2).sqrt() / math.sqrt(5000)
    assert vi.value == pytest.approx(2 * i_uv - i_uu - i_vv)
    assert vi.standard_error == pytest.approx(by_hand.item(), rel=1e-9)


def test_a_similarity_that_samples_cannot_know_is_not_zero() -> None:
    """Weak spaces and 50 samples: where an own information comes out negative, NMI is NaN, not 0 without an error."""
    weak = 0.2 * MEAN_B, torch.zeros_like(MEAN_B)
    runs = [F.space_similarity(*weak, *weak, num_samples=50, seed=seed) for seed in range(40)]
    nmi = torch.stack([torch.stack([*run.normalized_mutual_information]) for run in runs])
    unknown = nmi.isnan()
    assert 0 < int(unknown[:, 0].sum()) < 40  # both happen
    assert torch.equal(unknown[:, 0], unknown[:, 1])
    assert (nmi[~unknown[:, 0], 0] != 0).all()
    assert all(run.information_a.value.isfinite() for run in runs)
    dead = torch.zeros_like(MEAN_A), torch.zeros_like(MEAN_A)  # carries nothing, which every sample says
    similarity = F.space_similarity(*dead, MEAN_B, LOG_VARIANCE_B, num_samples=50)
    assert float(similarity.normalized_mutual_information.value) == 0


def test_seeds_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [F.space_information(MEAN_A, LOG_VARIANCE_A, 500, seed=seed).value for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    monkeypatch.setattr(monte_carlo, "_BLOCK", 40 * 7)  # the last block is smaller
    estimate = F.space_information(MEAN_A, LOG_VARIANCE_A, 500)
    assert abs(estimate.value - values[0]) < 6 * estimate.standard_error


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        F.space_information(MEAN_A, LOG_VARIANCE_A, 1)
    with pytest.raises(ValueError, match="the same points"):
        F.space_similarity(MEAN_A, LOG_VARIANCE_A, MEAN_B[:5], LOG_VARIANCE_B[:5])
