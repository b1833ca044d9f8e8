"""Many runs in blocks: the same values, each pair once, and few runs in memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle import compare_spaces, run_stability, unsupervised_disentanglement_ranking
from torchdisentangle.functional.device import CPU_SIZES, use_sizes
from torchdisentangle.similarity import Fingerprint, FingerprintFiles
from torchdisentangle.similarity.run_pairs import RunPairs

NUM_RUNS, POINTS = 7, 60


def of_runs() -> dict[str, Fingerprint]:
    """Runs of one to four latents, of which one tells nothing, with points in another order for each."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(POINTS + NUM_RUNS, 4, generator=generator)
    runs = {}
    for number in range(NUM_RUNS):
        index = torch.randperm(POINTS + NUM_RUNS, generator=generator)
        index = index[index != POINTS + number]  # each lacks another point
        mean = common[index, : 1 + number % 4] + 0.1 * torch.randn(len(index), 1 + number % 4, generator=generator)
        runs[f"run {number}"] = Fingerprint(mean * float(number != 3), torch.full_like(mean, -3.0), index, index % 5)
    return runs


class Alive:
    """How many of some tensors there are, and were at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def added(self, tensor: Tensor) -> Tensor:
        self.now += 1
        self.most = max(self.most, self.now)
        weakref.finalize(tensor, self._gone)
        return tensor

    def _gone(self) -> None:
        self.now -= 1


class Counting(Mapping[str, Fingerprint]):
    """Fingerprints that are made when they are asked for, counted."""

    def __init__(self) -> None:
        self.runs, self.alive, self.asked = of_runs(), Alive(), 0

    def __getitem__(self, name: str) -> Fingerprint:
        self.asked += 1
        one = self.runs[name]
        return Fingerprint(self.alive.added(one.mean.clone()), one.log_variance, one.index, one.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)


COMPARISONS: dict[str, Callable[..., Any]] = {
    "udr": lambda runs, **settings: unsupervised_disentanglement_ranking(runs, "spearman", **settings),
    "stability": run_stability,
    "spaces": compare_spaces,
}


@pytest.mark.filterwarnings("ignore:fingerprints are compared at")
@pytest.mark.parametrize("name", COMPARISONS)
def test_blocks_and_files_change_no_bit(name: str, tmp_path: Path) -> None:
    runs = of_runs()
    files = FingerprintFiles({key: run.save(tmp_path / key) for key, run in runs.items()})
    whole = COMPARISONS[name](runs)
    for at_once in (1, 2, 3, NUM_RUNS, None):
        for source in (runs, files):
            blocked = COMPARISONS[name](source, runs_at_once=at_once)
            assert blocked.names == list(runs)
            assert blocked.num_points == POINTS
            for value, expected in zip(blocked, whole, strict=True):
                if isinstance(value, Tensor):
                    assert torch.equal(value.nan_to_num(-9.0), expected.nan_to_num(-9.0))


@pytest.mark.filterwarnings("ignore:fingerprints are compared at")
@pytest.mark.parametrize("at_once", [1, 2, 3, NUM_RUNS])
def test_each_pair_comes_once_and_few_runs_are_held(at_once: int) -> None:
    """Two blocks, and the fingerprint that is read; each block is read once for itself and each block before it."""
    runs, prepared, seen = Counting(), Alive(), []
    for first, second, (one,), (other,) in RunPairs(runs, lambda run: (prepared.added(run.mean.clone()),), at_once):
        assert one.shape[1] == 1 + first % 4
        assert other.shape[1] == 1 + second % 4
        seen.append((first, second))
    assert sorted(seen) == list(combinations_with_replacement(range(NUM_RUNS), 2))
    assert prepared.most <= 2 * at_once + 1  # and one of the pair before
    assert runs.alive.most <= 3  # the first with labels, the one that is read, and the one before
    blocks = [range(start, min(start + at_once, NUM_RUNS)) for start in range(0, NUM_RUNS, at_once)]
    assert runs.asked == NUM_RUNS + sum((1 + place) * len(block) for place, block in enumerate(blocks))


def test_as_many_are_held_as_there_is_memory_for() -> None:
    index = torch.arange(POINTS)
    runs = {str(i): Fingerprint(torch.randn(POINTS, 2), torch.zeros(POINTS, 2), index) for i in range(6)}
    of_a_run = POINTS * 2 * 8
    with use_sizes(CPU_SIZES._replace(memory_budget=4 * of_a_run)):
        pairs = [(pair.first, pair.second) for pair in RunPairs(runs, lambda run: (run.mean,))]
    assert pairs[:5] == [(0, 0), (0, 1), (1, 1), (0, 2), (0, 3)]  # blocks of two


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="runs_at_once must be at least 1, got 0"):
        run_stability(of_runs(), runs_at_once=0)
    runs = of_runs()
    runs["run 5"] = Fingerprint(
        runs["run 5"].mean, runs["run 5"].log_variance, runs["run 5"].index, runs["run 5"].index
    )
    with pytest.raises(ValueError, match="different data"), pytest.warns(UserWarning, match="compared at"):
        compare_spaces(runs, runs_at_once=2)
