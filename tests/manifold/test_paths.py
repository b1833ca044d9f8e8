"""Closed forms by every path: exact or by probes, in pieces or not, in either precision, on 1, 2 and 4 processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from torchdisentangle import functional as F
from torchdisentangle import manifold_metrics
from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY
from torchdisentangle.functional.manifold.jacobian import ChunkSize

NUM_SAMPLES, NUM_PROBES = 203, 8  # no multiple of a number of processes or pieces
COLUMNS = torch.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.4], [1.0, 0.0, 0.1]]).double()


class Truth(NamedTuple):
    spectrum: Tensor
    pairwise: Tensor
    total_correlation: Tensor


def linear(z: Tensor) -> Tensor:
    return z @ COLUMNS.to(z).mT


def linear_truth(z: Tensor) -> Truth:
    lengths = COLUMNS.norm(dim=0)
    cosines = (COLUMNS / lengths).mT @ (COLUMNS / lengths)
    pairwise = -0.5 * (1 - cosines.square()).fill_diagonal_(1.0).log()
    volume = 0.5 * torch.logdet(COLUMNS.mT @ COLUMNS)
    return Truth(STANDARD_NORMAL_ENTROPY + lengths.log(), pairwise, lengths.log().sum() - volume)


def polar(z: Tensor) -> Tensor:
    """Angle, logarithm of the radius, and height: tangent vectors are orthogonal, of lengths r, r / 2 and 3."""
    radius = (0.5 * z[:, 1]).exp()
    return torch.stack([radius * z[:, 0].cos(), radius * z[:, 0].sin(), 3 * z[:, 2]], dim=1)


def polar_truth(z: Tensor) -> Truth:
    mean_log_radius = 0.5 * float(z[:, 1].mean())
    logs = [mean_log_radius, mean_log_radius - math.log(2), math.log(3)]
    return Truth(
        STANDARD_NORMAL_ENTROPY + torch.tensor(logs, dtype=torch.float64), torch.zeros(3, 3), torch.tensor(0.0)
    )


DECODERS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Truth]]] = {
    "linear": (linear, linear_truth),
    "polar": (polar, polar_truth),
}
PATHS = list(product(DECODERS, ("exact", "probes"), ("auto", 7), (torch.float64, torch.float32)))
NAMES = ("spectrum", "pairwise", "decomposition")


def latents() -> Tensor:
    return torch.randn(NUM_SAMPLES, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def evaluate(rank: int, num_processes: int) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """Values and standard errors by each path, from this process's share of the samples."""
    index = torch.arange(rank, NUM_SAMPLES, num_processes)
    return [_evaluate(index, *path) for path in PATHS]


@torch.no_grad()
def _evaluate(
    index: Tensor, name: str, estimator: str, chunk_size: ChunkSize, dtype: torch.dtype
) -> dict[str, tuple[Tensor, Tensor]]:
    decode, z = DECODERS[name][0], latents()[index].to(dtype)
    metrics = manifold_metrics(estimator=estimator, num_probes=NUM_PROBES)
    pieces: Iterator[tuple[slice, Tensor]]
    if estimator == "exact":
        pieces = F.decoder_jacobian_chunks(decode, z, chunk_size=chunk_size)
    else:
        pieces = F.probed_jacobian_chunks(decode, z, num_probes=NUM_PROBES, index=index, chunk_size=chunk_size)
    for _, piece in pieces:
        metrics.update(piece)
    values, errors = metrics.compute(), metrics.standard_errors()
    return {name: (values[name], errors[name]) for name in NAMES}


@pytest.mark.parametrize("num_processes", [1, 2, 4])
def test_every_path_leads_to_the_truth(run_processes: Callable[..., list[Any]], num_processes: int) -> None:
    alone = evaluate(0, 1)
    for found in run_processes(num_processes, evaluate, num_processes):
        for (name, estimator, _, dtype), values, of_one in zip(PATHS, found, alone, strict=True):
            rounding = 1e-10 if dtype is torch.float64 else 1e-5
            for (value, error), truth, (expected, _) in zip(
                values.values(), DECODERS[name][1](latents()), of_one.values(), strict=True
            ):
                torch.testing.assert_close(value, expected, rtol=rounding, atol=rounding)
                if estimator == "exact":
                    torch.testing.assert_close(value, truth.double(), rtol=rounding, atol=rounding)
                else:  # 203 samples of 8 probes
                    random = error > 0  # all but the diagonal of the pairs
                    assert error.max() < 0.05
                    assert ((value - truth).abs()[random] < 5 * error[random]).all()
