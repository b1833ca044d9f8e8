"""Projections of the Jacobian: equal to probes times Jacobian, the same for any split, and right on average."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn

from torchdisentangle import functional as F
from torchdisentangle.functional.manifold.decoder_memory import PeakMemory
from torchdisentangle.functional.manifold.gram import (
    MAX_PAIRWISE,
    log_column_norms,
    log_volume,
    pairwise_mutual_information,
)
from torchdisentangle.functional.manifold.pairs import cross_pairwise_of_samples, pairwise_of_samples
from torchdisentangle.functional.manifold.probes import gaussian_probes

N, D, LATENTS = 11, 12, 5


def network(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(LATENTS, 16), nn.Tanh(), nn.Linear(16, D), nn.Unflatten(1, (3, 4))).to(dtype)


def latents(dtype: torch.dtype = torch.float64, num_samples: int = N) -> Tensor:
    return torch.randn(num_samples, LATENTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
@pytest.mark.parametrize("settings", [{}, {"chunk_size": 3}, {"memory_budget": 2000}, {"data_std": torch.rand(D) + 1}])
def test_projection_is_probes_times_jacobian(dtype: torch.dtype, tolerance: float, settings: dict[str, Any]) -> None:
    decode, z = network(dtype), latents(dtype)
    index = torch.randperm(N) + 100
    with torch.no_grad():
        found = F.probed_jacobian(decode, z, num_probes=6, index=index, seed=3, **settings)
        jacobian = F.decoder_jacobian(decode, z).double() * settings.get("data_std", torch.ones(1)).double()[:, None]
    expected = gaussian_probes(index, range(6), D, seed=3) @ jacobian
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance * 10)


def test_probes_belong_to_the_sample() -> None:
    """Any batches, in any order, and any number of probes give the same rows: so any number of processes does."""
    decode, z = network(), latents()
    with torch.no_grad():
        whole = F.probed_jacobian(decode, z, num_probes=8)
        for rows in (torch.tensor([4]), torch.tensor([9, 2, 7])):
            part = F.probed_jacobian(decode, z[rows], num_probes=5, index=rows)
            torch.testing.assert_close(part, whole[rows, :5], rtol=1e-13, atol=1e-13)
        other = F.probed_jacobian(decode, z, num_probes=8, seed=1)
    assert (whole - other).abs().amin() > 1e-6


def test_probes_are_independent_standard_normals() -> None:
    probes = gaussian_probes(torch.arange(500), range(10), 40)
    assert kstest(probes.flatten().numpy(), "norm").pvalue > 1e-3
    of_samples, of_probes, of_data = probes.flatten(1)[:60], probes.transpose(0, 1).flatten(1), probes.flatten(0, 1).mT
    for rows in (of_samples, of_probes, of_data):
        first, second = torch.triu_indices(len(rows), len(rows), 1)
        off = torch.corrcoef(rows)[first, second] * math.sqrt(rows.shape[1])  # standard normal, at most 1,770 of them
        assert off.abs().max() < 5.5  # one in 26 million each
        assert off.std() == pytest.approx(1, abs=5 / math.sqrt(2 * len(off)))


def test_labels_and_inference_mode() -> None:
    scale = torch.tensor([1.0, 3.0]).double()
    labels = torch.arange(N) % 2

    def decode(z: Tensor, labels: Tensor) -> Tensor:
        return torch.sin(z) * scale[labels][:, None]

    with torch.inference_mode():
        found = F.probed_jacobian(decode, latents(), labels, num_probes=4, chunk_size=2)
    jacobian = torch.diag_embed(torch.cos(latents()) * scale[labels][:, None])
    torch.testing.assert_close(found, gaussian_probes(torch.arange(N), range(4), LATENTS) @ jacobian)


def test_decoders_whose_backward_pass_cannot_be_batched() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor) -> Tensor:
            ctx.save_for_backward(z)
            return z.square()

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            (z,) = ctx.saved_tensors
            return torch.from_numpy(2 * z.numpy() * gradients[0].numpy())

    with torch.no_grad():
        found = F.probed_jacobian(Square.apply, latents(), num_probes=3)
    expected = gaussian_probes(torch.arange(N), range(3), LATENTS) * 2 * latents()[:, None]
    torch.testing.assert_close(found, expected)


def test_a_decoder_that_ignores_its_latents() -> None:
    with torch.no_grad():
        assert F.probed_jacobian(lambda z: torch.ones(len(z), 4), latents(), num_probes=3).abs().max() == 0


def test_memory_stays_within_the_budget() -> None:
    decode = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 1024))
    z = torch.randn(60, 64)
    for budget in (2**20, 2**22):
        with torch.no_grad(), PeakMemory() as memory:
            for _, projection in F.probed_jacobian_chunks(decode, z, memory_budget=budget):
                del projection
        assert memory.peak < budget + 4 * z.nbytes


def test_differentiable() -> None:
    """A training penalty at the price of a few products: its gradient is exact for the probes at hand."""
    decode, z = network(), latents()[:2].requires_grad_()

    def penalty(z: Tensor) -> Tensor:
        gram = F.gram_matrix(F.probed_jacobian(decode, z, num_probes=6))
        return F.manifold_total_correlation(gram, num_probes=6)

    assert torch.autograd.gradcheck(penalty, z)
    penalty(z).backward()
    assert all(parameter.grad is not None for name, parameter in decode.named_parameters() if name != "2.bias")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_probes": 1}, "at least 2 probes"),
        ({"index": torch.arange(3)}, r"index must be integers of shape \(11,\)"),
        ({"index": torch.zeros(N)}, "index must be integers"),
        ({"data_std": torch.ones(2)}, "data_std must be a number or have 12 entries, got 2"),
        ({"chunk_size": 0}, "chunk_size must be 'auto' or a positive number"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        F.probed_jacobian(network(), latents(), **settings)


def test_mixed_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="another row of the batch changes"):
        F.probed_jacobian(nn.BatchNorm1d(LATENTS).double(), latents())


def jacobians() -> Tensor:
    """Six samples, from orthogonal columns of equal length to nearly parallel ones of lengths 0.01 to 100."""
    generator = torch.Generator().manual_seed(2)
    free = torch.randn(6, D, LATENTS, generator=generator, dtype=torch.float64)
    orthogonal = torch.linalg.qr(free)[0]
    common = torch.randn(6, D, 1, generator=generator, dtype=torch.float64)
    mixed = orthogonal + common * torch.linspace(0, 3, 6).double()[:, None, None]
    return mixed * torch.logspace(-2, 2, LATENTS).double() ** torch.linspace(0, 1, 6).double()[:, None, None]


ESTIMATES: dict[str, Callable[[Tensor, int | None], Tensor]] = {
    "lengths": log_column_norms,
    "pairs": pairwise_of_samples,
    "volume of three": lambda gram, m: log_volume(gram, [0, 2, 3], m),
    "volume of all": lambda gram, m: log_volume(gram, None, m),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("num_probes", [2, 5, 8, 32])
def test_unbiased(num_probes: int, seed: int) -> None:
    """Means over 4,000 repetitions lie as far from the exact values as their standard errors say."""
    exact, repetitions = F.gram_matrix(jacobians()), 4000
    generator = torch.Generator().manual_seed(seed)
    probes = torch.randn(repetitions, 6, num_probes, D, generator=generator, dtype=torch.float64)
    gram = F.gram_matrix((probes @ jacobians()).flatten(0, 1))
    for name, estimate in ESTIMATES.items():
        if name.startswith("volume") and num_probes < LATENTS:
            continue
        truth = estimate(exact, None)
        found = estimate(gram, num_probes).unflatten(0, (repetitions, 6))
        off = (found.mean(0) - truth) / (found.std(0) / math.sqrt(repetitions))
        off = off[truth != 0]  # without the diagonal
        # at most 60 numbers for each of 58 tests: 5 sigma happens once in 500 runs of them all, if seeds were redrawn
        assert off.abs().max() < 5, name
        assert 0.4 < off.square().mean().sqrt() < 1.8, name  # some are correlated, for they share their probes
        uncorrected = estimate(gram, None).unflatten(0, (repetitions, 6)).mean(0) - truth
        power = (uncorrected / (found.std(0) / math.sqrt(repetitions)))[truth != 0]
        assert power.square().mean().sqrt() > 5, name  # so a missing constant would show


def test_cross_model_unbiased() -> None:
    a, b = jacobians(), jacobians().flip(-1) + jacobians().flip(1)
    probes = torch.randn(4000, 6, 8, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = cross_pairwise_of_samples((probes @ a).flatten(0, 1), (probes @ b).flatten(0, 1), None, 8)
    found = found.unflatten(0, (4000, 6))
    off = (found.mean(0) - cross_pairwise_of_samples(a, b)) / (found.std(0) / math.sqrt(4000))
    assert off.abs().max() < 5
    assert off.square().mean().sqrt() == pytest.approx(1, abs=0.4)


def test_bounds_are_those_of_the_exact_estimator() -> None:
    """Dead latents and parallel tangent vectors are found exactly, whatever the probes."""
    jacobian = torch.zeros(3, D, 4).double()
    jacobian[:, :2, 0], jacobian[:, :2, 1], jacobian[:, 5, 2] = 1.0, -2.0, 1.0
    gram = F.gram_matrix(torch.randn(3, 8, D).double() @ jacobian)
    exact = F.gram_matrix(jacobian)
    torch.testing.assert_close(log_column_norms(gram, 8)[:, 3], log_column_norms(exact)[:, 3], rtol=0, atol=0)
    pairwise = pairwise_of_samples(gram, 8)
    assert (pairwise[:, 0, 1] == MAX_PAIRWISE).all()
    assert pairwise[:, 3].abs().max() == 0
    alive, both = log_volume(gram, [0, 2], 8), log_volume(gram, [0, 2, 3], 8)
    torch.testing.assert_close(both - alive, log_column_norms(exact)[:, 3])  # the floor has no bias to correct


def test_a_volume_of_more_latents_than_probes_is_refused() -> None:
    gram = F.gram_matrix(torch.randn(5, 3, LATENTS))
    with pytest.raises(ValueError, match="volume of 5 latents needs at least as many probes, got 3"):
        F.manifold_total_correlation(gram, num_probes=3)
    with pytest.raises(ValueError, match="at least as many probes, got 1"):
        pairwise_mutual_information(torch.tensor([0.5]), 1)
