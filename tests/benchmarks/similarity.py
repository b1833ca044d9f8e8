"""All-pairs similarity of channels: matrix products against a loop over pairs; and how blocks bound the memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from tests.benchmarks import Work, peak_bytes, scaled, timed
from torchdisentangle.functional import (
    bhattacharyya_coefficients,
    compare_channels,
    compare_posteriors,
    joint_information,
)

CHANNELS, POINTS = 200, 1000
LOOPED, ROWS = 20, 20  # pairs, and rows of points, that are timed and scaled to all


def tables(device: str = "cpu") -> Iterator[str]:
    """Markdown tables of ratios, both sides timed in this run."""
    torch.manual_seed(0)
    points, channels = scaled(POINTS), scaled(CHANNELS, LOOPED + 1)
    mean, log_variance = torch.randn(2, points, channels, device=device)
    log_variance = log_variance - 2
    pairs, rows = channels * (channels + 1) // 2, []

    def seconds(work: Work) -> float:
        return timed(work, device, runs=2)[0]

    for dtype in (torch.float32, torch.float64):
        posteriors = mean.to(dtype), log_variance.to(dtype)
        some = bhattacharyya_coefficients(posteriors[0][:, : LOOPED + 1], posteriors[1][:, : LOOPED + 1])
        block = bhattacharyya_coefficients(*posteriors, rows=slice(ROWS))
        loop = seconds(partial(looped, some)) * pairs / LOOPED
        gram = seconds(partial(joint_information, block, block)) * points / ROWS
        whole = seconds(partial(compare_posteriors, *posteriors))
        name = str(dtype).removeprefix("torch.")
        rows.append(f"| {name} | {loop:.1f} | {gram:.2f} | {loop / gram:.0f} x | {whole:.2f} |")
    yield (
        f"All {pairs:,} pairs of {channels} channels at {points:,} points, threads: {torch.get_num_threads()}. Loop "
        f"and products have their coefficients ready; timed on {LOOPED} pairs and {ROWS} rows, and scaled. The last "
        "column is everything, coefficients included, unscaled.\n\n"
        "| precision | loop over pairs (s) | products (s) | ratio | with coefficients (s) |\n"
        "| --- | ---: | ---: | ---: | ---: |\n" + "\n".join(rows)
    )
    few = mean[:, :10].double(), log_variance[:, :10].double()
    whole = peak_bytes(lambda: compare_channels(bhattacharyya_coefficients(*few)), device)
    blocks = peak_bytes(lambda: compare_posteriors(*few), device)
    yield (
        f"Memory of 10 channels at {points:,} points, float64.\n\n"
        "| all coefficients (MB) | blocks of rows (MB) | ratio |\n| ---: | ---: | ---: |\n"
        f"| {whole / 1e6:.0f} | {blocks / 1e6:.0f} | {whole / blocks:.0f} x |"
    )


def looped(coefficients: Tensor) -> list[Tensor]:
    """Joint information of the first channel with each other, one pair at a time."""
    first, *others = coefficients
    return [-(first * other).mean(1).log().mean() for other in others]


if __name__ == "__main__":
    for table in tables():
        print(f"{table}\n")
