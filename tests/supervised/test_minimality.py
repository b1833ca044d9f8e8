"""Minimality and sufficiency: right for factors that depend on each other, where MIG is not."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch import Tensor

from torchdisentangle import StatisticCollection
from torchdisentangle.functional.supervised.minimality import minimality, sufficiency
from torchdisentangle.supervised import (
    Minimality,
    MutualInformationGap,
    Sufficiency,
)

LEVELS = 8


def dependent_factors(n: int = 4000, noise: float = 1.0, seed: int = 0) -> Tensor:
    """Two factors of eight values; the second follows the first, the more so the smaller the noise."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(LEVELS, (n,), generator=generator)
    step = (noise * torch.randn(n, generator=generator)).round().long()
    return torch.stack([first, (first + step).clamp(0, LEVELS - 1)], dim=1)


def values(codes: Tensor, factors: Tensor) -> tuple[float, float, float]:
    metrics = StatisticCollection([Minimality(num_bins=8), Sufficiency(num_bins=8), MutualInformationGap(num_bins=8)])
    metrics.update(codes, factors)
    assert len(metrics.compute_groups) == 1
    found = metrics.compute()
    return tuple(float(found[name]) for name in ("Minimality", "Sufficiency", "MutualInformationGap"))  # type: ignore[return-value]


@pytest.mark.parametrize("noise", [0.5, 1.0, 4.0])
def test_perfect_codes_of_dependent_factors(noise: float) -> None:
    """MIG pays for what the factors share, I(y1; y2) / H(y), and minimality and sufficiency are 1."""
    factors = dependent_factors(noise=noise)
    minimal, sufficient, mig = values(factors.float(), factors)
    assert minimal == pytest.approx(1.0, abs=1e-12)
    assert sufficient == pytest.approx(1.0, abs=1e-12)
    shared = mutual_info_score(*factors.T.numpy())
    entropies = [mutual_info_score(column.numpy(), column.numpy()) for column in factors.T]
    assert mig == pytest.approx(sum(1 - shared / entropy for entropy in entropies) / 2, abs=1e-12)
    assert shared > 0.02


def test_mixed_codes_are_not_minimal() -> None:
    factors = dependent_factors(noise=2.0)
    turned = torch.stack([factors.sum(1), factors[:, 0] - factors[:, 1]], dim=1).float()
    minimal, sufficient, _ = values(turned, factors)
    assert minimal < 0.8
    assert sufficient < 0.8


def test_a_code_of_two_factors_and_a_factor_in_two_codes() -> None:
    """One code for both of two independent binary factors; then the bits of one factor in two codes."""
    bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    together = (bits[:, :1] + 2 * bits[:, 1:]).float()
    assert values(together, bits)[:2] == pytest.approx((0.5, 1.0))
    assert values(bits.float(), together.long())[:2] == pytest.approx((1.0, 0.5))


def test_constant_codes_and_factors() -> None:
    factors = torch.cat([dependent_factors(500), torch.zeros(500, 1, dtype=torch.int64)], dim=1)
    codes = torch.cat([factors[:, :2].float(), torch.ones(500, 1)], dim=1)
    score = Minimality(num_bins=8)
    score.update(codes, factors)
    assert float(score.compute()) == pytest.approx(1.0)
    assert score.per_code().isnan().tolist() == [False, False, True]
    assert score.unscored_factors() == ["2"]
    enough = Sufficiency(num_bins=8)
    enough.update(codes, factors)
    assert enough.per_factor().isnan().tolist() == [False, False, True]
    dead = Minimality()
    dead.update(torch.ones(500, 2), factors)
    assert float(dead.compute()) == 0.0
    with pytest.raises(ValueError, match="estimator='posterior'"):
        Minimality(binning="soft")


@given(st.permutations(range(3)), st.permutations(range(2)))
def test_order_does_not_matter(codes: list[int], factors: list[int]) -> None:
    mutual = torch.tensor([[0.6, 0.1], [0.2, 0.5], [0.3, 0.3]])
    known, entropies = torch.tensor([0.7, 0.6, 0.9]), torch.tensor([0.69, 0.69])
    permuted = mutual[codes][:, factors]
    assert torch.equal(minimality(permuted, known[codes]), minimality(mutual, known)[codes])
    assert torch.equal(sufficiency(permuted, entropies[factors]), sufficiency(mutual, entropies)[factors])


def test_posteriors_far_apart_have_the_values_of_points() -> None:
    factors = dependent_factors(1500)
    mean, log_variance = 10.0 * factors, torch.zeros(1500, 2)
    minimal, enough = (
        Minimality(estimator="posterior", num_queries=500),
        Sufficiency(estimator="posterior", num_queries=500),
    )
    for metric in (minimal, enough):
        metric.update(mean, factors, log_variance=log_variance)
        # I(z; x) and I(z; y) are the entropy of the factor, read from the same 500 latents
        assert float(metric.compute()) == pytest.approx(1.0, abs=0.05)


def test_posteriors_wider_than_the_factors_steps() -> None:
    """A latent of unit noise that follows a binary factor at +-1: I(z; y) = 0.33683 nats of log 2."""
    factor = torch.arange(2).repeat(400)[:, None]
    mean = 2.0 * factor - 1
    enough = Sufficiency(estimator="posterior", num_queries=800)
    enough.update(mean.float(), factor, log_variance=torch.zeros(800, 1))
    error = 3 * 0.6 / 800**0.5  # three standard errors; the log-ratio's standard deviation is below 0.6
    assert float(enough.compute()) == pytest.approx(0.33683 / math.log(2), abs=error / math.log(2))
    minimal = Minimality(estimator="posterior", num_queries=800)
    minimal.update(mean.float(), factor, log_variance=torch.zeros(800, 1))
    assert float(minimal.compute()) == pytest.approx(1.0, abs=1e-6)  # all it knows of the data is the factor


def test_posterior_latents_that_know_nothing_are_left_out() -> None:
    factors = dependent_factors(800)
    mean = torch.cat([10.0 * factors, torch.zeros(800, 1)], dim=1)
    metric = Minimality(estimator="posterior", num_queries=400)
    metric.update(mean, factors, log_variance=torch.zeros(800, 3))
    assert float(metric.compute()) == pytest.approx(1.0, abs=0.05)
    dead = Minimality(estimator="posterior", num_queries=100)
    dead.update(torch.zeros(800, 2), factors, log_variance=torch.zeros(800, 2))
    assert float(dead.compute()) == 0.0


def work(rank: int, world_size: int) -> dict[str, Tensor]:
    factors = dependent_factors(301)
    index = torch.arange(rank, 301, world_size)
    points = StatisticCollection([Minimality(num_bins=8), Sufficiency(num_bins=8)])
    posteriors = StatisticCollection(
        [Minimality(estimator="posterior", num_queries=50), Sufficiency(estimator="posterior", num_queries=50)]
    )
    points.update(factors[index].float(), factors[index], index=index)
    posteriors.update(3.0 * factors[index], factors[index], log_variance=torch.zeros(len(index), 2), index=index)
    return points.compute() | {f"posterior {name}": value for name, value in posteriors.compute().items()}


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_give_the_values_of_one(run_processes: Callable, processes: int) -> None:
    expected = work(0, 1)
    for found in run_processes(processes, work, processes):
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12)
