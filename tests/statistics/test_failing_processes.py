"""A process that fails, is late or goes its own way: the others get a clear error in time, and never a wrong number."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle import ManifoldEntropySpectrum, manifold_metrics
from torchdisentangle.statistics import RowSample, Statistic, reduction
from torchdisentangle.statistics.reduction import ReductionError

TIMEOUT = 1.0  # seconds


class Rows(Statistic):
    codes: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("rows", **kwargs)
        self.sample = RowSample(["codes"], 5)
        self.add_state_of(self.sample)

    def update(self, codes: Tensor) -> None:
        self.sample.add(self, {"codes": codes})

    def compute(self) -> Tensor:
        return self.codes


def outcome(metric: Any) -> tuple[str, float, bool]:
    """What reducing said, after how many seconds, and whether the states are as before."""
    before = {name: getattr(metric, name).clone() for name in metric.state_names}
    start = time.perf_counter()
    try:
        message = f"a value: {metric.compute()}"
    except (ReductionError, MemoryError) as error:
        message = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    return message, seconds, all(torch.equal(before[name], getattr(metric, name)) for name in metric.state_names)


def spectrum(**settings: Any) -> ManifoldEntropySpectrum:
    metric = ManifoldEntropySpectrum(process_group=dist.new_group(timeout=timedelta(seconds=TIMEOUT)), **settings)
    metric.update(torch.randn(4, 5, 3))
    return metric


def last_process_is_absent(rank: int, world_size: int) -> Any:
    metric = spectrum()
    if rank == world_size - 1:
        time.sleep(3 * TIMEOUT)
        return None
    return outcome(metric)


def last_process_is_late(rank: int, world_size: int) -> Any:
    metric = spectrum()
    if rank == world_size - 1:
        time.sleep(2 * TIMEOUT)
    return outcome(metric)


def last_process_ends(rank: int, world_size: int) -> Any:
    metric = spectrum()
    return None if rank == world_size - 1 else outcome(metric)


@pytest.mark.parametrize("what", [last_process_is_absent, last_process_is_late, last_process_ends])
def test_the_others_know_in_time(run_processes: Callable, what: Callable) -> None:
    for result in run_processes(3, what, 3):
        if result is None:
            continue
        message, seconds, unchanged = result
        assert message.startswith("ReductionError: ManifoldEntropySpectrum: process ")
        assert "one failed, or did not arrive within the time-out" in message
        assert seconds < TIMEOUT + 3  # whatever the machine does besides
        assert unchanged


def last_process_fails_while_reducing(rank: int, world_size: int, then: str) -> Any:
    """After the processes have agreed on what to reduce, and before the sums are sent."""
    metric = spectrum()
    sums = [getattr(metric, name) for name in metric._sum_names]
    size = 1 + sum(state.numel() for state in sums if state.dtype == torch.float64)
    if rank < world_size - 1:
        return outcome(metric)
    with patch.object(reduction, "_padded", side_effect=MemoryError("no memory for the sums")):
        result = outcome(metric)
    if then == "goes on":  # as after a caught error, with a message that happens to be as long
        dist.all_reduce(torch.ones(size, dtype=torch.float64), group=metric.process_group)
    return result


@pytest.mark.parametrize("then", ["ends", "goes on"])
def test_failing_in_the_middle(run_processes: Callable, then: str) -> None:
    others, failed = run_processes(2, last_process_fails_while_reducing, 2, then)
    assert failed[0] == "MemoryError: no memory for the sums"
    assert others[0].startswith("ReductionError: ManifoldEntropySpectrum: process 0 could not reduce with the other 1")
    assert ("different communication" in others[0]) == (then == "goes on")
    assert failed[2]
    assert others[2]


def rows_fail(rank: int) -> Any:
    """After the sums are reduced, and before the rows are gathered."""
    metric = Rows(process_group=dist.new_group(timeout=timedelta(seconds=TIMEOUT)))
    metric.update(torch.arange(6.0)[:, None] + 10 * rank)
    if rank == 0:
        return outcome(metric)
    with patch.object(dist, "all_gather", side_effect=MemoryError("no memory for the rows")):
        return outcome(metric)


def test_a_statistic_is_never_half_reduced(run_processes: Callable) -> None:
    waiting, failed = run_processes(2, rows_fail)
    assert waiting[0].startswith("ReductionError: Rows: process 0 could not reduce")
    assert failed[0] == "MemoryError: no memory for the rows"
    assert waiting[2]
    assert failed[2]


def collection_after_failure(rank: int) -> Any:
    """A collection whose reduction failed once reduces as if nothing had happened."""
    metrics = manifold_metrics()
    metrics.update(torch.eye(3).expand(4 + rank, 3, 3))
    with patch.object(dist, "all_reduce", side_effect=RuntimeError("the network is down")):
        try:
            metrics.compute()
        except ReductionError as error:
            message = str(error)
    return message, metrics.compute()["spectrum"], int(metrics["summary"].num_samples)  # type: ignore[arg-type]


def test_a_collection_survives(run_processes: Callable) -> None:
    for rank, (message, values, samples) in enumerate(run_processes(2, collection_after_failure)):
        assert "the network is down" in message
        torch.testing.assert_close(values, torch.full((3,), 1.4189385332).double())
        assert samples == 4 + rank
