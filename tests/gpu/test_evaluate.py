"""An evaluation of a model on a GPU finds what it finds on the CPU, with any sizes, and leaves no memory behind."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle import Report, evaluate
from torchdisentangle.evaluation import (
    DisentanglementEvaluation,
    ELBOEvaluation,
    Evaluation,
    InformativenessEvaluation,
    ManifoldEvaluation,
    SimilarityEvaluation,
    TopologyEvaluation,
    TraversalEvaluation,
)
from torchdisentangle.functional.device import CPU_SIZES, use_sizes

pytestmark = pytest.mark.gpu
DEVICE = "cuda"
FACTORS = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(4, 1)
DATA = torch.randn(48, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + FACTORS[:, :1]


class SmallVAE(nn.Module):
    """In float64, so that encodings and Jacobians agree to rounding too."""

    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(3, 4), nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
        self.double()

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


def evaluations() -> list[Evaluation]:
    return [
        ManifoldEvaluation(20),
        ELBOEvaluation(num_queries=20),
        DisentanglementEvaluation(["mig", "sap"], factors=1),
        InformativenessEvaluation(num_queries=20),
        SimilarityEvaluation(num_points=10),
        TopologyEvaluation(10, 2, num_draws=2, num_landmarks=5, num_threads=1),
        TraversalEvaluation(num_steps=3),
    ]


def report(device: str, chosen: Sequence[Evaluation] = ()) -> Report:
    return evaluate(SmallVAE(), DataLoader(TensorDataset(DATA, FACTORS), 7), chosen or evaluations(), device=device)


def assert_equal(found: Any, expected: Any) -> None:
    assert found.scalars.keys() == expected.scalars.keys()
    for name, value in expected.scalars.items():
        # encodings differ by rounding, which logarithms of determinants and densities amplify by their condition
        assert float(found.scalars[name]) == pytest.approx(float(value), rel=1e-10, abs=1e-10, nan_ok=True), name


def test_values_are_those_of_the_cpu() -> None:
    assert_equal(report(DEVICE), report("cpu"))


def test_values_do_not_depend_on_the_sizes() -> None:
    with use_sizes(CPU_SIZES):
        small = report(DEVICE)
    assert_equal(small, report(DEVICE))


def test_no_memory_is_left_behind() -> None:
    taken = []
    for _ in range(2):  # at first also what libraries allocate once
        report(DEVICE)
        gc.collect()
        taken.append(torch.cuda.memory_allocated())
    assert taken[1] <= taken[0]
