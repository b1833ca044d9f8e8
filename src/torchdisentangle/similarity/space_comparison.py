"""Whole spaces of several models, compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.similarity.spaces import dissimilarity_ranks, linear_cka, procrustes_distance, svcca
from torchdisentangle.functional.supervised.predictability import is_constant
from torchdisentangle.similarity.fingerprint import Fingerprint
from torchdisentangle.similarity.run_pairs import RunPairs


class SpaceComparison(NamedTuple):
    """Whole spaces of several models, compared in pairs.

    Args:
        names: of the models, ``R`` of them.
        linear_cka: ``(R, R)``.
        svcca: ``(R, R)``.
        procrustes_distance: ``(R, R)``.
        rsa: ``(R, R)``.
        num_points: data points at which they were compared.
    """

    names: list[str]
    linear_cka: Tensor
    svcca: Tensor
    procrustes_distance: Tensor
    rsa: Tensor
    num_points: int


def compare_spaces(fingerprints: Mapping[str, Fingerprint], *, runs_at_once: int | None = None) -> SpaceComparison:
    """Compare the posterior means of several models as whole spaces, at the data points that all fingerprints have.

    Args:
        fingerprints: by the models' names.
        runs_at_once: how many models to hold at a time, of which the values do not depend; by default as many as a CPU
            has memory for. Each takes half as many numbers as there are pairs of points. With
            :class:`~torchdisentangle.similarity.FingerprintFiles` no more are in memory.

    Returns:
        Linear CKA, SVCCA, Procrustes distance and RSA of all pairs.

    Raises:
        ValueError: if there is no fingerprint, they are not of the same data points, or these are fewer than three.

    Reference:
        Those of :class:`~torchdisentangle.LinearCKA`, :class:`~torchdisentangle.SVCCA`,
        :class:`~torchdisentangle.ProcrustesDistance` and :class:`~torchdisentangle.RSA`.

    Example:
        >>> mean, index = torch.tensor([[0.0, 1.0], [3.0, 0.0], [6.0, 5.0]]), torch.arange(3)
        >>> models = {"a": Fingerprint(mean, 0 * mean, index), "b": Fingerprint(-mean.flip(1), 0 * mean, index)}
        >>> compare_spaces(models).linear_cka.round(decimals=6)
        tensor([[1., 1.],
                [1., 1.]], dtype=torch.float64)
    """
    if not fingerprints:
        raise ValueError("at least one fingerprint is needed")
    models = RunPairs(fingerprints, _means_and_distances, runs_at_once)
    if models.num_points < 3:
        raise ValueError(f"at least three data points are needed to compare spaces, got {models.num_points}")
    values = torch.zeros(4, len(fingerprints), len(fingerprints), dtype=torch.float64)
    for i, j, (mean_a, distances_a), (mean_b, distances_b) in models:
        covariance = _covariance(mean_a, mean_b)
        functions = (linear_cka, svcca, procrustes_distance)
        rsa = (distances_a @ distances_b).clamp(-1, 1)
        values[:, i, j] = torch.stack([*(function(covariance, mean_a.shape[1]) for function in functions), rsa])
        values[:, j, i] = values[:, i, j]
    return SpaceComparison(models.names, values[0], values[1], values[2], values[3], models.num_points)


def _means_and_distances(model: Fingerprint) -> tuple[Tensor, Tensor]:
    """Means, and the ranks of distances of points, centred and of norm 1: products of two are correlations."""
    ranks = dissimilarity_ranks(model.mean)
    ranks = ranks - ranks.mean()
    return model.mean, ranks / ranks.norm()


def _covariance(mean_a: Tensor, mean_b: Tensor) -> Tensor:
    """Covariance of two spaces side by side, 0 for constant latents, ``(d_a + d_b, d_a + d_b)``."""
    both = torch.cat([mean_a, mean_b], dim=1)
    covariance = both.mT.cov()
    constant = is_constant(both.mean(0), covariance.diagonal())
    return covariance.masked_fill(constant | constant[:, None], 0.0)
