"""The aggregate posterior: in blocks, against one large tensor and against a loop over queries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks import peak_bytes, scaled, timed
from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.elbo.decomposition import adjusted_to_kl, elbo_terms
from torchdisentangle.functional.elbo.gaussian import gaussian_kl, gaussian_log_density

NUM_LATENTS = 10


def posteriors(num_rows: int, device: str, std: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """A latent of each row, its mean and its log-variance."""
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, num_rows, NUM_LATENTS, generator=generator).double().to(device)
    log_variance = torch.full_like(mean, 2 * math.log(std))
    mean = mean * math.sqrt(1 - std**2)
    return mean + std * noise, mean, log_variance


def whole(z: Tensor, mean: Tensor, log_variance: Tensor) -> AggregateLogSums:
    """All log-densities in one tensor ``(S, N, d)``."""
    log_density = gaussian_log_density(z[:, None], mean, log_variance)
    return AggregateLogSums(torch.empty(()), log_density.sum(-1).logsumexp(1), log_density.logsumexp(1))


def loop(z: Tensor, mean: Tensor, log_variance: Tensor) -> AggregateLogSums:
    """One query after the other."""
    parts = [whole(query[None], mean, log_variance) for query in z]
    return AggregateLogSums(
        torch.empty(()), torch.cat([p.joint for p in parts]), torch.cat([p.marginal for p in parts])
    )


def against_alternatives(device: str) -> str:
    rows = [
        "| method | queries S | s | ms a query | against blocks | peak MiB |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    num_rows, num_queries = scaled(20_000), scaled(2000)
    z, mean, log_variance = posteriors(num_rows, device)
    few, many = z[:100], z[:num_queries]
    torch.testing.assert_close(aggregate_log_sums(few, mean, log_variance)[1:3], whole(few, mean, log_variance)[1:3])
    each = timed(partial(aggregate_log_sums, many, mean, log_variance), device, runs=2)[0] / len(many)
    peak = peak_bytes(partial(aggregate_log_sums, few, mean, log_variance), device) / 2**20
    rows.append(f"| blocks | {len(many)} | {len(many) * each:.2f} | {1000 * each:.2f} | 1x | {peak:.0f} |")
    for name, function in (("one tensor (S, N, d)", whole), ("loop over queries", loop)):
        work = partial(function, few, mean, log_variance)
        seconds, peak = timed(work, device, runs=2)[0], peak_bytes(work, device) / 2**20
        own = seconds / len(few)
        rows.append(f"| {name} | {len(few)} | {seconds:.2f} | {1000 * own:.2f} | {own / each:.1f}x | {peak:.0f} |")
    return f"### Log-sums of {num_rows:,} rows in 10 dimensions\n\n" + "\n".join(rows)


def of_rows(device: str) -> str:
    rows = ["| rows N | ms a query | peak MiB, result not counted |", "|--:|--:|--:|"]
    for num_rows in map(scaled, (5_000, 20_000, 80_000)):
        z, mean, log_variance = posteriors(num_rows, device)
        work = partial(aggregate_log_sums, z[:100], mean, log_variance)
        seconds, peak = timed(work, device, runs=2)[0], peak_bytes(work, device) / 2**20
        rows.append(f"| {num_rows} | {1000 * seconds / len(z[:100]):.2f} | {peak:.1f} |")
    return "### Time is linear in the rows, memory flat\n\n" + "\n".join(rows)


def of_extras(device: str) -> str:
    z, mean, log_variance = posteriors(scaled(20_000), device)
    factors = torch.randint(0, 10, (len(z), 5), generator=torch.Generator().manual_seed(1)).to(device)
    queries = z[:200]
    settings: dict[str, dict[str, Any]] = {
        "joint and marginals": {},
        "and leave-one-out": {"leave_one_out": True},
        "and matched, 5 factors of 10 values": {"factors": factors, "query_factors": factors[:200]},
    }
    works = {name: partial(aggregate_log_sums, queries, mean, log_variance, **s) for name, s in settings.items()}
    seconds = {name: timed(work, device, runs=2)[0] for name, work in works.items()}
    plain = seconds["joint and marginals"]
    rows = [f"| {name} | {1000 * value / len(queries):.2f} | {value / plain:.2f}x |" for name, value in seconds.items()]
    return "### What else can be had\n\n| | ms a query | ratio |\n|:--|--:|--:|\n" + "\n".join(rows)


def of_correction(device: str) -> str:
    """Spread of the three terms over disjoint sets of queries, with and without the correction by the KL divergence."""
    rows = [
        "| posterior std | estimate | mutual information | total correlation | dimension-wise KL |",
        "|--:|:--|--:|--:|--:|",
    ]
    for std in (0.3, 0.7):
        z, mean, log_variance = posteriors(4000, device, std)
        sums = aggregate_log_sums(z[:3000], mean, log_variance)
        log_joint, log_marginal = sums.joint - sums.weight, sums.marginal - sums.weight
        terms = torch.stack(elbo_terms(z[:3000], mean[:3000], log_variance[:3000], log_joint, log_marginal), dim=1)
        kl = gaussian_kl(mean, log_variance).sum(1).mean()
        batches = terms.split(100)
        corrected = [adjusted_to_kl(batch.mean(0), batch.T.cov(correction=0), kl)[0] for batch in batches]
        plain = torch.stack([batch.mean(0) for batch in batches]).std(0)
        spread = torch.stack(corrected).std(0)
        for name, values in (("plain mean", plain), ("corrected", spread)):
            rows.append(f"| {std} | {name} | " + " | ".join(f"{value:.3f}" for value in values.tolist()) + " |")
    return "### Standard deviation of the terms, 100 queries, 4000 rows, 10 dimensions (nats)\n\n" + "\n".join(rows)


def tables(device: str = "cpu") -> Iterator[str]:
    """The kernel against its alternatives, its growth, its options, and what the correction by the KL saves."""
    for table in (against_alternatives, of_rows, of_extras, of_correction):
        yield table(device)


if __name__ == "__main__":
    print("\n\n".join(tables()))
