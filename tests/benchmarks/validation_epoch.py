"""All quick supervised scores of a validation epoch, and what their intervals cost."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks import markdown, scaled, timed
from torchdisentangle import supervised_metrics
from torchdisentangle.supervised import default_scores, registered_scores

NUM_ROWS, NUM_CODES, NUM_FACTORS, NUM_VALUES, BATCH = 10_000, 10, 5, 10, 250


def rows() -> tuple[Tensor, Tensor]:
    """Independent factors of ten values, and codes of which half know one each."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(NUM_VALUES, (scaled(NUM_ROWS), NUM_FACTORS), generator=generator)
    codes = torch.randn(len(factors), NUM_CODES, generator=generator)
    codes[:, :NUM_FACTORS] += factors
    return codes, factors


def filled(names: list[str], codes: Tensor, factors: Tensor) -> Any:
    """A collection that was updated batch by batch."""
    metrics = supervised_metrics(names).to(codes.device)
    for index in torch.arange(len(codes), device=codes.device).split(BATCH):
        metrics.update(codes[index], factors[index], index=index)
    return metrics


def epoch(names: list[str], codes: Tensor, factors: Tensor, with_intervals: bool) -> Any:
    """Updates, values, and intervals on request."""
    metrics = filled(names, codes, factors)
    values = metrics.compute()
    return values, [metric.interval() for metric in metrics.values(copy_state=False)] if with_intervals else []


def of_one(name: str, codes: Tensor, factors: Tensor, with_interval: bool) -> Any:
    """The same of one score."""
    return epoch([name], codes, factors, with_interval)


def tables(device: str = "cpu") -> Iterator[str]:
    """Seconds of all by default, and ratios of every quick score that needs no posteriors and no design."""
    warnings.simplefilter("ignore")
    codes, factors = (column.to(device) for column in rows())
    names = [*default_scores("quick"), "mutual_information"]
    names = list(dict.fromkeys(names))
    quick = [name for name in names if not registered_scores()[name].score().state.refits]
    head = f"{len(codes):,} rows x {NUM_CODES} codes x {NUM_FACTORS} factors, batches of {BATCH}"
    lines = []
    for what, chosen in (("all quick scores", names), ("of counts and moments alone", quick)):
        plain, _ = timed(partial(epoch, chosen, codes, factors, False), device, runs=3)
        both, _ = timed(partial(epoch, chosen, codes, factors, True), device, runs=3)
        lines.append((f"{what} ({len(chosen)})", f"{plain:.3f}", f"{both:.3f}", f"{both / plain:.1f}"))
    yield markdown(head, ["scores", "seconds", "with intervals", "ratio"], lines)
    lines = []
    every = {name: score for name, score in registered_scores().items() if score.cost == "quick"}
    for name in sorted(name for name, score in every.items() if not score.needs & {"design", "log_variance"}):
        plain, _ = timed(partial(of_one, name, codes, factors, False), device, runs=3)
        both, _ = timed(partial(of_one, name, codes, factors, True), device, runs=3)
        lines.append((name, f"{1e3 * plain:.0f}", f"{1e3 * (both - plain):.0f}", f"{both / plain - 1:.1f}"))
    yield markdown(f"Each by itself, {head}", ["score", "score (ms)", "interval (ms)", "ratio"], lines)
