"""Separability in one pass against a pass for each latent, pairs by products of matrices against pairs one by one,
and the bias of bins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from tests.benchmarks import scaled, timed
from torchdisentangle.functional.elbo.aggregate import aggregate_log_sums
from torchdisentangle.functional.informativeness.quantization import binned_informativeness
from torchdisentangle.functional.informativeness.separation import pairwise_information


def posteriors(num_rows: int, num_latents: int, sigma: float = 0.5) -> tuple[Tensor, Tensor, Tensor]:
    """A latent of each row, its mean and its log-variance."""
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, num_rows, num_latents, generator=generator).double()
    mean = mean * math.sqrt(1 - sigma**2)
    return mean + sigma * noise, mean, torch.full_like(mean, 2 * math.log(sigma))


def leave_one_out(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-sums of all latents but one by subtraction."""
    sums = aggregate_log_sums(z, mean, log_variance, leave_one_out=True)
    assert sums.leave_one_out is not None
    return sums.leave_one_out


def recomputed(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The same by a pass over the remaining latents for each."""
    columns = []
    for i in range(z.shape[1]):
        rest = [j for j in range(z.shape[1]) if j != i]
        columns.append(aggregate_log_sums(z[:, rest], mean[:, rest], log_variance[:, rest]).joint)
    return torch.stack(columns, 1)


def one_by_one(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-densities of pairs, each by a pass over its two latents."""
    value = z.new_zeros(len(z), z.shape[1], z.shape[1])
    for i in range(z.shape[1]):
        for j in range(i):
            pair = [i, j]
            sums = aggregate_log_sums(z[:, pair], mean[:, pair], log_variance[:, pair])
            value[:, i, j] = value[:, j, i] = sums.joint - sums.marginal.sum(1) + sums.weight
    return value


def compared(
    title: str, fast: Callable[..., Tensor], slow: Callable[..., Tensor], sizes: list[int], device: str
) -> str:
    """A table of two ways to compute the same, at several numbers of latents."""
    num_queries, num_rows = scaled(128, 8), scaled(2000)
    rows = [f"| {title}: latents d (S = {num_queries}, N = {num_rows}) | at once, s | one by one, s | ratio |"]
    rows.append("|--:|--:|--:|--:|")
    for num_latents in sizes:
        z, mean, log_variance = (x.to(device) for x in posteriors(num_rows, num_latents))
        once, value = timed(partial(fast, z[:num_queries], mean, log_variance), device, runs=2)
        each, expected = timed(partial(slow, z[:num_queries], mean, log_variance), device, runs=2)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        rows.append(f"| {num_latents} | {once:.3f} | {each:.3f} | {each / once:.1f} |")
    return "\n".join(rows)


def bias_of_bins() -> str:
    """Informativeness of Gaussian channels by number of bins, and by the reference's densities at centres."""
    level = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    rows = ["| posterior sigma (means N(0, 1)) | truth | bins B | exact | reference |", "|--:|--:|--:|--:|--:|"]
    for sigma in (0.5, 0.1, 0.03):
        mean = torch.special.ndtri(level)[:, None]
        log_variance = torch.full_like(mean, 2 * math.log(sigma))
        truth = 0.5 * math.log(1 + 1 / sigma**2)
        for num_bins in (50, 100, 200):
            values = [
                binned_informativeness(mean, log_variance, num_bins=num_bins, mode=m).item()
                for m in ("exact", "reference")
            ]
            rows.append(f"| {sigma} | {truth:.4f} | {num_bins} | {values[0]:.4f} | {values[1]:.4f} |")
    return "\n".join(rows)


def tables(device: str = "cpu") -> Iterator[str]:
    """Markdown tables."""
    yield compared("all latents but one", leave_one_out, recomputed, [5, 10, 20, 40], device)
    yield compared("pairs", pairwise_information, one_by_one, [5, 10, 20], device)
    yield bias_of_bins()


if __name__ == "__main__":
    for table in tables():
        print(table, end="\n\n")
