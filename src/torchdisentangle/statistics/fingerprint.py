"""A fixed, bounded set of data points with their posteriors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.functional.row_hash import hash_index
from torchdisentangle.statistics.sample import SampleStatistic


class FingerprintStatistic(SampleStatistic):
    """Posteriors of the same data points on every process and in every run.

    Which points are kept depends on the seed and on their index in the data set alone, so that fingerprints of models
    trained apart can be compared point by point.

    Args:
        num_points: how many data points to keep, ``F``. Where fewer are seen, all are kept.
        seed: of the choice of points; runs that are to be compared need the same one.
        kwargs: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``num_points`` is not positive.
    """

    mean: Tensor
    log_variance: Tensor
    position: Tensor
    labels: Tensor
    num_nonfinite: Tensor

    def __init__(self, num_points: int = 1000, seed: int = 0, **kwargs: Any) -> None:
        if num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {num_points}")
        columns = ("mean", "log_variance", "position", "labels")
        super().__init__(columns, num_points, seed, configuration="fingerprint", **kwargs)
        self.add_sum("num_nonfinite", dtype=torch.int64)

    @property
    def num_points(self) -> int:
        """How many data points are kept at most."""
        return self.capacity

    def wanted(self, index: Tensor) -> Tensor:
        """Which rows would enter the sample, so that the others need not be encoded.

        Args:
            index: global positions of the rows, ``(n,)`` integers.

        Returns:
            Booleans, ``(n,)``.
        """
        keys = hash_index(index.to(self.device), self.seed)
        full = len(self.keys) == self.capacity
        return keys < self.keys[-1] if full else torch.ones_like(keys, dtype=torch.bool)

    def update(
        self, mean: Tensor, log_variance: Tensor, index: Tensor | None = None, labels: Tensor | None = None
    ) -> None:
        """Add data points.

        Args:
            mean: means of diagonal Gaussian posteriors, ``(n, d)``. Points with NaN or infinite entries are left out,
                counted in ``num_nonfinite``, and warned of.
            log_variance: their log-variances, ``(n, d)``.
            index: positions of the points in the data set, ``(n,)`` integers; by default as they come.
            labels: discrete labels or factors of the points, ``(n,)`` or ``(n, K)``; given always or never.

        Raises:
            ValueError: if the shapes do not fit.
        """
        if mean.ndim != 2 or mean.shape != log_variance.shape or not mean.is_floating_point():
            raise ValueError(
                "mean and log_variance must be floating point of one shape (n, d), "
                f"got {tuple(mean.shape)} of {mean.dtype} and {tuple(log_variance.shape)} of {log_variance.dtype}"
            )
        index = self._number(len(mean)) if index is None else index
        if index.shape != (len(mean),) or index.is_floating_point():
            raise ValueError(
                f"index must be integers of shape ({len(mean)},), got {tuple(index.shape)} of {index.dtype}"
            )
        rows = {"mean": mean, "log_variance": log_variance, "position": index}
        if labels is not None:
            rows["labels"] = labels
        finite = (mean.isfinite() & log_variance.isfinite()).all(1)
        if not finite.all():
            lost = int((~finite).sum())
            rank_zero_warn(
                "data points whose posteriors have NaN or infinite entries are left out of the fingerprint; their "
                f"number is in num_nonfinite ({lost} in this batch)",
                UserWarning,
            )
            self.accumulate(num_nonfinite=torch.tensor(lost), num_seen=torch.tensor(lost))
            rows = {name: values[finite.to(values.device)] for name, values in rows.items()}
        self.add_rows(rows, rows["position"])
