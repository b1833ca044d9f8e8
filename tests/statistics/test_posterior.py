"""The state of posteriors: the same for any split into batches, objects and processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from torchdisentangle import StatisticCollection
from torchdisentangle.functional.elbo.aggregate import aggregate_log_sums
from torchdisentangle.statistics import aggregate
from torchdisentangle.statistics.posterior import PosteriorSampleStatistic

GENERATOR = torch.Generator().manual_seed(0)
MEAN = torch.randn(53, 2, generator=GENERATOR).double() + torch.tensor([0.0, 3.0])
LOG_VARIANCE = torch.randn(53, 2, generator=GENERATOR).double() - 1
FACTORS = torch.stack([torch.arange(53) % 3, torch.arange(53) % 5], dim=1)


class Densities(PosteriorSampleStatistic):
    """Everything that can be read, in one vector."""

    def compute(self) -> Tensor:
        sums = self.log_sums(20, leave_one_out=True, matched=True)
        return torch.cat(
            [
                self.latent_kl(),
                self.mean_variance(),
                self.variance_sum,
                *(value.flatten() for value in sums if value is not None),
            ]
        )


def filled(parts: Sequence[Tensor], max_rows: int = 2**15, **settings: Any) -> Densities:
    metric = Densities(max_rows, **settings)
    for part in parts:
        metric.update(MEAN[part], LOG_VARIANCE[part], FACTORS[part], index=part)
    return metric


def test_sums_and_log_sums_by_independent_computation() -> None:
    metric = filled([torch.arange(53)])
    kl = kl_divergence(Normal(MEAN, (LOG_VARIANCE / 2).exp()), Normal(0.0, 1.0)).mean(0)
    torch.testing.assert_close(metric.latent_kl(), kl)
    torch.testing.assert_close(metric.mean_variance(), MEAN.var(0, correction=0))
    queries = metric.queries(10)
    sums = aggregate_log_sums(queries.z, MEAN, LOG_VARIANCE, factors=FACTORS, query_factors=queries.factors)
    found = metric.log_sums(10, matched=True)
    torch.testing.assert_close(found.joint, sums.joint)
    torch.testing.assert_close(found.matched, sums.matched)
    assert float(found.weight) == pytest.approx(math.log(53), rel=1e-15)
    assert metric.log_sums(10, matched=True) is found  # computed once


def test_queries_are_drawn_from_the_posteriors() -> None:
    metric = Densities()
    metric.update(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), math.log(4.0)))
    z = metric.queries(20_000).z
    assert float(z.mean()) == pytest.approx(3.0, abs=4 * 2 / 20_000**0.5)  # four standard errors
    assert float(z.std()) == pytest.approx(2.0, abs=4 * 2 / 40_000**0.5)
    assert torch.equal(metric.queries(7).z, z[:7])
    assert not torch.equal(filled([torch.arange(53)], seed=1).queries(5).z, filled([torch.arange(53)]).queries(5).z)


@given(st.permutations(range(53)), st.integers(1, 53), st.sampled_from([1, 30, 100]), st.integers(0, 53))
def test_any_split_gives_the_value_of_one_pass(order: list[int], size: int, max_rows: int, cut: int) -> None:
    one = filled([torch.arange(53)], max_rows)
    shuffled = torch.tensor(order)
    first, second = filled(shuffled[:cut].split(size), max_rows), filled(shuffled[cut:].split(size), max_rows)
    first.merge_state(second)
    torch.testing.assert_close(first.compute(), one.compute(), rtol=1e-12, atol=1e-12)


def work(rank: int, cuts: list[int], max_rows: int, in_collection: bool) -> Tensor:
    shares, compute_share = [], aggregate.aggregate_log_sums
    aggregate.aggregate_log_sums = lambda z, mean, *args, **kwargs: (  # type: ignore[assignment]
        shares.append(len(mean)) or compute_share(z, mean, *args, **kwargs)
    )
    value = densities(rank, cuts, max_rows, in_collection)
    all_rows = min(max_rows, 53)
    assert shares == [len(range(rank, all_rows, len(cuts) - 1))]  # once, and no process does all the work
    return value


def densities(rank: int, cuts: list[int], max_rows: int, in_collection: bool) -> Tensor:
    parts = [part for part in torch.arange(cuts[rank], cuts[rank + 1]).split(8) if len(part)]
    metric = filled(parts, max_rows)
    if not in_collection:
        return metric.compute()
    collection = StatisticCollection({"a": metric, "b": Densities(max_rows)})
    value = collection.compute()
    assert torch.equal(value["a"], value["b"])
    assert not metric.is_reduced
    return value["a"]


@pytest.mark.parametrize("in_collection", [False, True])
@pytest.mark.parametrize(("cuts", "max_rows"), [([0, 26, 53], 100), ([0, 0, 53], 30), ([0, 1, 30, 53], 100)])
def test_processes_give_the_value_of_one(
    run_processes: Callable, cuts: list[int], max_rows: int, in_collection: bool
) -> None:
    expected = filled([torch.arange(53)], max_rows).compute()
    found = run_processes(len(cuts) - 1, work, cuts, max_rows, in_collection)
    for value in found:
        assert torch.equal(value, found[0])
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


def test_nonfinite_rows_are_left_out_counted_and_named() -> None:
    mean, log_variance = MEAN.clone(), LOG_VARIANCE.clone()
    mean[3, 0], log_variance[7, 1], log_variance[9, 0] = math.nan, math.inf, 1e4  # the last overflows as a variance
    metric = Densities()
    with pytest.warns(UserWarning, match="3 in this batch"):
        metric.update(mean, log_variance, FACTORS)
    others = [i for i in range(53) if i not in (3, 7, 9)]
    assert torch.equal(metric.compute(), filled([torch.tensor(others)]).compute())
    assert int(metric.num_nonfinite) == 3
    metric.update(mean[:2], log_variance[:2], FACTORS[:2])  # numbered on, past the rows left out
    assert len(metric.keys) == 52
    lost = Densities()
    with pytest.warns(UserWarning, match="left out"):
        lost.update(torch.full((2, 2), math.nan), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"no posteriors \(2 were NaN"):
        lost.latent_kl()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MEAN, LOG_VARIANCE[:, :1]), r"same shape \(n, d\)"),
        ((MEAN[0], LOG_VARIANCE[0]), r"same shape \(n, d\)"),
        ((MEAN.long(), LOG_VARIANCE.long()), "floating point"),
        ((MEAN[:, :1], LOG_VARIANCE[:, :1]), "updates so far had 2 latents"),
        ((MEAN, LOG_VARIANCE, FACTORS.double()), r"integers of shape \(53, F\)"),
        ((MEAN, LOG_VARIANCE, FACTORS[:5]), r"integers of shape \(53, F\)"),
        ((MEAN, LOG_VARIANCE, None, torch.arange(5)), r"integers \(53,\)"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(arguments: tuple[Any, ...], message: str) -> None:
    metric = filled([torch.arange(53)])
    with pytest.raises(ValueError, match=message):
        metric.update(*arguments)
    assert torch.equal(metric.compute(), filled([torch.arange(53)]).compute())


def test_bad_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got -1"):
        filled([torch.arange(53)]).queries(-1)
    with pytest.raises(ValueError, match="no posteriors"):
        Densities().queries(3)
    unlabelled = Densities()
    unlabelled.update(MEAN, LOG_VARIANCE)
    with pytest.raises(ValueError, match="no factors"):
        unlabelled.log_sums(3, matched=True)
