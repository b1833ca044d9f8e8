"""Log-determinants of correlation matrices: which need eigenvalues, and that all are those of the eigenvalues."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle.functional.manifold.determinant import (
    SATURATION,
    cholesky_log_det,
    floored_log_det,
    log_det_correlation,
)


def with_eigenvalues(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """A correlation matrix near the one of these eigenvalues: its columns are those of a random basis, normalised."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), generator=generator).double())[0]
    matrix = (basis * eigenvalues) @ basis.mT
    scale = matrix.diagonal().rsqrt()
    return matrix * scale[:, None] * scale


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many matrices each call of ``eigvalsh`` decomposes, from now on."""
    sizes: list[int] = []
    eigvalsh = torch.linalg.eigvalsh

    def counting(matrices: Tensor, *args: Any) -> Tensor:
        sizes.append(len(matrices))
        return eigvalsh(matrices, *args)

    monkeypatch.setattr(torch.linalg, "eigvalsh", counting)
    return sizes


def test_a_small_determinant_alone_needs_no_eigenvalues(monkeypatch: pytest.MonkeyPatch) -> None:
    correlation = torch.stack([with_eigenvalues(torch.linspace(0.05, 2, 60).double().square(), i) for i in range(5)])
    eigenvalues = torch.linalg.eigvalsh(correlation)
    sizes = counted(monkeypatch)
    first = cholesky_log_det(correlation)
    assert first.suspect.all()
    log_det, singular = floored_log_det(correlation, first)
    assert sizes == []
    assert not singular.any()
    assert (log_det < math.log(SATURATION)).all()
    torch.testing.assert_close(log_det, eigenvalues.log().sum(-1), rtol=1e-11, atol=0)  # of condition numbers of 1e3


def test_eigenvalues_are_taken_of_the_undecided_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = torch.tensor([1.0, 1e-12, 1e-20, 1.0, 0.0]).double()
    correlation = torch.stack([with_eigenvalues(torch.cat([torch.ones(7).double(), s[None]]), 3) for s in smallest])
    sizes = counted(monkeypatch)
    log_det, singular = log_det_correlation(correlation)
    assert sizes == [2]  # the second is small, yet 70 times above the threshold
    assert singular.tolist() == [False, False, True, False, True]
    expected = torch.where(torch.linalg.eigvalsh(correlation) < SATURATION, SATURATION / 4, 1.0)[singular, 0].log()
    assert (log_det[singular] - expected).abs().max() < 2  # the other seven eigenvalues are near 1


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.1, 1.9, 2.1, 5.0])
def test_the_verdict_is_that_of_the_smallest_eigenvalue(factor: float) -> None:
    """Around the threshold, where the Cholesky factor cannot decide."""
    for size in (2, 3, 10):
        rest = torch.ones(size - 1).double()
        correlation = torch.stack(
            [with_eigenvalues(torch.cat([rest, torch.tensor([factor * SATURATION]).double()]), i) for i in range(20)]
        )
        eigenvalues = torch.linalg.eigvalsh(correlation)
        _, singular = log_det_correlation(correlation)
        assert torch.equal(singular, (eigenvalues[:, 0] < SATURATION) | (torch.linalg.cholesky_ex(correlation)[1] > 0))


def test_gradients_pass_by_singular_matrices() -> None:
    correlation = torch.stack([torch.ones(2, 2), torch.tensor([[1.0, 0.6], [0.6, 1.0]])]).double().requires_grad_()
    log_det, singular = log_det_correlation(correlation)
    assert singular.tolist() == [True, False]
    gradient = torch.autograd.grad(log_det.sum(), correlation)[0]
    assert (gradient[0] == 0).all()
    torch.testing.assert_close(gradient[1], torch.linalg.inv(correlation[1].detach()))
