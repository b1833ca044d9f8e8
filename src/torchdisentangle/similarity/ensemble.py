"""The channels of several models, compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.similarity.comparison import ChannelComparison, compare_posteriors, compare_with_labels
from torchdisentangle.similarity.alignment import align_fingerprints
from torchdisentangle.similarity.fingerprint import Fingerprint


class EnsembleComparison(NamedTuple):
    """Channels of several models.

    Args:
        names: ``model:channel`` of each channel, ``M`` of them.
        comparison: of all channels with each other.
        with_labels: of all channels with the labels, if there are any.
        num_points: data points at which they were compared.
    """

    names: list[str]
    comparison: ChannelComparison
    with_labels: ChannelComparison | None
    num_points: int


def compare_fingerprints(fingerprints: Mapping[str, Fingerprint]) -> EnsembleComparison:
    """Compare the channels of several models, at the data points that all fingerprints have.

    Args:
        fingerprints: by the models' names.

    Returns:
        The comparison of all channels of all models.

    Raises:
        ValueError: if there is no fingerprint, or they are not of the same data points.

    Reference:
        Murphy et al., TMLR 2025 (ensembles).

    Example:
        >>> mean, index = torch.tensor([[0.0], [3.0], [6.0]]), torch.arange(3)
        >>> models = {"a": Fingerprint(mean, 0 * mean, index), "b": Fingerprint(-mean, 0 * mean, index)}
        >>> ensemble = compare_fingerprints(models)
        >>> ensemble.names, ensemble.comparison.variation_of_information[0, 1]
        (['a:0', 'b:0'], tensor(0., dtype=torch.float64))
    """
    if not fingerprints:
        raise ValueError("at least one fingerprint is needed")
    aligned = align_fingerprints([fingerprint.to("cpu") for fingerprint in fingerprints.values()])
    names = [f"{name}:{i}" for name, one in zip(fingerprints, aligned, strict=True) for i in range(one.num_channels)]
    mean = torch.cat([fingerprint.mean for fingerprint in aligned], dim=1)
    log_variance = torch.cat([fingerprint.log_variance for fingerprint in aligned], dim=1)
    labels: list[Tensor] = [fingerprint.labels for fingerprint in aligned if fingerprint.labels is not None]
    with_labels = compare_with_labels(mean, log_variance, labels[0]) if labels else None
    return EnsembleComparison(names, compare_posteriors(mean, log_variance), with_labels, len(mean))
