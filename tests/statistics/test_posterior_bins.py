"""Sums over quantised posteriors: shards merge to one pass, over objects and processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchdisentangle.functional.informativeness.quantization import LatentEntropies
from torchdisentangle.statistics.posterior import PosteriorStatistic
from torchdisentangle.statistics.posterior_bins import PosteriorBins

MEAN, LOG_VARIANCE = torch.randn(2, 41, 3, generator=torch.Generator().manual_seed(0)).double()
EXACT = {"rtol": 1e-12, "atol": 1e-12}


class Bins(PosteriorStatistic):
    def __init__(self, **kwargs: Any) -> None:
        self._bins = PosteriorBins(**{"num_bins": 20, "pairs": True, **kwargs})
        super().__init__(configuration=self._bins.configuration)
        self._bins.register(self)

    def _add_besides(self, mean: Tensor, log_variance: Tensor, index: Tensor | None) -> None:
        self._bins.add(self, mean, log_variance)

    def compute(self) -> tuple[Tensor, ...]:
        entropies: LatentEntropies = self._bins.entropies(self)
        return (*entropies, self.bin_sum, self.pair_sum)


def filled(rows: slice = slice(None), size: int = 100, **kwargs: Any) -> Bins:
    metric = Bins(**kwargs)
    for mean, log_variance in zip(MEAN[rows].split(size), LOG_VARIANCE[rows].split(size), strict=True):
        if len(mean):
            metric.update(mean, log_variance)
    return metric


@given(st.integers(1, 41), st.integers(1, 41))
def test_shards_merge_to_one_pass(cut: int, size: int) -> None:
    first, second = filled(slice(cut), size), filled(slice(cut, None), size)
    first.merge_state(second)
    for value, expected in zip(first.compute(), filled().compute(), strict=True):
        torch.testing.assert_close(value, expected, **EXACT)


def work(rank: int, cuts: list[int]) -> tuple[Tensor, ...]:
    return filled(slice(cuts[rank], cuts[rank + 1]), 5).compute()


@pytest.mark.parametrize("cuts", [[0, 20, 41], [0, 41, 41], [0, 1, 30, 41]])
def test_processes_reduce_to_one(run_processes: Callable, cuts: list[int]) -> None:
    for values in run_processes(len(cuts) - 1, work, cuts):
        for value, expected in zip(values, filled().compute(), strict=True):
            torch.testing.assert_close(value, expected, **EXACT)


def test_chosen_pairs_are_those_of_all() -> None:
    every, chosen = filled().pair_sum, filled(pairs=[2, 0]).pair_sum
    torch.testing.assert_close(chosen, every[1:2].mT, **EXACT)  # of latents 0 and 2, turned round
    assert "pair_sum" not in Bins(pairs=False).state_names


def test_copies_and_precision() -> None:
    metric = filled()
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.half()):
        assert torch.equal(twin.bin_sum, metric.bin_sum)
        assert twin.bin_sum.dtype == torch.float64


def test_nonfinite_posteriors_are_left_out_and_counted() -> None:
    mean = MEAN.clone()
    mean[3, 1] = torch.nan
    metric = Bins()
    with pytest.warns(UserWarning, match=r"num_nonfinite \(1 in this batch\)"):
        metric.update(mean, LOG_VARIANCE)
    assert int(metric.num_rows) == 40
    torch.testing.assert_close(metric.bin_sum.sum(1), torch.full((3,), 40.0).double())


def test_bad_settings_are_refused() -> None:
    for settings, message in [
        ({"edges": (1.0, 1.0)}, "edges must be two finite numbers"),
        ({"num_bins": 1}, "num_bins must be at least 2, got 1"),
        ({"mode": "fast"}, "mode must be 'exact' or 'reference'"),
        ({"pairs": [0, 0]}, r"different latents, got \[0, 0\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            Bins(**settings)
    with pytest.raises(ValueError, match="there are 3"):
        filled(pairs=[0, 3])
    with pytest.raises(ValueError, match="too large: name the latents in pairs"):
        Bins(num_bins=100).update(torch.zeros(1, 300), torch.zeros(1, 300))
    with pytest.raises(ValueError, match="differently configured"):
        filled().merge_state(filled(edges=(-3.0, 3.0)))
