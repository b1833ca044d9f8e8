"""The bounded sample: uniform, and the same rows for any split."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest
from torch import Tensor

from torchdisentangle import StatisticCollection
from torchdisentangle.functional.row_hash import hash_index, hashed_normal
from torchdisentangle.statistics import RowSample, Statistic

ROWS = torch.randn(53, 3, generator=torch.Generator().manual_seed(0))


class Rows(Statistic):
    """Rows with their numbers, in the order that the sample gives them."""

    def __init__(self, capacity: int = 20, seed: int = 0) -> None:
        super().__init__(configuration=("rows", capacity, seed))
        self.sample = RowSample(["codes", "number", "extra"], capacity, seed)
        self.add_state_of(self.sample)

    def update(self, codes: Tensor, index: Tensor | None = None, extra: Tensor | None = None) -> None:
        number = torch.full((len(codes),), -1.0) if index is None else index.double()
        columns = {"codes": codes, "number": number}
        self.sample.add(self, columns if extra is None else {**columns, "extra": extra}, index)

    def compute(self) -> Tensor:
        rows = self.sample.read(self).columns
        return torch.cat([rows["number"], rows["codes"]], 1)


def filled(parts: list[Tensor], capacity: int = 20, **kwargs: Any) -> Rows:
    metric = Rows(capacity, **kwargs)
    for part in parts:
        metric.update(ROWS[part], index=part)
    return metric


def test_rows_belong_to_their_index() -> None:
    kept = filled([torch.arange(53)]).compute()
    assert kept.shape == (20, 4)
    assert torch.equal(kept[:, 1:], ROWS[kept[:, 0].long()].double())


@given(st.permutations(range(53)), st.integers(1, 53), st.sampled_from([1, 7, 52, 53, 54, 200]))
def test_any_order_and_any_batches_keep_the_same_rows(order: list[int], size: int, capacity: int) -> None:
    whole = filled([torch.arange(53)], capacity)
    parts = filled(list(torch.tensor(order).split(size)), capacity)
    assert torch.equal(whole.compute(), parts.compute())
    assert len(whole.compute()) == min(53, capacity)
    assert int(parts.num_seen) == 53


def test_a_row_seen_twice_is_kept_once() -> None:
    metric = filled([torch.arange(10), torch.arange(4, 12)])
    assert sorted(metric.number[:, 0].tolist()) == list(range(12))


@given(st.integers(0, 53))
def test_merging_equals_one_pass(cut: int) -> None:
    index = torch.arange(53)
    a, b = filled([index[:cut]] if cut else []), filled([index[cut:]] if cut < 53 else [])
    a.merge_state(b)
    assert torch.equal(a.compute(), filled([index]).compute())
    assert int(a.num_seen) == 53


def test_the_sample_is_uniform() -> None:
    """Every row is kept equally often over seeds; no row's index says whether it is kept."""
    counts, repetitions, capacity = torch.zeros(60), 500, 15
    for seed in range(repetitions):
        metric = Rows(capacity, seed=seed)
        index = torch.arange(60)
        metric.update(torch.zeros(60, 1), index=index)
        counts[metric.number[:, 0].long()] += 1
    expected = capacity / 60
    smallest = min(binomtest(int(count), repetitions, expected).pvalue for count in counts)
    assert smallest > 1e-3 / 60  # Bonferroni: a uniform sample fails one time in a thousand, and these seeds are fixed
    first_half = int(counts[:30].sum())
    assert binomtest(first_half, int(counts.sum()), 0.5).pvalue > 1e-3


def test_hashes_are_a_bijection_with_a_seed() -> None:
    index = torch.arange(-50_000, 50_000)
    keys = hash_index(index)
    assert len(keys.unique()) == len(index)
    assert not torch.equal(keys, hash_index(index, seed=1))
    assert kstest((keys.double() / 2.0**64 + 0.5).numpy(), "uniform").pvalue > 1e-3


def test_noise_is_normal_independent_and_belongs_to_the_row() -> None:
    keys = torch.arange(20_000)
    noise = hashed_normal(keys, 3)
    assert torch.equal(hashed_normal(keys[100:110], 3), noise[100:110])
    assert torch.equal(hashed_normal(keys[:10], 2), noise[:10, :2])
    for column in noise.T:
        assert kstest(column.numpy(), "norm").pvalue > 1e-3
    assert (torch.corrcoef(noise.T) - torch.eye(3)).abs().max() < 4 / 20_000**0.5  # four standard errors
    assert not torch.equal(hashed_normal(keys, 3, seed=1), noise)


def test_rows_without_an_index_are_numbered_as_they_come() -> None:
    whole, parts, forwarded = Rows(), Rows(), Rows()
    whole.update(ROWS)
    for part in ROWS.split(9):
        parts.update(part)
        assert len(forwarded(part)) == min(20, len(part))  # the value of this batch alone
    assert torch.equal(whole.codes, parts.codes)
    assert torch.equal(whole.codes, forwarded.codes)
    whole.reset()
    whole.update(ROWS)
    assert torch.equal(whole.codes, parts.codes)


@given(st.permutations(range(53)), st.integers(0, 53))
def test_the_order_of_rows_without_an_index_depends_on_the_rows_alone(order: list[int], cut: int) -> None:
    """Two objects that both number their rows from 0 keep all of them, in the order of one object."""
    whole, first, second = Rows(100), Rows(100), Rows(100)
    whole.update(ROWS)
    shuffled = ROWS[torch.tensor(order)]
    first.update(shuffled[:cut])
    second.update(shuffled[cut:])
    first.merge_state(second)
    assert torch.equal(first.compute(), whole.compute())
    assert not torch.equal(whole.compute()[:, 1:], ROWS.double())  # a random order


