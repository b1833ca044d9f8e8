"""Information of binned codes about factors, from joint counts."""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.binning import assign_bins, equal_width_edges
from torchdisentangle.functional.supervised.information import (
    BiasCorrection,
    entropy,
    joint_entropy,
    mutual_information,
    plug_in_bias,
)
from torchdisentangle.statistics.code_factor_state import CodeFactorState
from torchdisentangle.statistics.counts import JointCounts
from torchdisentangle.supervised.information_estimator import Information, InformationEstimator


class CountedInformation(InformationEstimator):
    """Information from how often each bin of a code met each value of a factor.

    Args:
        counts: how rows are counted.
        bias_correction: of the mutual information, see
            :func:`~torchdisentangle.functional.supervised.information.mutual_information`; for hard bins only.

    Raises:
        ValueError: for an unknown correction, or one of soft bins.
    """

    def __init__(self, counts: JointCounts, bias_correction: BiasCorrection | None = None) -> None:
        known = get_args(BiasCorrection)
        if bias_correction is not None and bias_correction not in known:
            raise ValueError(f"bias_correction must be None or one of {known}, got {bias_correction!r}")
        if bias_correction is not None and counts.bins.soft:
            raise ValueError("a bias correction needs counts, binning='hard'; soft counts have a smaller bias")
        self.state: CodeFactorState = counts
        self.counts = counts
        self.bias_correction = bias_correction

    def table(self, score: Any) -> Tensor:
        """The joint counts ``(F, d, B, V)``."""
        score.require_samples(self.counts.num_rows(score), "rows")
        return self.counts.read(score)

    def information(self, score: Any) -> Information:
        """Information about all factors, computed once for all scores that count the same rows alike."""
        results, how = self.counts.results(score), ("information", self.counts.how, self.bias_correction)
        if how not in results:
            results[how] = self._information(self.table(score))
        return results[how]

    def _information(self, joint: Tensor) -> Information:
        miller_madow = self.bias_correction == "miller_madow"
        mutual = mutual_information(joint, self.bias_correction).mT
        of_factors = entropy(joint[:, 0].sum(1), miller_madow)
        of_codes = entropy(joint[0].sum(2), miller_madow)
        together = of_codes[:, None] + of_factors - mutual  # without a correction the joint entropy, and cheap
        if self.bias_correction is not None:
            together = joint_entropy(joint, miller_madow).mT
        return Information(mutual, of_factors, of_codes, together)

    def perfect_information(self, score: Any) -> Information:
        """Information of perfect codes, as far as bins and the factors' frequencies allow it."""
        by_value = self.table(score)[:, 0].sum(1).double()
        of_codes = torch.stack([entropy(self._perfectly_binned(count)) for count in by_value])
        of_factors = entropy(by_value)
        return Information(of_codes.diag(), of_factors, of_codes, of_codes[:, None] + of_factors - of_codes.diag())

    def bias(self, score: Any) -> Tensor:
        """Mean of the plug-in mutual information of unrelated codes and factors, to first order, ``(d, F)``."""
        return plug_in_bias(self.table(score)).mT

    def quadratic_variance(self, score: Any) -> Tensor | None:
        r""":math:`(B - 1) (V - 1) / (2 n^2)`, for :math:`2 n I` has a chi-squared distribution; of hard bins only."""
        return None if self.counts.bins.soft else self.bias(score) / self.counts.num_rows(score)

    def _perfectly_binned(self, count: Tensor) -> Tensor:
        """How often a perfect code of a factor with these counts is in each bin."""
        num_bins = self.counts.bins.num_bins
        values = count.nonzero()[:, 0].double()
        count = count[count > 0]
        if self.counts.bins.of_prior:  # equal quantiles of the normal are equal steps of the distribution function
            values = (count.cumsum(0) - 0.5 * count) / count.sum()
            edges = equal_width_edges(0.0, 1.0, num_bins)
        else:
            edges = equal_width_edges(values[0], values[-1], num_bins)
        bins = assign_bins(values[:, None], edges.to(values.device))[:, 0]
        return torch.zeros(num_bins).to(count).index_add(0, bins, count)
