"""Scores from joint counts against a double loop over scikit-learn's mutual information."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np
import torch
from scipy.stats import norm
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.metrics.cluster import expected_mutual_information as sklearn_expected
from torch import Tensor

from tests.benchmarks import scaled, timed
from torchdisentangle import StatisticCollection
from torchdisentangle.functional import expected_mutual_information
from torchdisentangle.statistics import DataRange
from torchdisentangle.supervised import (
    DCIMIG,
    MIGSup,
    Modularity,
    MutualInformationGap,
    MutualInformationMatrix,
    RobustMIG,
)

SIZES, NUM_CODES, BATCH = (3, 6, 40, 32, 32), 10, 4096


def rows() -> tuple[Tensor, Tensor]:
    """Every combination of the factors once, in random order, and codes of which five know a factor."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.cartesian_prod(*(torch.arange(size) for size in SIZES))
    factors = factors[torch.randperm(len(factors), generator=generator)[: scaled(len(factors))]]
    codes = torch.randn(len(factors), NUM_CODES, generator=generator)
    codes[:, : len(SIZES)] += 4 * factors / torch.tensor(SIZES)
    return codes, factors


def double_loop(codes: Tensor, factors: Tensor) -> np.ndarray:
    """Bins of each code's range, and scikit-learn for each pair."""
    columns, labels = codes.double().numpy().T, factors.numpy().T
    bins = [np.digitize(column, np.histogram(column, 20)[1][:-1]) for column in columns]
    return np.array([[mutual_info_score(y, b) for y in labels] for b in bins])


def family(codes: Tensor, factors: Tensor, batch: int, intervals: bool) -> np.ndarray:
    """Two passes over batches: range, then counts, in groups if there shall be intervals, and all five scores."""
    data_range = DataRange().to(codes.device)
    for part in codes.split(batch):
        data_range.update(part)
    scores = (MutualInformationMatrix, MutualInformationGap, MIGSup, DCIMIG, Modularity)
    metrics = StatisticCollection([score(edges=data_range.compute(), intervals=intervals) for score in scores]).to(
        codes.device
    )
    for part, labels in zip(codes.split(batch), factors.split(batch), strict=True):
        metrics.update(part, labels)
    return metrics.compute()["MutualInformationMatrix"].cpu().numpy()


def hard_counts(codes: Tensor, factors: Tensor, device: str) -> Iterator[str]:
    there = codes.to(device), factors.to(device)
    family(there[0][:BATCH], there[1][:BATCH], BATCH, True)  # the first call of anything is slow
    loop, expected = timed(lambda: double_loop(codes, factors))
    sizes = f"{len(codes):,} rows x {NUM_CODES} codes x {len(SIZES)} factors of {SIZES} values"
    yield f"Five scores from the counts of {sizes}, 20 bins\n"
    yield "| | seconds | ratio | largest difference (nats) |\n|---|---|---|---|"
    yield f"| scikit-learn in a double loop, the matrix alone | {loop:.2f} | 1 | |"
    for intervals, batch in product((False, True), (len(codes), BATCH)):
        own, matrix = timed(partial(family, *there, batch, intervals), device)
        difference = np.abs(matrix - expected).max()
        name = f"all five, batches of {batch:,}{', counts for intervals' if intervals else ''}"
        yield f"| {name} | {own:.2f} | {loop / own:.0f} | {difference:.0e} |"
    yield ""


def soft_counts(codes: Tensor, factors: Tensor, device: str) -> Iterator[str]:
    num_rows = scaled(20_000)
    mean, labels = codes[:num_rows].double(), factors[:num_rows]
    mean_there, labels_there = mean.to(device), labels.to(device)
    deviation = 0.3
    edges = np.concatenate([[-np.inf], np.linspace(-4, 4, 101)[1:-1], [np.inf]])

    def loop() -> np.ndarray:
        joint = np.zeros((len(SIZES), NUM_CODES, 100, max(SIZES)))
        for k, column in enumerate(mean.numpy().T):
            soft = np.diff(norm.cdf(edges, column[:, None], deviation))
            for f, values in enumerate(labels.numpy().T):
                for value in range(SIZES[f]):
                    joint[f, k, :, value] = soft[values == value].sum(0)
        return joint

    def own() -> np.ndarray:
        metric = RobustMIG().to(device)
        metric.update(mean_there, labels_there, log_variance=torch.full_like(mean_there, 2 * np.log(deviation)))
        return metric.joint_counts().cpu().numpy()

    own()
    slow, expected = timed(loop)
    fast, joint = timed(own, device)
    yield f"Soft counts of {num_rows:,} rows x {NUM_CODES} codes x {len(SIZES)} factors, 100 bins\n"
    yield "| | seconds | ratio | largest difference (counts) |\n|---|---|---|---|"
    yield f"| scipy and a loop over codes, factors and values | {slow:.2f} | 1 | |"
    yield f"| one update | {fast:.2f} | {slow / fast:.1f} | {np.abs(joint - expected).max():.0e} |\n"


def permutation_mean(codes: Tensor, factors: Tensor, device: str) -> Iterator[str]:
    bins, values = (20 * torch.special.ndtr(codes[:, -1])).long(), factors[:, 2]
    joint = torch.bincount(bins * 40 + values, minlength=800).view(20, 40)
    expected_mutual_information(joint)
    table = contingency_matrix(values.numpy(), bins.numpy(), sparse=True)
    slow, expected = timed(lambda: sklearn_expected(table, len(bins)))
    there = joint.to(device)
    fast, value = timed(lambda: float(expected_mutual_information(there)), device)
    yield f"Mean information over all permutations of {len(bins):,} rows, 20 bins x 40 values\n"
    yield "| | seconds | ratio | relative difference |\n|---|---|---|---|"
    yield f"| scikit-learn | {slow:.3f} | 1 | |"
    yield f"| here | {fast:.3f} | {slow / fast:.0f} | {abs(value / expected - 1):.0e} |\n"


def tables(device: str = "cpu") -> Iterator[str]:
    """Markdown tables; ratios in one run."""
    codes, factors = rows()
    for lines in (hard_counts, soft_counts, permutation_mean):
        yield "\n".join(lines(codes, factors, device))


if __name__ == "__main__":
    for table in tables():
        print(table)
