"""The mutual information gap of posteriors: closed forms, slices computed one by one, processes."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from torchdisentangle import StatisticCollection
from torchdisentangle.statistics.aggregate import AggregatePosterior
from torchdisentangle.supervised import (
    DCIMIG,
    JEMMIG,
    Interpretability,
    Modularity,
    MutualInformationGap,
    MutualInformationMatrix,
    RobustMIG,
    UniBound,
    registered_scores,
)
from torchdisentangle.supervised.information import InformationScore

GRID = torch.cartesian_prod(torch.arange(4), torch.arange(5), torch.arange(20))  # the last factor is not encoded


def filled(mean: Tensor, log_variance: Tensor, factors: Tensor, **settings: Any) -> MutualInformationGap:
    metric = MutualInformationGap(estimator="posterior", **settings)
    metric.update(mean, factors, log_variance=log_variance)
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
    z, query_mean, query_log_variance = AggregatePosterior(metric, metric._source.rows, mean="codes").queries(50)
    kept = metric._source.rows.read(metric).columns["factors"]
    posteriors = Normal(query_mean, (0.5 * query_log_variance).exp())
    log_density = posteriors.log_prob(z[:, None])  # (S, N, d)
    entropy = -(log_density.logsumexp(1) - math.log(50)).mean(0)
    for f in range(2):
        information, of_factor = entropy.clone(), 0.0
        for value in range(3):
            sliced = kept[:, f] == value
            if sliced.any():
                share = float(sliced.double().mean())
                within = log_density[sliced][:, sliced].logsumexp(1) - math.log(int(sliced.sum()))
                information += share * within.mean(0)
                of_factor -= share * math.log(share)
        information = information.clamp(min=0)
        torch.testing.assert_close(metric.matrix()[:, f], information, rtol=1e-12, atol=1e-12)
        best, second, _ = information.sort(descending=True)[0]
        assert float(metric.per_factor()[f]) == pytest.approx(float(best - second) / of_factor, abs=1e-12)


def test_factors_with_one_value() -> None:
    factors = torch.stack([torch.arange(40) % 2, torch.zeros(40).long()], 1)
    metric = filled(20.0 * factors[:, :1], torch.zeros(40, 1), factors)
    assert metric.unscored_factors() == ["1"]
    assert metric.per_factor()[1].isnan()
    assert float(metric.compute()) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="can score none of the factors"):
        filled(20.0 * factors[:, :1], torch.zeros(40, 1), factors[:, 1:]).compute()
    with pytest.raises(ValueError, match="has no rows"):
        MutualInformationGap(estimator="posterior").compute()
    with pytest.raises(ValueError, match="num_queries must be at least 1"):
        MutualInformationGap(estimator="posterior", num_queries=0)


def work(rank: int, cuts: list[int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack([torch.arange(60) % 3, torch.arange(60) // 59], 1)  # the last row has a value of its own
    mean, log_variance = factors + torch.randn(60, 2, generator=generator), torch.randn(60, 2, generator=generator)
    metrics = StatisticCollection({"mig": MutualInformationGap(estimator="posterior", num_queries=30)})
    for rows in torch.arange(cuts[rank], cuts[rank + 1]).split(8):
        if len(rows):
            metrics.update(mean[rows], factors[rows], log_variance=log_variance[rows], index=rows)
    return metrics.compute()["mig"], metrics["mig"].per_factor()


@pytest.mark.parametrize("cuts", [[0, 31, 60], [0, 20, 20, 60]])
def test_processes(run_processes: Callable, cuts: list[int]) -> None:
    expected = work(0, [0, 60])
    for values in run_processes(len(cuts) - 1, work, cuts):
        for value, truth in zip(values, expected, strict=True):
            torch.testing.assert_close(value, truth, rtol=1e-12, atol=1e-12)


def test_the_estimator_is_a_setting() -> None:
    posterior = MutualInformationGap(estimator="posterior", num_queries=7)
    assert type(posterior) is MutualInformationGap
    assert repr(posterior) == "MutualInformationGap(estimator='posterior', num_queries=7)"
    assert (posterior.key, MutualInformationGap().key) == ("posterior_mig", "mig")
    for twin in (pickle.loads(pickle.dumps(MutualInformationGap(num_bins=3))), copy.deepcopy(posterior)):
        assert twin.num_seen == 0
    with pytest.raises(ValueError, match="estimator of MutualInformationGap must be one of"):
        MutualInformationGap(estimator="histogram")  # type: ignore[arg-type]
    for build in (JEMMIG, RobustMIG, Interpretability):  # they are about bins
        with pytest.raises(ValueError, match=f"estimator of {build.__name__} must be one of \\('counts',\\)"):
            build(estimator="posterior")  # type: ignore[call-arg]
    for settings in ({"continuous": True}, {"bias_correction": "permutation"}):
        with pytest.raises(ValueError, match="estimator='posterior' needs discrete factors"):
            MutualInformationGap(estimator="posterior", **settings)
    for read in (posterior.ceiling, posterior.plug_in_bias, posterior.joint_counts):
        with pytest.raises(ValueError, match="has no counts: use estimator='counts'"):
            read()


def test_every_score_of_the_matrix_takes_an_estimator_or_refuses_it() -> None:
    """What the documentation lists; a class that is not told otherwise takes all three."""
    of_matrix: set[Any] = {one.score for one in registered_scores().values() if issubclass(one.score, InformationScore)}
    of_bins, all_three = {"RobustMIG", "JEMMIG", "Interpretability"}, ("counts", "neighbours", "posterior")
    for cls in of_matrix:
        taken = ("counts",) if cls.__name__ in of_bins else all_three
        taken = ("counts", "posterior") if cls.__name__ == "Minimality" else taken
        for estimator in all_three:
            if estimator in taken:
                assert cls(estimator=estimator).estimator == estimator
            else:
                with pytest.raises(ValueError, match=f"estimator of {cls.__name__} must be one of"):
                    cls(estimator=estimator)
    with pytest.raises(ValueError, match="estimator must be 'counts' or 'posterior'"):
        UniBound("neighbours")  # type: ignore[arg-type]


def test_other_scores_of_posteriors_read_the_same_matrix() -> None:
    """All scores of one estimator are formulas of one matrix, from one state."""
    mean, log_variance = 10.0 * GRID[:, [0, 1, 0]], torch.zeros(len(GRID), 3)
    scores = {"mig": MutualInformationGap, "dcimig": DCIMIG, "modularity": Modularity, "mi": MutualInformationMatrix}
    metrics = StatisticCollection(
        {name: score(estimator="posterior", num_queries=99) for name, score in scores.items()}
    )
    assert len(metrics.compute_groups) == 1
    metrics.update(mean, GRID[:, :2], log_variance=log_variance)
    values = metrics.compute()
    assert torch.equal(values["mi"], metrics["mig"].matrix())
    assert float(values["modularity"]) == pytest.approx(1, abs=1e-9)
    assert float(values["dcimig"]) == pytest.approx(1, abs=0.1)  # entropies of 99 latents
    assert float(metrics["mig"].per_factor()[0]) == pytest.approx(0, abs=1e-6)
