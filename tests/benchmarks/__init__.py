"""Speed and memory, shown as ratios within one run. ``python -m tests.benchmarks [names]`` prints all or some."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

Work = Callable[[], object]


def markdown(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table under its title."""
    lines = [f"**{title}**", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]) + "\n"


def seconds(work: Work, device: str = "cpu") -> float:
    """Time of one call: CPU time of the process where one thread does everything, for others share the machine."""
    cpu = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if cpu else time.perf_counter
    start = clock()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def least_seconds(works: Mapping[str, Work], device: str = "cpu", repeats: int = 3) -> dict[str, float]:
    """The least time of each of several works, which take turns, after one call each to warm up."""
    for work in works.values():
        work()
    rounds = [{name: seconds(work, device) for name, work in works.items()} for _ in range(repeats)]
    return {name: min(times[name] for times in rounds) for name in works}
