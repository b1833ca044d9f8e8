"""What an estimator of the information of codes about factors has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from torchdisentangle.statistics.code_factor_state import CodeFactorState


class Information(NamedTuple):
    """Information of ``d`` codes about ``F`` factors, in nats."""

    mutual: Tensor
    """Mutual information :math:`I(z_k; y_f)`, ``(d, F)``; by neighbours, about a continuous factor, from 0 to 1."""
    factor_entropy: Tensor
    """:math:`H(y_f)`, ``(F,)``; 0 for a factor with a single value; by neighbours, 1 for a continuous factor."""
    code_information: Tensor
    """:math:`I(z_k; x)`, what a code knows about the data, ``(d,)``; for binned codes their entropy; by neighbours
    infinite, for a code without noise tells all rows apart."""
    joint_entropy: Tensor | None = None
    """:math:`H(z_k, y_f)`, ``(d, F)``; only of binned codes."""
    estimate: Tensor | None = None
    """Mutual information in nats as it was estimated, ``(d, F)``, where ``mutual`` is something else."""

    def of_factors(self, chosen: Tensor) -> Information:
        """The same about some of the factors."""
        joint, estimate = (None if x is None else x[:, chosen] for x in (self.joint_entropy, self.estimate))
        return Information(self.mutual[:, chosen], self.factor_entropy[chosen], self.code_information, joint, estimate)

    def in_nats(self) -> Tensor:
        """Mutual information in nats, ``(d, F)``."""
        return self.mutual if self.estimate is None else self.estimate


class InformationEstimator(ABC):
    """Base of estimators: what is kept of the rows, and how information is read from it.

    An estimator holds settings and no data; the data are states of the score.
    """

    state: CodeFactorState
    """What is kept of the rows."""

    @abstractmethod
    def information(self, score: Any) -> Information:
        """Information about all factors, also those with a single value."""

    def quadratic_variance(self, score: Any) -> Tensor | None:
        """The variance of the mutual information of unrelated codes and factors, ``(d, F)``, if it is known.

        Where nothing is known the estimate is quadratic in the frequencies, and the jackknife counts its variance
        twice.
        """
        return None