def work(rank: int, cuts: list[int], batch_size: int, capacity: int) -> tuple[Tensor, int]:
    metric = Rows(capacity)
    for part in torch.arange(cuts[rank], cuts[rank + 1]).split(batch_size):
        if len(part):
            metric.update(ROWS[part], index=part)
    before = len(metric.codes)
    value = metric.compute()
    assert len(metric.codes) == before  # the process's own rows are back
    return value, int(metric.num_seen)


@pytest.mark.parametrize("capacity", [1, 20, 100])
@pytest.mark.parametrize("cuts", [[0, 26, 53], [0, 53, 53], [0, 0, 53], [0, 1, 30, 53]])
def test_processes_keep_the_rows_of_one(run_processes: Callable, cuts: list[int], capacity: int) -> None:
    expected = filled([torch.arange(53)], capacity).compute()
    for value, _ in run_processes(len(cuts) - 1, work, cuts, 8, capacity):
        assert torch.equal(value, expected)


def padded(rank: int) -> Tensor:
    """Both processes see row 52, as a sampler that pads would have it; a collection reduces like a single metric."""
    collection = StatisticCollection({"rows": Rows()})
    index = torch.arange(rank, 53, 2)
    index = index if rank == 0 else torch.cat([index, torch.tensor([52])])
    collection.update(ROWS[index], index=index)
    return collection.compute()["rows"]


def test_padding_is_not_counted_twice(run_processes: Callable) -> None:
    for value in run_processes(2, padded):
        assert torch.equal(value, filled([torch.arange(53)]).compute())


def everything(rank: int) -> Tensor:
    """A loader without shares: each process sees all rows."""
    return filled([torch.arange(53)]).compute()


def test_rows_that_all_processes_see_are_one_sample(run_processes: Callable) -> None:
    for value in run_processes(3, everything):
        assert torch.equal(value, filled([torch.arange(53)]).compute())


def rows_received(rank: int, world_size: int, capacity: int) -> tuple[Tensor, int]:
    """The sample of 500 rows of each process, and how many rows of numbers it was sent."""
    metric = Rows(capacity)
    index = torch.arange(rank, 500 * world_size, world_size)
    metric.update(ROWS[index % 53], index=index)
    received, gather = [], dist.all_gather

    def counted(into: list[Tensor], own: Tensor, **settings: Any) -> None:
        received.append(sum(len(part) for part in into if part.dtype == torch.float64))
        gather(into, own, **settings)

    with patch.object(dist, "all_gather", counted):
        return metric.compute(), sum(received)


def test_processes_are_sent_little_more_than_the_sample(run_processes: Callable) -> None:
    """Each process holds as many rows as the sample of all, of which it gives those that may be in it."""
    index, capacity = torch.arange(2000), 400
    expected = Rows(capacity)
    expected.update(ROWS[index % 53], index=index)
    for value, received in run_processes(4, rows_received, 4, capacity):
        assert torch.equal(value, expected.compute())
        assert received < 2 * capacity


def unnumbered(rank: int) -> Tensor:
    metric = Rows()
    for part in ROWS[rank::2].split(5):
        metric.update(part)
    return metric.compute()


def test_processes_number_rows_like_a_distributed_sampler(run_processes: Callable) -> None:
    whole = Rows()
    whole.update(ROWS)
    for value in run_processes(2, unnumbered):
        assert torch.equal(value, whole.compute())


def different_widths(rank: int) -> None:
    metric = Rows()
    metric.update(ROWS[:, : 2 + rank])
    metric.compute()


def test_processes_with_different_widths_fail(run_processes: Callable) -> None:
    with pytest.raises(RuntimeError, match="rows of different widths"):
        run_processes(2, different_widths)


def test_bad_rows_are_refused() -> None:
    metric = Rows()
    metric.update(ROWS)
    with pytest.raises(ValueError, match=r"codes must have shape \(5, 3\), got \(5, 2\)"):
        metric.update(ROWS[:5, :2])
    with pytest.raises(ValueError, match="extra must have shape"):
        metric.update(ROWS[:5], extra=torch.zeros(5, 1))
    with pytest.raises(ValueError, match="max_rows must be at least 1"):
        Rows(0)
    with pytest.raises(ValueError, match="differently configured"):
        metric.merge_state(Rows(21))


def test_state_survives_copies_checkpoints_and_precision() -> None:
    metric = filled([torch.arange(53)])
    metric.persistent(True)
    loaded = Rows()
    loaded.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), loaded, metric.to(torch.float16)):
        assert torch.equal(twin.codes, metric.codes)
        assert twin.codes.dtype == torch.float64
    empty = Rows()
    empty.merge_state(metric)
    assert torch.equal(empty.compute(), metric.compute())


def test_memory_does_not_grow_with_the_data() -> None:
    metric = Rows(100)
    for start in range(0, 20_000, 500):
        metric.update(torch.zeros(500, 3), index=torch.arange(start, start + 500))
        held = sum(getattr(metric, name).numel() for name in metric.sample.names)
        assert held <= 100 * (1 + 3 + 1)
    assert int(metric.num_seen) == 20_000
