"""How often intervals cover: the jackknife of ``metric.interval()``, and the bootstrap, which is not offered."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor

from tests.benchmarks import markdown, scaled, timed
from torchdisentangle.functional import entropy, mutual_information, mutual_information_gap
from torchdisentangle.functional.supervised.binning import assign_equal_bins
from torchdisentangle.functional.supervised.joint_counts import joint_counts
from torchdisentangle.supervised import (
    CCA,
    DCIMIG,
    MCC,
    SAP,
    InfoC,
    InfoM,
    LinearR2,
    MIGSup,
    Modularity,
    MutualInformationGap,
    SupervisedScore,
)

NUM_DATA_SETS = 200
NUM_RESAMPLES = 200
SIZES = (300, 2000)
RANGE, NUM_BINS, NUM_VALUES = (-4.0, 4.0), 10, 5
MANY_BINS, MANY_VALUES = 20, 10  # where the plug-in bias is as large as the interval

SCORES: dict[str, Callable[[], SupervisedScore]] = {
    "MIG": lambda: MutualInformationGap(edges=RANGE, num_bins=NUM_BINS),
    "MIG-sup": lambda: MIGSup(edges=RANGE, num_bins=NUM_BINS),
    "DCIMIG": lambda: DCIMIG(edges=RANGE, num_bins=NUM_BINS),
    "modularity": lambda: Modularity(edges=RANGE, num_bins=NUM_BINS),
    "InfoM": lambda: InfoM(estimator="counts", edges=RANGE, num_bins=NUM_BINS),
    "InfoC": lambda: InfoC(estimator="counts", edges=RANGE, num_bins=NUM_BINS),
    "SAP": SAP,
    "MCC": MCC,
    "linear R2": LinearR2,
    "CCA": CCA,
}

NEIGHBOURS: dict[str, Callable[[], SupervisedScore]] = {
    "MIG": lambda: MutualInformationGap(estimator="neighbours", max_rows=10**6),
    "InfoM": lambda: InfoM(max_rows=10**6),
    "InfoC": lambda: InfoC(max_rows=10**6),
}
NUM_NEIGHBOUR_SETS = 60  # each is estimated 21 times

BOOTSTRAPPED: dict[str, Callable[[], SupervisedScore]] = {
    "MIG, jackknife": lambda: MutualInformationGap(edges=RANGE, num_bins=MANY_BINS),
}


def rows(num_rows: int, seed: int, num_values: int = NUM_VALUES) -> tuple[Tensor, Tensor]:
    """Three factors, and four codes that know one or two of them."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randint(num_values, (num_rows, 3), generator=generator)
    codes = 0.8 * torch.randn(num_rows, 4, generator=generator)
    known = (factors - (num_values - 1) / 2) * 4 / (num_values - 1)
    codes += known[:, [0, 1, 2, 0]] * torch.tensor([1.0, 0.9, 0.8, 0.6])
    codes[:, 2:] += 0.5 * known[:, 1:2]
    return codes.clamp(*RANGE), factors


def truths(
    scores: dict[str, Callable[[], SupervisedScore]], num_values: int = NUM_VALUES, parts: int = 16
) -> dict[str, float]:
    """Values of four million rows, whose errors are a fortieth of those of 2,000; or of fewer parts."""
    metrics = {name: make() for name, make in scores.items()}
    for part in range(parts):
        codes, factors = rows(scaled(250_000), 10**6 + part, num_values)
        for metric in metrics.values():
            metric.update(codes, factors, index=torch.arange(len(codes)))
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def mig(bins: Tensor, factors: Tensor) -> float:
    """MIG of rows in bins."""
    joint = joint_counts(bins, factors, MANY_BINS, MANY_VALUES)
    return float(mutual_information_gap(mutual_information(joint).mT, entropy(joint[:, 0].sum(1))).mean())


