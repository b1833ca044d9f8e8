"""Manifold metrics of normalizing flows from exact Jacobians and from random probes: time and standard errors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from tests.benchmarks import scaled, timed
from torchdisentangle import StatisticCollection, manifold_metrics
from torchdisentangle.functional import decoder_jacobian_chunks, probed_jacobian_chunks
from torchdisentangle.models import LatentModel, as_latent_model, real_nvp

BLOCKS, HIDDEN = 8, 512
PROBES_AND_SAMPLES = ((8, 1024), (16, 512))  # of about the same standard error
EXACT_SAMPLES = {16: 512, 64: 128, 256: 24, 784: 6}  # so many are timed; the time grows in proportion


def flow(dim: int, device: str) -> LatentModel:
    """RealNVP with random weights, whose Jacobian differs from place to place."""
    torch.manual_seed(0)
    module = real_nvp(dim, num_blocks=BLOCKS, hidden=HIDDEN)
    for name, parameter in module.named_parameters():
        if "weight" in name:
            parameter.data += torch.randn_like(parameter) * 0.5 / parameter.shape[1] ** 0.5
    return as_latent_model(module.to(device))


def evaluate(model: LatentModel, num_samples: int, num_probes: int | None = None) -> StatisticCollection:
    """All manifold metrics, from a number of latents of the prior."""
    z = model.prior.sample(num_samples, torch.Generator().manual_seed(0)).to(model.like)
    pieces: Any
    if num_probes is None:
        metrics = manifold_metrics(mean_jacobian=False).to(z.device)
        pieces = decoder_jacobian_chunks(model.decode, z)
    else:
        metrics = manifold_metrics(estimator="probes", num_probes=num_probes).to(z.device)
        pieces = probed_jacobian_chunks(model.decode, z, num_probes=num_probes)
    for rows, jacobian in pieces:
        metrics.update(jacobian, log_det=model.log_det(z[rows]))
    return metrics


@torch.no_grad()
def tables(device: str = "cpu") -> Iterator[str]:
    """Milliseconds a sample of both estimators, and the largest standard errors that probes leave."""
    rows = [
        "| d | exact, ms a sample | probes | probes, ms a sample | exact / probes "
        "| samples | largest error of the spectrum | of MPMI |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for dim, exact_samples in EXACT_SAMPLES.items():
        exact_samples = scaled(exact_samples, 4) if torch.device(device).type == "cpu" else 512
        model = flow(dim, device)
        evaluate(model, 8, 8)  # warms up
        exact = timed(partial(evaluate, model, exact_samples), device)[0] / exact_samples
        for num_probes, num_samples in PROBES_AND_SAMPLES:
            num_samples = scaled(num_samples)
            seconds, metrics = timed(partial(evaluate, model, num_samples, num_probes), device)
            errors = metrics.standard_errors()
            rows.append(
                f"| {dim} | {1000 * exact:.2f} | {num_probes} | {1000 * seconds / num_samples:.2f} "
                f"| {exact / seconds * num_samples:.1f} | {num_samples} "
                f"| {errors['spectrum'].max():.4f} | {errors['pairwise'].max():.4f} |"
            )
    yield (
        f"### Probes\n\nAll manifold metrics of a RealNVP ({BLOCKS} blocks of {HIDDEN} hidden units, float32). "
        "Errors: standard errors in nats.\n\n" + "\n".join(rows)
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n\n".join(tables()))
