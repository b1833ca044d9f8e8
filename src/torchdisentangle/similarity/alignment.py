"""Fingerprints at the data points that all of them have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.similarity.fingerprint import Fingerprint


class SharedPoints:
    """The data points that all fingerprints have, in the first one's order; a warning says if none has only those.

    Args:
        fingerprints: at least one, looked at one after the other.

    Raises:
        ValueError: if they have fewer than two points in common.
    """

    def __init__(self, fingerprints: Iterable[Fingerprint]) -> None:
        self.index = torch.zeros(0, dtype=torch.int64)
        sizes: list[int] = []
        labelled: Fingerprint | None = None
        for fingerprint in fingerprints:
            if not sizes:
                self.index = fingerprint.index
            elif not torch.equal(self.index, index := fingerprint.index.to(self.index.device)):
                self.index = self.index[torch.isin(self.index, index)]
            sizes.append(fingerprint.num_points)
            labelled = fingerprint if labelled is None and fingerprint.labels is not None else labelled
        if len(self.index) < min(2, sizes[0]):
            raise ValueError(
                f"the fingerprints have {len(self.index)} data points in common: make them with one seed and data set"
            )
        if len(self.index) < min(sizes):
            rank_zero_warn(
                f"fingerprints are compared at the {len(self.index)} of {min(sizes)} data points they have in common"
            )
        self.labels: Tensor | None = None if labelled is None else self._aligned(labelled).labels

    def of(self, fingerprint: Fingerprint) -> Fingerprint:
        """A fingerprint at these points; itself if it has the same in the same order.

        Raises:
            ValueError: if its labels say that its points are different data.
        """
        aligned = self._aligned(fingerprint)
        own, first = aligned.labels, self.labels
        if own is None or first is None or own.shape != first.shape:
            return aligned
        if not torch.equal(own, first.to(own.device)):
            raise ValueError("the labels of points with the same index differ: the fingerprints are of different data")
        return aligned

    def _aligned(self, fingerprint: Fingerprint) -> Fingerprint:
        index = self.index.to(fingerprint.index.device)
        return fingerprint if torch.equal(fingerprint.index, index) else fingerprint.at(index)


def align_fingerprints(fingerprints: Sequence[Fingerprint]) -> list[Fingerprint]:
    """The fingerprints at the data points that all of them have, in the first one's order.

    Args:
        fingerprints: of any number of models.

    Returns:
        The fingerprints, unchanged if their points are the same in the same order. A warning says if none has only
        points that all the others have too.

    Raises:
        ValueError: if they have fewer than two points in common, or their labels say that points with the same index
            are different data.

    Example:
        >>> a = Fingerprint(torch.tensor([[0.0], [1.0], [2.0]]), torch.zeros(3, 1), torch.tensor([0, 1, 2]))
        >>> b = Fingerprint(torch.tensor([[4.0], [2.0], [0.0]]), torch.zeros(3, 1), torch.tensor([2, 1, 0]))
        >>> align_fingerprints([a, b])[1].mean[:, 0]
        tensor([0., 2., 4.], dtype=torch.float64)
    """
    points = SharedPoints(fingerprints)
    return [points.of(fingerprint) for fingerprint in fingerprints]
