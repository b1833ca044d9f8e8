"""Witness complexes on threads: what a second one saves."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from tests.benchmarks import scaled
from torchdisentangle.functional.topology.witness import living_times_of_draws


def tables(device: str = "cpu") -> Iterator[str]:
    """Draws of landmarks on two threads against one, on clouds of the published sizes; always on the CPU."""
    rows = [
        "| points | dimensions | landmarks | gamma | ms a draw | 2 threads against 1 |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for points, dimensions, landmarks, gamma in [
        (1000, 64, 100, 1 / 128),
        (1000, 64, 100, 1 / 32),
        (5000, 64, 64, 1 / 128),
    ]:
        cloud = torch.randn(points, dimensions, generator=torch.Generator().manual_seed(0))
        draws = range(max(8, scaled(40_000) // points))
        seconds = {}
        for threads in (1, 2, 1, 2):  # the second round counts; the first warms up
            start = time.perf_counter()
            living_times_of_draws(cloud, draws, num_landmarks=landmarks, gamma=gamma, num_threads=threads)
            seconds[threads] = time.perf_counter() - start
        each = 1000 * seconds[1] / len(draws)
        rows.append(
            f"| {points} | {dimensions} | {landmarks} | 1/{round(1 / gamma)} | {each:.1f} | "
            f"{seconds[1] / seconds[2]:.2f}x |"
        )
    yield "### Relative living times\n\n" + "\n".join(rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n\n".join(tables()))
