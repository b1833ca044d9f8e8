"""Speed and memory, shown as ratios within one run. ``python -m tests.benchmarks [names]`` prints all or some."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch

from torchdisentangle.functional.manifold.decoder_memory import PeakMemory

Work = Callable[[], object]
T = TypeVar("T")

_scale = 1.0


def set_scale(scale: float) -> None:
    """Multiply all sizes that are :func:`scaled`: small ones show that a benchmark runs, not what it measures."""
    global _scale
    _scale = scale


def scaled(size: int, least: int = 64) -> int:
    """A number of rows, queries or pixels, in the scale of this run."""
    return size if _scale == 1 else min(max(int(size * _scale), least), size)


def markdown(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table under its title."""
    lines = [f"**{title}**", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]) + "\n"


def synchronize(device: str) -> None:
    """Wait until a device has done all it was asked to do; no clock tells anything before."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], T], device: str = "cpu", runs: int = 1) -> tuple[float, T]:
    """The least time of some calls, and what the last one returned.

    CPU time of the process where one thread does everything, for others share the machine.
    """
    cpu = torch.device(device).type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if cpu else time.perf_counter
    times = []
    for _ in range(runs):
        synchronize(device)
        start = clock()
        value = work()
        synchronize(device)
        times.append(clock() - start)
    return min(times), value


def seconds(work: Work, device: str = "cpu") -> float:
    """Time of one call."""
    return timed(work, device)[0]


def least_seconds(works: Mapping[str, Work], device: str = "cpu", enough: float = 2.0) -> dict[str, float]:
    """The least time of each of several works, which take turns: at least two, and up to ten in ``enough`` seconds.

    In each turn a work runs twice, for the first run finds the memory as another work has left it.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(10):
        if turn >= 2 and sum(map(sum, times.values())) > enough:
            break
        for name, work in works.items():
            times[name] += [seconds(work, device), seconds(work, device)]
    return {name: min(all_runs) for name, all_runs in times.items()}


def peak_bytes(work: Work, device: str = "cpu") -> int:
    """Peak of the memory that a call takes beyond what was taken before."""
    if torch.device(device).type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with PeakMemory() as memory:
        work()
    return memory.peak
