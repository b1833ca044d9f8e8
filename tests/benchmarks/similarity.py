"""All-pairs similarity of channels: matrix products against a loop over pairs; and how blocks bound the memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from torchdisentangle.functional import (
    bhattacharyya_coefficients,
    compare_channels,
    compare_posteriors,
    joint_information,
)
from torchdisentangle.functional.manifold.decoder_memory import PeakMemory

CHANNELS, POINTS = 200, 1000
LOOPED, ROWS = 20, 20  # pairs, and rows of points, that are timed and scaled to all


def tables() -> Iterator[str]:
    """Markdown tables of ratios, both sides timed in this run."""
    torch.manual_seed(0)
    mean, log_variance = torch.randn(POINTS, CHANNELS), torch.randn(POINTS, CHANNELS) - 2
    pairs, rows = CHANNELS * (CHANNELS + 1) // 2, []
    for dtype in (torch.float32, torch.float64):
        posteriors = mean.to(dtype), log_variance.to(dtype)
        some = bhattacharyya_coefficients(posteriors[0][:, : LOOPED + 1], posteriors[1][:, : LOOPED + 1])
        block = bhattacharyya_coefficients(*posteriors, rows=slice(ROWS))
        loop = seconds(partial(looped, some)) * pairs / LOOPED
        gram = seconds(partial(joint_information, block, block)) * POINTS / ROWS
        whole = seconds(partial(compare_posteriors, *posteriors))
        name = str(dtype).removeprefix("torch.")
        rows.append(f"| {name} | {loop:.1f} | {gram:.2f} | {loop / gram:.0f} x | {whole:.2f} |")
    yield (
        f"All {pairs:,} pairs of {CHANNELS} channels at {POINTS:,} points, threads: {torch.get_num_threads()}. Loop "
        f"and products have their coefficients ready; timed on {LOOPED} pairs and {ROWS} rows, and scaled. The last "
        "column is everything, coefficients included, unscaled.\n\n"
        "| precision | loop over pairs (s) | products (s) | ratio | with coefficients (s) |\n"
        "| --- | ---: | ---: | ---: | ---: |\n" + "\n".join(rows)
    )
    few = mean[:, :10].double(), log_variance[:, :10].double()
    whole = peak(lambda: compare_channels(bhattacharyya_coefficients(*few)))
    blocks = peak(lambda: compare_posteriors(*few))
    yield (
        f"Memory of 10 channels at {POINTS:,} points, float64.\n\n"
        "| all coefficients (MB) | blocks of rows (MB) | ratio |\n| ---: | ---: | ---: |\n"
        f"| {whole / 1e6:.0f} | {blocks / 1e6:.0f} | {whole / blocks:.0f} x |"
    )


def looped(coefficients: Tensor) -> list[Tensor]:
    """Joint information of the first channel with each other, one pair at a time."""
    first, *others = coefficients
    return [-(first * other).mean(1).log().mean() for other in others]


def seconds(function: Callable[[], object]) -> float:
    """The faster of two calls."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def peak(function: Callable[[], object]) -> int:
    """Bytes of tensors alive at once."""
    with PeakMemory() as memory:
        function()
    return memory.peak


if __name__ == "__main__":
    for table in tables():
        print(f"{table}\n")
