"""The state that all similarity metrics share: the posteriors of a fixed, bounded set of data points."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn
from typing_extensions import Unpack

from torchdisentangle.similarity.fingerprint import Fingerprint
from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import (
    check_codes,
    check_factors,
    check_index,
    check_log_variance,
    finite_rows,
)
from torchdisentangle.statistics.readout import readout
from torchdisentangle.statistics.sample import RowSample


class FingerprintSettings(MetricSettings, total=False):
    """Settings of :class:`FingerprintMetric`, which every similarity metric takes."""

    num_points: int
    seed: int


class FingerprintMetric(Statistic):
    """Posteriors of the same data points on every process and in every run.

    Which points are kept depends on the seed and on their index in the data set alone, so that fingerprints of models
    trained apart can be compared point by point.

    Args:
        num_points: how many data points to keep, ``F``. Where fewer are seen, all are kept.
        seed: of the choice of points; runs that are to be compared need the same one.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``num_points`` is not positive.
    """

    is_differentiable: bool | None = False
    higher_is_better: bool | None = None
    keys: Tensor
    mean: Tensor
    position: Tensor
    _warned = False

    def __init__(self, num_points: int = 1000, seed: int = 0, **settings: Unpack[MetricSettings]) -> None:
        if num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {num_points}")
        super().__init__(("fingerprint", num_points, seed), **settings)
        self.num_points = num_points
        self.seed = seed
        self.sample: RowSample = RowSample(["mean", "log_variance", "position", "labels"], num_points, seed)
        self.add_state_of(self.sample)

    def update(
        self, mean: Tensor, log_variance: Tensor, *, index: Tensor | None = None, labels: Tensor | None = None
    ) -> None:
        """Add data points.

        Args:
            mean: means of diagonal Gaussian posteriors, ``(n, d)``. Points with NaN or infinite entries are left out,
                counted in ``num_nonfinite``, and warned of.
            log_variance: their log-variances, ``(n, d)``.
            index: positions of the points in the data set, ``(n,)`` integers; by default as they come.
            labels: discrete labels or factors of the points, ``(n,)`` or ``(n, K)`` whole numbers; given always or
                never.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if shapes or values do not fit.
        """
        mean = check_codes(mean, name="mean", width=self.mean.shape[1] if len(self.keys) else None)
        log_variance = check_log_variance(log_variance, mean).to(mean.device)
        index = check_index(index, len(mean))
        rows = {
            "mean": mean,
            "log_variance": log_variance,
            "position": self.sample.number(self, len(mean)) if index is None else index,
        }
        if labels is not None:
            rows["labels"] = check_factors(labels, len(mean), name="labels")
        finite = finite_rows(mean, log_variance, rows.get("labels"))
        self.sample.add(self, rows, index, kept=finite)
        self.leave_out(int((~finite).sum()), "posteriors")

    @readout
    def fingerprint(self) -> Fingerprint:
        """The posteriors kept so far.

        Raises:
            ValueError: if there are none, or points that were given no index occur twice, as after a merge of two
                metrics that both numbered from 0.
        """
        rows = self.sample.read(self)
        self.require_samples(len(rows), "posteriors")
        if len(rows) < self.num_points and not self._warned:
            self._warned = True
            rank_zero_warn(
                f"the fingerprint has {len(rows)} data points, {self.num_points} were asked for: no channel's "
                f"information can exceed the logarithm of their number",
                UserWarning,
            )
        labels = rows["labels"].to(torch.int64) if rows["labels"].shape[1] else None
        return Fingerprint(rows["mean"], rows["log_variance"], rows["position"][:, 0].to(torch.int64), labels)
