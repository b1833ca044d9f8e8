"""The state of posteriors: the same for any split into batches, objects and processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from torchdisentangle import LatentKL, StatisticCollection
from torchdisentangle.functional.elbo.aggregate import aggregate_log_sums
from torchdisentangle.statistics import RowSample, Statistic, aggregate
from torchdisentangle.statistics.aggregate import AggregatePosterior
from torchdisentangle.statistics.posterior import PosteriorStatistic

GENERATOR = torch.Generator().manual_seed(0)
MEAN = torch.randn(53, 2, generator=GENERATOR).double() + torch.tensor([0.0, 3.0])
LOG_VARIANCE = torch.randn(53, 2, generator=GENERATOR).double() - 1
FACTORS = torch.stack([torch.arange(53) % 3, torch.arange(53) % 5], dim=1)


class Densities(PosteriorStatistic):
    """Everything that can be read, in one vector."""

    def __init__(self, max_rows: int = 2**15, seed: int = 0) -> None:
        super().__init__(max_rows, seed)

    def compute(self) -> Tensor:
        sums = self._posterior().log_sums(20, leave_one_out=True)
        return torch.cat(
            [
                self.latent_kl(),
                self.mean_variance(),
                self.variance_sum,
                *(value.flatten() for value in sums if value is not None),
            ]
        )


class Matched(Statistic):
    """Posteriors with factors, as scores of posteriors against factors sample them."""

    def __init__(self, max_rows: int = 2**15) -> None:
        super().__init__(("posteriors and factors", max_rows))
        self.sample = RowSample(["codes", "log_variance", "factors"], max_rows)
        self.add_state_of(self.sample)

    def update(self, codes: Tensor, factors: Tensor, *, log_variance: Tensor, index: Tensor) -> None:
        self.sample.add(self, {"codes": codes, "log_variance": log_variance, "factors": factors}, index)

    def posterior(self) -> AggregatePosterior:
        return AggregatePosterior(self, self.sample, mean="codes", factors="factors")

    def compute(self) -> Tensor:
        sums = self.posterior().log_sums(20, matched=True)
        return torch.cat([value.flatten() for value in sums if value is not None])


def filled(parts: Sequence[Tensor], max_rows: int = 2**15, **settings: Any) -> Densities:
    metric = Densities(max_rows, **settings)
    for part in parts:
        metric.update(MEAN[part], LOG_VARIANCE[part], index=part)
    return metric


def matched(parts: Sequence[Tensor], max_rows: int = 2**15) -> Matched:
    metric = Matched(max_rows)
    for part in parts:
        metric.update(MEAN[part], FACTORS[part], log_variance=LOG_VARIANCE[part], index=part)
    return metric


def test_sums_and_log_sums_by_independent_computation() -> None:
    metric = filled([torch.arange(53)])
    kl = kl_divergence(Normal(MEAN, (LOG_VARIANCE / 2).exp()), Normal(0.0, 1.0)).mean(0)
    torch.testing.assert_close(metric.latent_kl(), kl)
    torch.testing.assert_close(metric.mean_variance(), MEAN.var(0, correction=0))
    posterior = matched([torch.arange(53)]).posterior()
    assert len(posterior) == 53
    queries = posterior.queries(10)
    of_queries = [int((mean == MEAN).all(1).nonzero()) for mean in queries.mean]
    sums = aggregate_log_sums(queries.z, MEAN, LOG_VARIANCE, factors=FACTORS, query_factors=FACTORS[of_queries])
    found = posterior.log_sums(10, matched=True)
    torch.testing.assert_close(found.joint, sums.joint)
    torch.testing.assert_close(found.matched, sums.matched)
    assert float(found.weight) == pytest.approx(math.log(53), rel=1e-15)
    assert posterior.log_sums(10, matched=True) is found  # computed once


def test_queries_are_drawn_from_the_posteriors() -> None:
    metric = Densities()
    metric.update(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), math.log(4.0)))
    z = metric._posterior().queries(20_000).z
    assert float(z.mean()) == pytest.approx(3.0, abs=4 * 2 / 20_000**0.5)  # four standard errors
    assert float(z.std()) == pytest.approx(2.0, abs=4 * 2 / 40_000**0.5)
    assert torch.equal(metric._posterior().queries(7).z, z[:7])
    one, other = (filled([torch.arange(53)], seed=seed)._posterior().queries(5).z for seed in (0, 1))
    assert not torch.equal(one, other)


@given(st.permutations(range(53)), st.integers(1, 53), st.sampled_from([1, 30, 100]), st.integers(0, 53))
def test_any_split_gives_the_value_of_one_pass(order: list[int], size: int, max_rows: int, cut: int) -> None:
    shuffled = torch.tensor(order)
    for fill in (filled, matched):
        one = fill([torch.arange(53)], max_rows)
        first, second = fill(shuffled[:cut].split(size), max_rows), fill(shuffled[cut:].split(size), max_rows)
        first.merge_state(second)
        torch.testing.assert_close(first.compute(), one.compute(), rtol=1e-12, atol=1e-12)


def test_without_an_index_the_value_depends_on_the_rows_alone() -> None:
    whole, parts = Densities(), Densities()
    whole.update(MEAN, LOG_VARIANCE)
    for part in torch.arange(53).flip(0).split(9):
        parts.update(MEAN[part], LOG_VARIANCE[part])
    torch.testing.assert_close(parts.compute(), whole.compute(), rtol=1e-12, atol=1e-12)


def work(rank: int, cuts: list[int], max_rows: int, fill: Callable, in_collection: bool) -> Tensor:
    shares, compute_share = [], aggregate.aggregate_log_sums
    aggregate.aggregate_log_sums = lambda z, mean, *args, **kwargs: (  # type: ignore[assignment]
        shares.append(len(mean)) or compute_share(z, mean, *args, **kwargs)
    )
    value = densities(rank, cuts, max_rows, fill, in_collection)
    all_rows = min(max_rows, 53)
    assert shares == [len(range(rank, all_rows, len(cuts) - 1))]  # once, and no process does all the work
    return value


def densities(rank: int, cuts: list[int], max_rows: int, fill: Callable, in_collection: bool) -> Tensor:
    parts = [part for part in torch.arange(cuts[rank], cuts[rank + 1]).split(8) if len(part)]
    metric = fill(parts, max_rows)
    if not in_collection:
        return metric.compute()
    collection = StatisticCollection({"a": metric, "b": type(metric)(max_rows)})
    value = collection.compute()
    assert torch.equal(value["a"], value["b"])
    assert not metric.is_reduced
    return value["a"]


@pytest.mark.parametrize("in_collection", [False, True])
@pytest.mark.parametrize("fill", [filled, matched])
@pytest.mark.parametrize(("cuts", "max_rows"), [([0, 26, 53], 100), ([0, 0, 53], 30), ([0, 1, 30, 53], 100)])
def test_processes_give_the_value_of_one(
    run_processes: Callable, cuts: list[int], max_rows: int, fill: Callable, in_collection: bool
) -> None:
    expected = fill([torch.arange(53)], max_rows).compute()
    found = run_processes(len(cuts) - 1, work, cuts, max_rows, fill, in_collection)
    for value in found:
        assert torch.equal(value, found[0])
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("with_index", [False, True])
def test_nonfinite_rows_are_left_out_counted_and_named(with_index: bool) -> None:
    index = {"index": torch.arange(53)} if with_index else {}
    mean, log_variance = MEAN.clone(), LOG_VARIANCE.clone()
    mean[3, 0], log_variance[7, 1], log_variance[9, 0] = math.nan, math.inf, 1e4  # the last overflows as a variance
    metric, expected = Densities(), Densities()
    with pytest.warns(UserWarning, match="3 in this batch"):
        metric.update(mean, log_variance, **index)
    others = torch.tensor([i for i in range(53) if i not in (3, 7, 9)])
    expected.update(MEAN[others], LOG_VARIANCE[others], **({"index": others} if with_index else {}))
    torch.testing.assert_close(metric.compute(), expected.compute(), rtol=1e-14, atol=1e-14)
    assert int(metric.num_nonfinite) == 3
    assert int(metric.num_seen) == 53  # rows left out have a number too
    assert len(metric.keys) == 50
    lost = Densities()
    with pytest.warns(UserWarning, match="left out"):
        lost.update(torch.full((2, 2), math.nan), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"no posteriors \(2 were NaN"):
        lost.latent_kl()


@pytest.mark.parametrize(
    ("mean", "log_variance", "keywords", "error", "message"),
    [
        (MEAN, LOG_VARIANCE[:, :1], {}, ValueError, r"same shape \(n, d\)"),
        (MEAN[0], LOG_VARIANCE[0], {}, ValueError, r"mean must have shape \(n, d\)"),
        (MEAN.long(), LOG_VARIANCE, {}, TypeError, "mean must be floating point"),
        (MEAN, FACTORS, {}, TypeError, "log_variance must be floating point like mean, got torch.int64"),
        (MEAN[:, :1], LOG_VARIANCE[:, :1], {}, ValueError, "updates so far had 2 columns of mean"),
        (MEAN, LOG_VARIANCE, {"index": torch.arange(5)}, ValueError, r"integers of shape \(53,\)"),
        (MEAN, LOG_VARIANCE, {"index": LOG_VARIANCE[:, 0]}, TypeError, r"index must be integers of shape \(53,\)"),
        (MEAN.tolist(), LOG_VARIANCE, {}, TypeError, "mean must be a tensor or a NumPy array, got list"),
        (MEAN, None, {}, TypeError, "log_variance must be a tensor"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(
    mean: Any, log_variance: Any, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    metric = filled([torch.arange(53)])
    with pytest.raises(error, match=message):
        metric.update(mean, log_variance, **keywords)
    assert torch.equal(metric.compute(), filled([torch.arange(53)]).compute())


def test_an_index_by_position_is_refused() -> None:
    with pytest.raises(TypeError, match="positional"):
        Densities().update(MEAN, LOG_VARIANCE, torch.arange(53))  # type: ignore[misc]


def test_arrays_are_accepted() -> None:
    metric = Densities()
    metric.update(MEAN.numpy(), LOG_VARIANCE.numpy(), index=np.arange(53))
    assert torch.equal(metric.compute(), filled([torch.arange(53)]).compute())


def test_what_was_not_sampled_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="no posteriors"):
        Densities()._posterior()
    sums_only = LatentKL()
    assert "keys" not in sums_only.state_names
    sums_only.update(MEAN, LOG_VARIANCE)
    with pytest.raises(ValueError, match="keeps no rows: set max_rows"):
        sums_only._posterior()
    with pytest.raises(ValueError, match="max_rows must be at least 1"):
        Densities(0)
