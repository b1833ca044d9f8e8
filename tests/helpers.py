"""What several test files share and is no fixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

MakeTrainer = Callable[..., L.Trainer]
RunProcesses = Callable[..., list[Any]]

on_devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])

NORMAL_ENTROPY = 1.4189385332046727  # (1 + log 2 pi) / 2

BARE_TRAINER = """trainer:
  accelerator: cpu
  max_epochs: 1
  logger: false
  enable_progress_bar: false
  enable_model_summary: false
  enable_checkpointing: false
"""  # callbacks follow, indented by two


def random_jacobian(n: int = 5, data_dim: int = 8, latent_dim: int = 4, seed: int = 0) -> Tensor:
    """Independent normal entries, ``(n, data_dim, latent_dim)`` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, data_dim, latent_dim, generator=generator, dtype=torch.float64)


def random_orthogonal(dim: int, seed: int = 0) -> Tensor:
    """An orthogonal matrix, ``(dim, dim)`` in float64."""
    return torch.linalg.qr(random_jacobian(1, dim, dim, seed)[0])[0]


def assert_close(actual: Tensor, expected: Tensor | float) -> None:
    """Equality of manifold entropic metrics to rounding.

    They are means over a few samples of logarithms of Gram matrices with condition numbers of at most some thousands:
    each entry carries about 2^-53, which the inverse inside a determinant amplifies by the condition number.
    """
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-10, atol=1e-10)


def logged(trainer: L.Trainer, family: str, prefix: str = "val") -> dict[str, float]:
    """The last logged values of a family of metrics, by their names without ``<prefix>/<family>/``."""
    start = f"{prefix}/{family}/"
    return {k.removeprefix(start): float(v) for k, v in trainer.callback_metrics.items() if k.startswith(start)}


@torch.no_grad()
def encoded(model: Any, loader: DataLoader) -> tuple[Tensor, Tensor]:
    """Posteriors of all rows of a loader of a ``TensorDataset``."""
    return model.eval().encode(loader.dataset.tensors[0])  # type: ignore[attr-defined]


class Cube(torch.autograd.Function):
    """A function that knows its reverse mode only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad
