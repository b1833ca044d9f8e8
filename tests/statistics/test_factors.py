"""Rows and moments of codes and factors: what is kept, and that any split of the data gives the same."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.supervised import SAP, RowScore

GENERATOR = torch.Generator().manual_seed(0)
CODES = torch.randn(53, 3, generator=GENERATOR)
FACTORS = torch.randint(5, (53, 2), generator=GENERATOR)
ROUNDING = {"rtol": 1e-13, "atol": 1e-12}


class Rows(RowScore):
    """A score that is the rows it keeps."""

    def compute(self) -> tuple[Tensor, Tensor]:
        rows = self.sample.read(self).columns
        return rows["codes"], rows["factors"]

    def _scored(self) -> Tensor:
        return torch.ones(self.factors.shape[1], dtype=torch.bool)


class Moments(SAP):
    """A score that is the moments it keeps."""

    def compute(self) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        total = self.moments.total(self)
        return total.mean, total.covariance


def moments(*parts: Tensor) -> Moments:
    metric = Moments()
    for part in parts:
        metric.update(CODES[part], FACTORS[part])
    return metric


def test_moments_are_numpys() -> None:
    rows = np.concatenate([CODES.double().numpy(), FACTORS.numpy()], axis=1)
    mean, covariance = moments(torch.arange(53)).compute()
    np.testing.assert_allclose(mean, rows.mean(0), **ROUNDING)
    np.testing.assert_allclose(covariance, np.cov(rows.T), **ROUNDING)


@settings(max_examples=40)
@given(st.permutations(range(53)), st.integers(1, 53), st.integers(0, 53))
def test_moments_do_not_depend_on_the_split(order: list[int], size: int, cut: int) -> None:
    expected = moments(torch.arange(53)).compute()
    shuffled = torch.tensor(order)
    first, second = (moments(*part.split(size)) if len(part) else moments() for part in shuffled.tensor_split([cut]))
    first.merge_state(second)
    for found, wanted in zip(first.compute(), expected, strict=True):
        torch.testing.assert_close(found, wanted, **ROUNDING)


def test_moments_keep_their_digits_far_from_zero() -> None:
    """Sums of squares would have lost all of them: 1e9 squared has no digit left for a variance of 1."""
    codes = torch.randn(2000, 1, generator=GENERATOR).double()
    near, far = Moments(), Moments()
    for part in codes.split(99):
        near.update(part, part)
        far.update(part + 1e9, part - 1e9)
    # the numbers themselves are rounded to 1e-7 there
    torch.testing.assert_close(far.compute()[1], near.compute()[1], rtol=1e-7, atol=0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.filterwarnings("ignore:rows with NaN")
def test_rows_that_are_not_finite_are_left_out() -> None:
    codes, factors = CODES.clone(), FACTORS.double()
    codes[3, 1], codes[7, 0], factors[7, 1], factors[9, 0] = math.nan, math.inf, math.nan, -math.inf
    keep = [i for i in range(53) if i not in (3, 7, 9)]
    both = Moments(), Rows()
    for metric in both:
        with pytest.warns(UserWarning, match=r"num_nonfinite \(3 in this batch\)"):
            metric.update(codes, factors)
        assert metric.num_nonfinite == 3
        metric.update(CODES[:0], FACTORS[:0])
    torch.testing.assert_close(both[0].compute()[0], moments(torch.tensor(keep)).compute()[0], **ROUNDING)
    assert both[1].num_seen == 53
    wanted = Rows()
    wanted.update(CODES[keep], FACTORS[keep], index=torch.tensor(keep))
    assert torch.equal(both[1].codes, wanted.codes)  # the others keep their numbers
    nothing = Rows()
    nothing.update(codes[[3, 7]], factors[[3, 7]])
    assert len(nothing.codes) == 0


def test_the_split_is_random_and_belongs_to_the_rows() -> None:
    metric = Rows()
    index = torch.arange(9000)
    metric.update(index[:, None].double(), index[:, None])
    train, test = metric._train_and_test(9000)
    assert sorted(torch.cat([metric.codes[train], metric.codes[test]])[:, 0].tolist()) == index.tolist()
    assert len(metric.codes[test]) == 3000
    error = 9000 / 12**0.5 / 3000**0.5  # standard error of the mean of uniform positions
    assert abs(metric.codes[test].mean() - 4499.5) < 4 * error
    again = Rows()
    for part in index.flip(0).split(1234):
        again.update(part[:, None].double(), part[:, None], index=part)
    assert torch.equal(again.codes[test], metric.codes[test])


def work(rank: int, cuts: list[int]) -> tuple[Any, ...]:
    rows, both = Rows(max_rows=20), Moments()
    for part in torch.arange(cuts[rank], cuts[rank + 1]).split(8):
        if len(part):
            rows.update(CODES[part], FACTORS[part], index=part)
            both.update(CODES[part], FACTORS[part])
    before = int(both.num_rows.sum())
    value = both.compute()
    assert int(both.num_rows.sum()) == before  # the process's own moments are back
    return (*value, *rows.compute())


@pytest.mark.parametrize("cuts", [[0, 26, 53], [0, 53, 53], [0, 0, 53], [0, 1, 30, 53], [0, 0, 0, 0]])
@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_processes_hold_what_one_holds(run_processes: Callable, cuts: list[int]) -> None:
    results = run_processes(len(cuts) - 1, work, cuts)
    rows = Rows(max_rows=20)
    if cuts[-1]:
        rows.update(CODES, FACTORS)
        for found, wanted in zip(results[0][:2], moments(torch.arange(53)).compute(), strict=True):
            torch.testing.assert_close(found, wanted, **ROUNDING)
    for result in results:
        assert torch.equal(result[2], rows.codes)
        assert torch.equal(result[3], rows.factors)
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))  # to the last bit


def different_widths(rank: int) -> None:
    metric = Moments()
    metric.update(CODES[:, : 2 + rank], FACTORS)
    metric.compute()


def test_processes_with_different_widths_fail(run_processes: Callable) -> None:
    with pytest.raises(RuntimeError, match="moments of different widths"):
        run_processes(2, different_widths)


def test_states_survive_copies_checkpoints_and_precision() -> None:
    metric = moments(torch.arange(53))
    metric.persistent(True)
    loaded = Moments()
    loaded.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), loaded, metric.to(torch.float16)):
        assert torch.equal(twin.row_products, metric.row_products)
        assert twin.row_products.dtype == torch.float64
    metric.reset()
    assert metric.num_rows.sum() == 0
    metric.update(CODES[:, :2], FACTORS)  # another shape, after a reset
    assert metric.row_widths.tolist() == [2, 2]


@pytest.mark.parametrize("metric", [Rows(), Moments()])
def test_bad_input_is_refused(metric: Any) -> None:
    for codes, factors, error, message in [
        (CODES.long(), FACTORS, TypeError, "codes must be floating point"),
        (CODES[0], FACTORS, ValueError, r"shape \(n, d\), got \(3,\)"),
        (CODES[:, :0], FACTORS, ValueError, r"codes must have shape \(n, d\)"),
        (CODES, FACTORS[:5], ValueError, r"shape \(53, F\), one row for each code, got \(5, 2\)"),
        (CODES, FACTORS[:, :0], ValueError, r"shape \(53, F\)"),
        (CODES, FACTORS * 1j, TypeError, "complex"),
    ]:
        with pytest.raises(error, match=message):
            metric.update(codes, factors)
    metric.update(CODES, FACTORS)
    with pytest.raises(ValueError, match="so far had 3 columns of codes"):
        metric.update(CODES[:, :2], FACTORS)


def test_bad_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        Rows().update(CODES, FACTORS + 0.5)
    Rows(continuous=True).update(CODES, FACTORS + 0.5)
    mixed = Rows(continuous=[-1])
    mixed.update(CODES, FACTORS + torch.tensor([0.0, 0.5]))
    with pytest.raises(ValueError, match="whole numbers"):
        mixed.update(CODES, FACTORS + torch.tensor([0.5, 0.0]))
    with pytest.raises(ValueError, match=r"columns \[2\] of 2 factors"):
        Rows(continuous=[2]).update(CODES, FACTORS)
    with pytest.raises(ValueError, match=r"index must be integers of shape \(53,\)"):
        Rows().update(CODES, FACTORS, index=torch.arange(4))
    with pytest.raises(ValueError, match="max_rows must be at least 1"):
        Rows(max_rows=0)
    with pytest.raises(ValueError, match="differently configured"):
        Rows().merge_state(Rows(continuous=True))


def test_bins_of_continuous_factors_have_equally_many_rows() -> None:
    values = torch.rand(1000, 1, generator=GENERATOR) ** 3
    labels = value_labels(values, continuous=True, num_bins=8)
    assert labels[:, 0].bincount().tolist() == [125] * 8
    assert torch.equal(values[:, 0].argsort()[:125].sort().values, (labels[:, 0] == 0).nonzero()[:, 0])
    assert value_labels(torch.zeros(4, 1), continuous=True).tolist() == [[0]] * 4
