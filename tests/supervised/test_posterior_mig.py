"""The mutual information gap of posteriors: closed forms, slices computed one by one, processes."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from torchdisentangle import StatisticCollection
from torchdisentangle.supervised import MutualInformationGap, PosteriorMutualInformationGap

GRID = torch.cartesian_prod(torch.arange(4), torch.arange(5), torch.arange(20))  # the last factor is not encoded


def filled(mean: Tensor, log_variance: Tensor, factors: Tensor, **settings: int) -> PosteriorMutualInformationGap:
    metric = PosteriorMutualInformationGap(**settings)
    metric.update(mean, log_variance, factors)
    return metric


def test_known_values() -> None:
    """Codes of a grid that are far apart: they know their factor exactly, and nothing of the others."""
    mean = torch.cat([10.0 * GRID[:, :2], torch.zeros(len(GRID), 1)], 1)
    log_variance = torch.tensor([2 * math.log(0.1)] * 2 + [0.0]).expand_as(mean)
    both = filled(mean, log_variance, GRID[:, :2])
    expected = torch.tensor([[math.log(4), 0], [0, math.log(5)], [0, 0]]).double()
    torch.testing.assert_close(both.matrix(), expected, rtol=0, atol=1e-6)
    assert float(both.compute()) == pytest.approx(1, abs=1e-6)
    assert float(filled(mean, log_variance, GRID).compute()) == pytest.approx(2 / 3, abs=1e-6)
    doubled = filled(mean[:, [0, 1, 0]], log_variance[:, [0, 1, 0]], GRID[:, :2])
    # both copies know the factor; their noise differs, but not what it tells
    torch.testing.assert_close(doubled.per_factor(), torch.tensor([0.0, 1.0]).double(), rtol=0, atol=1e-6)
    collapsed = filled(0 * mean, 0 * mean, GRID)
    assert float(collapsed.compute()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("distance", "truth"), [(1.0, 0.11142), (2.0, 0.33683), (4.0, 0.63272)])
def test_two_gaussians(distance: float, truth: float) -> None:
    factor = (torch.arange(4000) % 2)[:, None]
    mean = distance * (factor - 0.5)
    value = float(filled(mean, torch.zeros_like(mean), factor, num_queries=4000).matrix())
    assert value == pytest.approx(truth, abs=4 * math.log(2) / math.sqrt(4000))  # the log-ratio is at most log 2


def test_equals_slices_of_the_data() -> None:
    """The definition, one slice of rows after the other, with unbalanced values."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(50, 3, generator=generator).double()
    log_variance = torch.randn(50, 3, generator=generator).double() - 1
    factors = torch.stack([torch.randint(3, (50,), generator=generator), torch.arange(50) % 2], 1)
    metric = filled(mean, log_variance, factors)
    queries = metric.queries(50)
    posteriors = Normal(queries.mean, (0.5 * queries.log_variance).exp())
    log_density = posteriors.log_prob(queries.z[:, None])  # (S, N, d)
    entropy = -(log_density.logsumexp(1) - math.log(50)).mean(0)
    for f in range(2):
        information, of_factor = entropy.clone(), 0.0
        for value in range(3):
            rows = queries.factors[:, f] == value
            if rows.any():
                share = float(rows.double().mean())
                within = log_density[rows][:, rows].logsumexp(1) - math.log(int(rows.sum()))
                information += share * within.mean(0)
                of_factor -= share * math.log(share)
        information = information.clamp(min=0)
        torch.testing.assert_close(metric.matrix()[:, f], information, rtol=1e-12, atol=1e-12)
        best, second, _ = information.sort(descending=True)[0]
        assert float(metric.per_factor()[f]) == pytest.approx(float(best - second) / of_factor, abs=1e-12)


def test_factors_with_one_value() -> None:
    factors = torch.stack([torch.arange(40) % 2, torch.zeros(40).long()], 1)
    metric = filled(20.0 * factors[:, :1], torch.zeros(40, 1), factors)
    assert metric.unscored_factors == ["1"]
    assert metric.per_factor()[1].isnan()
    assert float(metric.compute()) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="cannot score factors"):
        filled(20.0 * factors[:, :1], torch.zeros(40, 1), factors[:, 1:]).compute()
    with pytest.raises(ValueError, match="no posteriors"):
        PosteriorMutualInformationGap().compute()
    with pytest.raises(ValueError, match="num_queries must be at least 1"):
        PosteriorMutualInformationGap(num_queries=0)


def work(rank: int, cuts: list[int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack([torch.arange(60) % 3, torch.arange(60) // 59], 1)  # the last row has a value of its own
    mean, log_variance = factors + torch.randn(60, 2, generator=generator), torch.randn(60, 2, generator=generator)
    metrics = StatisticCollection({"mig": PosteriorMutualInformationGap(num_queries=30)})
    for rows in torch.arange(cuts[rank], cuts[rank + 1]).split(8):
        if len(rows):
            metrics.update(mean[rows], log_variance[rows], factors=factors[rows], index=rows)
    return metrics.compute()["mig"], metrics["mig"].per_factor()


@pytest.mark.parametrize("cuts", [[0, 31, 60], [0, 20, 20, 60]])
def test_processes(run_processes: Callable, cuts: list[int]) -> None:
    expected = work(0, [0, 60])
    for values in run_processes(len(cuts) - 1, work, cuts):
        for value, truth in zip(values, expected, strict=True):
            torch.testing.assert_close(value, truth, rtol=1e-12, atol=1e-12)


def test_the_estimator_chooses_the_class() -> None:
    posterior = MutualInformationGap(estimator="posterior", num_queries=7)
    assert type(posterior) is PosteriorMutualInformationGap
    assert posterior.num_queries == 7
    assert type(MutualInformationGap(estimator="histogram")) is MutualInformationGap
    for twin in (pickle.loads(pickle.dumps(MutualInformationGap(num_bins=3))), copy.deepcopy(posterior)):
        assert twin.num_seen == 0
    with pytest.raises(ValueError, match="estimator must be"):
        MutualInformationGap(estimator="exact")  # type: ignore[arg-type]