def bootstrap_intervals(codes: Tensor, factors: Tensor, seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile and BCa intervals of MIG; the acceleration is from 50 groups of rows."""
    generator = torch.Generator().manual_seed(seed)
    bins, num_rows = assign_equal_bins(codes, *RANGE, MANY_BINS), len(codes)
    value = mig(bins, factors)
    draws = torch.randint(num_rows, (NUM_RESAMPLES, num_rows), generator=generator)
    values = np.array([mig(bins[draw], factors[draw]) for draw in draws])
    percentile = tuple(np.quantile(values, [0.025, 0.975]))
    groups = torch.arange(num_rows) % 50
    left_out = np.array([mig(bins[groups != group], factors[groups != group]) for group in range(50)])
    steps = left_out.mean() - left_out
    acceleration = (steps**3).sum() / (6 * (steps**2).sum() ** 1.5)
    shift = ndtri(((values < value).sum() + 0.5) / (NUM_RESAMPLES + 1))
    reach = shift + ndtri(np.array([0.025, 0.975]))
    bca = tuple(np.quantile(values, ndtr(shift + reach / (1 - acceleration * reach))))
    return (percentile[0], percentile[1]), (bca[0], bca[1])


def coverage(
    num_rows: int,
    scores: dict[str, Callable[[], SupervisedScore]],
    truth: dict[str, float],
    bootstrap: bool = False,
    num_sets: int = NUM_DATA_SETS,
) -> dict[str, tuple[float, float]]:
    """Share of data sets whose interval covers the truth, and the intervals' mean width."""
    covered: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}

    def note(name: str, low: float, high: float, value: float) -> None:
        covered.setdefault(name, []).append(low <= value <= high)
        widths.setdefault(name, []).append(high - low)

    for seed in range(scaled(num_sets, 2)):
        codes, factors = rows(num_rows, seed, MANY_VALUES if bootstrap else NUM_VALUES)
        for name, make in scores.items():
            metric = make()
            metric.update(codes, factors, index=torch.arange(num_rows))
            low, high = metric.interval()
            note(name, float(low), float(high), truth[name])
        both = bootstrap_intervals(codes, factors, seed) if bootstrap else ()
        for kind, (low, high) in zip(("percentile", "BCa"), both, strict=False):
            note(f"MIG, {kind} bootstrap", low, high, truth["MIG, jackknife"])
    return {name: (float(np.mean(hits)), float(np.mean(widths[name]))) for name, hits in covered.items()}


def filled(make: Callable[[], SupervisedScore], codes: Tensor, factors: Tensor) -> SupervisedScore:
    """A score that was updated once, and computed."""
    metric = make()
    metric.update(codes, factors, index=torch.arange(len(codes)))
    metric.compute()
    return metric


def cost(device: str) -> Iterator[tuple[str, ...]]:
    """Time of a score, and of the score with its interval."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(10, (scaled(10_000), 5), generator=generator).to(device)
    codes = torch.randn(len(factors), 10, generator=generator).to(device) + torch.cat([factors, factors], dim=1)
    scores: dict[str, Callable[[], SupervisedScore]] = {
        "MIG, bins of the data": lambda: MutualInformationGap().to(device),
        "MIG, fixed bins": lambda: MutualInformationGap(edges=(-4.0, 14.0)).to(device),
        "SAP": lambda: SAP().to(device),
        "MCC": lambda: MCC().to(device),
    }
    for name, make in scores.items():
        plain, _ = timed(partial(filled, make, codes, factors), device, runs=7)
        both, _ = timed(lambda make=make: filled(make, codes, factors).interval(), device, runs=7)
        yield name, f"{1e3 * plain:.1f}", f"{1e3 * (both - plain):.1f}", f"{both / plain - 1:.1f}"


def tables(device: str = "cpu") -> Iterator[str]:
    """Coverage, on the CPU, and cost."""
    warnings.simplefilter("ignore")
    bins, many = f"{NUM_BINS} bins", f"{MANY_BINS} bins, factors of {MANY_VALUES} values"
    for title, scores, values, bootstrap, num_sets, parts in (
        (bins, SCORES, NUM_VALUES, False, NUM_DATA_SETS, 16),
        ("nearest neighbours", NEIGHBOURS, NUM_VALUES, False, NUM_NEIGHBOUR_SETS, 1),
        (many, BOOTSTRAPPED, MANY_VALUES, True, NUM_DATA_SETS, 16),
    ):
        truth = truths(scores, values, parts)
        found = [coverage(num_rows, scores, truth, bootstrap, num_sets) for num_rows in SIZES]
        yield markdown(
            f"Coverage (and mean width) of 95 % intervals over {scaled(num_sets, 2)} data sets, {title}",
            ["interval", *(f"{num_rows:,} rows" for num_rows in SIZES)],
            [[name, *(f"{one[name][0]:.3f} ({one[name][1]:.4f})" for one in found)] for name in found[0]],
        )
    yield markdown(
        "Time of intervals, 10,000 rows x 10 codes x 5 factors",
        ["score", "score (ms)", "interval (ms)", "ratio"],
        cost(device),
    )
