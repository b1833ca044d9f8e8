"""Metrics that are sums: per-latent KL, active units, second moments and binned pairs of codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch import Tensor

from torchdisentangle import (
    ActiveUnits,
    CodeMutualInformation,
    GaussianTotalCorrelation,
    GaussianWassersteinCorrelation,
    LatentKL,
    StatisticCollection,
    functional,
)

CODES = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
    [[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 2.0]]
)


def of_codes() -> list[Any]:
    return [
        GaussianTotalCorrelation(),
        GaussianWassersteinCorrelation(),
        GaussianWassersteinCorrelation(normalize=True),
        CodeMutualInformation(5),
    ]


def filled(metric: Any, *batches: Tensor) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric


def test_latent_kl_and_active_units() -> None:
    mean = torch.tensor([[1.0, 0.0, 0.2], [1.0, 0.0, -0.2]])
    log_variance = torch.tensor([math.log(0.25), 0.0, 0.0]).expand(2, 3)
    kl, units = LatentKL(), ActiveUnits()
    for metric in (kl, units):
        metric.update(mean, log_variance)
    assert kl.compute().tolist() == pytest.approx([0.818147, 0.0, 0.02], abs=1e-6)
    assert int(units.compute()) == 1  # the first spends most, but says nothing about the data
    assert units.active().tolist() == [False, False, True]
    collapsed, one_row = ActiveUnits(), ActiveUnits()
    collapsed.update(torch.zeros(9, 4), torch.zeros(9, 4))
    one_row.update(torch.ones(1, 4), torch.zeros(1, 4))
    assert int(collapsed.compute()) == int(one_row.compute()) == 0
    with pytest.raises(ValueError, match="must not be negative"):
        ActiveUnits(-1.0)
    with pytest.raises(ValueError, match="ActiveUnits has no posteriors"):
        ActiveUnits().compute()


def test_moments_by_numpy() -> None:
    sigma = torch.from_numpy(np.cov(CODES.double().numpy().T))
    values = [filled(metric, CODES).compute() for metric in of_codes()[:3]]
    torch.testing.assert_close(values[0], functional.gaussian_total_correlation(sigma))
    torch.testing.assert_close(values[1], functional.gaussian_wasserstein_correlation(sigma))
    torch.testing.assert_close(values[2], values[1] / sigma.trace())


def test_pairs_by_scikit_learn() -> None:
    edges = torch.special.ndtri(torch.tensor([0.2, 0.4, 0.6, 0.8]))  # quintiles of the prior
    bins = torch.bucketize(CODES, edges)
    pairs = filled(CodeMutualInformation(5), CODES).pairwise()
    for i in range(3):
        for j in range(3):
            expected = mutual_info_score(bins[:, i], bins[:, j]) if i != j else 0.0
            assert float(pairs[i, j]) == pytest.approx(expected, abs=1e-12)
    assert float(filled(CodeMutualInformation(5), CODES).compute()) == pytest.approx(float(pairs.sum()) / 6)
    in_range = filled(CodeMutualInformation(4, edges=(-2, 2)), CODES)
    bins = (CODES / 1.0).floor().clamp(-2, 1)
    assert float(in_range.pairwise()[0, 1]) == pytest.approx(mutual_info_score(bins[:, 0], bins[:, 1]), abs=1e-12)


@given(st.lists(st.integers(0, 60), max_size=3).map(sorted))
def test_any_split_gives_the_value_of_one_pass(cuts: list[int]) -> None:
    edges = torch.tensor([0, *cuts, 60])
    for whole, *parts in zip(of_codes(), *(of_codes() for _ in range(len(cuts) + 1)), strict=True):
        for part, batch in zip(parts, CODES.split(edges.diff().tolist()), strict=True):
            part.update(batch)
        for part in parts[1:]:
            parts[0].merge_state(part)
        torch.testing.assert_close(parts[0].compute(), filled(whole, CODES).compute(), rtol=1e-12, atol=1e-12)


def work(rank: int, cuts: list[int]) -> list[float]:
    collection = StatisticCollection({str(i): metric for i, metric in enumerate(of_codes())})
    for batch in CODES[cuts[rank] : cuts[rank + 1]].split(7):
        collection.update(batch)
    return [float(value) for value in collection.compute().values()]


@pytest.mark.parametrize("cuts", [[0, 25, 60], [0, 0, 1, 60]])
def test_processes_give_the_value_of_one(run_processes: Callable, cuts: list[int]) -> None:
    expected = [float(filled(metric, CODES).compute()) for metric in of_codes()]
    for found in run_processes(len(cuts) - 1, work, cuts):
        assert found == pytest.approx(expected, abs=1e-12)


def test_constant_duplicated_single_and_few_codes() -> None:
    constant = torch.cat([CODES, torch.full((60, 1), 3.3)], 1)
    for metric, plain in zip(of_codes()[:2], of_codes()[:2], strict=True):
        value, expected = filled(metric, constant).compute(), filled(plain, CODES).compute()
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    twice = torch.cat([CODES[:, :1], CODES[:, :1]], 1)
    values = [float(filled(metric, twice).compute()) for metric in of_codes()]
    assert 15 < values[0] < 17  # infinite, in words
    assert values[2] == pytest.approx(2 - math.sqrt(2))
    for degenerate in (CODES[:, :1], CODES[:1], torch.full((9, 3), 0.7)):  # one code; one row; nothing varies
        values = [float(filled(metric, degenerate).compute()) for metric in of_codes()]
        assert values == pytest.approx([0, 0, 0, 0], abs=1e-6)  # a square root of rounding errors


@pytest.mark.parametrize("metric", [GaussianTotalCorrelation(), GaussianWassersteinCorrelation()])
def test_a_far_mean_costs_no_digits_but_its_own(metric: Any) -> None:
    """Codes at 1e6 keep ten digits behind the point; centred sums lose no more."""
    near = metric.clone()
    for batch in CODES.double().split(7):
        near.update(batch)
        metric.update(batch + 1e6)
    assert float(metric.compute()) == pytest.approx(float(near.compute()), rel=1e-8)


def test_nonfinite_rows_are_left_out_and_bad_input_is_refused() -> None:
    broken = torch.cat([CODES, torch.full((2, 3), math.nan)])
    for metric, expected in zip(of_codes(), of_codes(), strict=True):
        with pytest.warns(UserWarning, match="2 in this batch"):
            metric.update(broken)
        assert int(metric.num_nonfinite) == 2
        assert torch.equal(metric.compute(), filled(expected, CODES).compute())
        with pytest.raises(ValueError, match="so far had 3 columns of codes"):
            metric.update(CODES[:, :2])
        with pytest.raises(TypeError, match="codes must be floating point of shape"):
            metric.update(CODES.long())
        with pytest.raises(TypeError, match="index must be integers"):
            metric.update(CODES, index=CODES)
        metric.reset()
        with pytest.raises(ValueError, match="has no codes"):
            metric.compute()
    for edges, message in (((1.0,), "two finite numbers"), ((1.0, 1.0), "that ascend"), ("data", "'prior' or two")):
        with pytest.raises(ValueError, match=message):
            CodeMutualInformation(edges=edges)  # type: ignore[arg-type]


def test_plots() -> None:
    for metric in of_codes():
        filled(metric, CODES).plot()
        assert metric.plot([0.5, 0.2])[1].get_xlabel() == "step"
    kl = LatentKL()
    kl.update(CODES, CODES)
    assert len(kl.plot()[1].patches) == 3
