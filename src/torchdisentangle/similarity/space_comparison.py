"""Whole spaces of several models, compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.similarity.spaces import dissimilarity_ranks, linear_cka, procrustes_distance, svcca
from torchdisentangle.functional.supervised.predictability import is_constant
from torchdisentangle.similarity.fingerprint import Fingerprint, align_fingerprints


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


def compare_spaces(fingerprints: Mapping[str, Fingerprint]) -> SpaceComparison:
    """Compare the posterior means of several models as whole spaces, at the data points that all fingerprints have.

    Args:
        fingerprints: by the models' names.

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
    aligned = align_fingerprints([fingerprint.to("cpu") for fingerprint in fingerprints.values()])
    means = [fingerprint.mean for fingerprint in aligned]
    if len(means[0]) < 3:
        raise ValueError(f"at least three data points are needed to compare spaces, got {len(means[0])}")
    widths = [mean.shape[1] for mean in means]
    stacked = torch.cat(means, dim=1)
    covariance = stacked.mT.cov()
    constant = is_constant(stacked.mean(0), covariance.diagonal())
    covariance = covariance.masked_fill(constant | constant[:, None], 0.0)
    places = torch.arange(sum(widths)).split(widths)
    values = covariance.new_zeros(3, len(means), len(means))
    for i, j in product(range(len(means)), repeat=2):
        pair = torch.cat([places[i], places[j]])
        of_pair = covariance[pair[:, None], pair]
        for matrix, function in zip(values, (linear_cka, svcca, procrustes_distance), strict=True):
            matrix[i, j] = function(of_pair, widths[i])
    ranks = torch.stack([dissimilarity_ranks(mean) for mean in means])
    rsa = ranks.corrcoef().view(len(means), len(means))
    return SpaceComparison(list(fingerprints), values[0], values[1], values[2], rsa, len(stacked))
