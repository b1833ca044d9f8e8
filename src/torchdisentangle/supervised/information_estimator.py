"""What an estimator of the information of codes about factors has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from torchdisentangle.statistics import Statistic


class Information(NamedTuple):
    """Information of ``d`` codes about ``F`` factors, in nats."""

    mutual: Tensor
    """Mutual information :math:`I(z_k; y_f)`, ``(d, F)``."""
    factor_entropy: Tensor
    """:math:`H(y_f)`, ``(F,)``; 0 for a factor with a single value."""
    code_information: Tensor
    """:math:`I(z_k; x)`, what a code knows about the data, ``(d,)``; for binned codes their entropy."""
    joint_entropy: Tensor | None = None
    """:math:`H(z_k, y_f)`, ``(d, F)``; only of binned codes."""

    def of_factors(self, chosen: Tensor) -> Information:
        """The same about some of the factors."""
        joint = None if self.joint_entropy is None else self.joint_entropy[:, chosen]
        return Information(self.mutual[:, chosen], self.factor_entropy[chosen], self.code_information, joint)


class InformationEstimator(ABC):
    """Base of estimators: which states they keep of the rows, and how they read information from them.

    An estimator holds settings and no data; the data are states of the score.
    """

    configuration: object
    """Everything that changes what is kept."""
    needs: frozenset[str] = frozenset()
    """What it needs beside codes and factors: ``"log_variance"`` or nothing."""

    @abstractmethod
    def register(self, score: Statistic) -> None:
        """Add the states to a score."""

    @abstractmethod
    def widths(self, score: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had; ``None`` without rows."""

    @abstractmethod
    def num_rows(self, score: Any) -> int:
        """Number of rows that the information is estimated from."""

    @abstractmethod
    def add(
        self,
        score: Any,
        codes: Tensor,
        factors: Tensor,
        log_variance: Tensor | None,
        index: Tensor | None,
        kept: Tensor | None,
    ) -> None:
        """Add rows that were checked; ``kept`` says which are finite, ``None``: all."""

    @abstractmethod
    def information(self, score: Any) -> Information:
        """Information about all factors, also those with a single value."""
