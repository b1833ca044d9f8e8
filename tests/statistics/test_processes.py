"""Several processes give the value of one over all the data, in three kinds of collectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle import (
    ManifoldCrossPairwiseMutualInformation,
    ManifoldEntropy,
    ManifoldEntropySpectrum,
    ManifoldTotalCorrelation,
    StatisticCollection,
    manifold_metrics,
)

N, D, LATENTS = 23, 6, 4
JACOBIANS = torch.randn(N, D, LATENTS, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(N) % 3
LABELS[LABELS == 2] = 0
LABELS[-1] = 2  # a class that only one process sees


def build() -> StatisticCollection:
    return manifold_metrics(partition=[[0, 2], [1, 3]])


def rows_of(rank: int, cuts: list[int]) -> slice:
    return slice(cuts[rank], cuts[rank + 1])


def evaluate(rank: int, cuts: list[int], batch_size: int) -> dict[str, Tensor]:
    metrics = build()
    rows = rows_of(rank, cuts)
    jacobians, labels = JACOBIANS[rows], LABELS[rows]
    for start in range(0, len(jacobians), batch_size):
        metrics.update(jacobians[start : start + batch_size], labels=labels[start : start + batch_size])
    values = metrics.compute()
    errors = {f"{name} error": value for name, value in metrics.standard_errors().items()}
    return {**values, **errors, "samples here": metrics["spectrum"].num_samples}


@pytest.mark.parametrize(
    ("cuts", "batch_size"),
    [
        ([0, 12, N], 5),  # even, uneven batches
        ([0, 1, N], 7),  # a process with one row
        ([0, 0, N], 4),  # a process without data
        ([0, N, N], 4),
        ([0, 8, 16, N], 1),
        ([0, 20, 20, N], 6),  # three processes, one of them without data
    ],
)
def test_values_are_those_of_one_process(run_processes: Callable, cuts: list[int], batch_size: int) -> None:
    expected = evaluate(0, [0, N], N)
    for rank, values in enumerate(run_processes(len(cuts) - 1, evaluate, cuts, batch_size)):
        assert values.pop("samples here").sum() == cuts[rank + 1] - cuts[rank]  # the local state is back afterwards
        for name, value in values.items():
            # float64 sums in another order; a standard error is the root of a difference that cancels
            tolerance = 1e-8 if name.endswith("error") else 1e-10
            torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=1e-12, equal_nan=True)


def single_metrics(rank: int) -> list[Tensor]:
    """Metrics outside a collection reduce themselves."""
    rows = slice(rank, None, 2)
    other = JACOBIANS.flip(0)
    metrics = [ManifoldEntropySpectrum(), ManifoldEntropy([0, 1]), ManifoldTotalCorrelation()]
    for metric in metrics:
        metric.update(JACOBIANS[rows])
    cross = ManifoldCrossPairwiseMutualInformation()
    cross.update(JACOBIANS[rows], other[rows])
    return [*(metric.compute() for metric in metrics), metrics[0].standard_error(), cross.compute()]


def test_metrics_by_themselves(run_processes: Callable) -> None:
    spectrum, entropy, correlation = ManifoldEntropySpectrum(), ManifoldEntropy([0, 1]), ManifoldTotalCorrelation()
    for metric in (spectrum, entropy, correlation):
        metric.update(JACOBIANS)
    cross = ManifoldCrossPairwiseMutualInformation()
    cross.update(JACOBIANS, JACOBIANS.flip(0))
    expected = [
        spectrum.compute(), entropy.compute(), correlation.compute(), spectrum.standard_error(), cross.compute(),
    ]  # fmt: skip
    for values in run_processes(2, single_metrics):
        for value, truth in zip(values, expected, strict=True):
            torch.testing.assert_close(value, truth, rtol=1e-9, atol=1e-12)


def count_collectives(rank: int, num_samples: int) -> tuple[int, int]:
    metrics = build()
    metrics.update(JACOBIANS[:1].expand(num_samples, -1, -1))
    calls: list[int] = []
    reduce = dist.all_reduce

    def counted(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(tensor.numel() * tensor.element_size())
        return reduce(tensor, *args, **kwargs)

    with patch.object(dist, "all_reduce", counted), patch.object(dist, "all_gather", side_effect=AssertionError):
        metrics.compute()
    return len(calls), sum(calls)


def test_one_reduction_whatever_the_number_of_metrics_and_samples(run_processes: Callable) -> None:
    few, many = (run_processes(2, count_collectives, size)[0] for size in (1, 500))
    assert few == many
    assert few[0] == 4  # agree on the metrics, agree on the shapes, sums in float64, counts in int64


def test_without_any_sample_anywhere(run_processes: Callable) -> None:
    with pytest.raises(RuntimeError, match="has no samples"):
        run_processes(2, evaluate, [0, 0, 0], 1)


def different_settings(rank: int) -> None:
    metric = ManifoldEntropySpectrum(data_std=1.0 + rank)
    metric.update(JACOBIANS)
    metric.compute()


def different_shapes(rank: int) -> None:
    metric = ManifoldEntropySpectrum()
    metric.update(JACOBIANS[:, :, : 3 + rank])
    metric.compute()


@pytest.mark.parametrize(
    ("function", "message"),
    [(different_settings, "different metrics or settings"), (different_shapes, "sums of different shapes")],
)
def test_disagreement_is_an_error(run_processes: Callable, function: Callable, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        run_processes(2, function)
