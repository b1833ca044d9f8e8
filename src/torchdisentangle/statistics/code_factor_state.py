"""What is kept of rows of codes and factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.groups import Groups


class CodeFactorState(ABC):
    """States of a statistic of codes and factors: how rows come in, and how groups of them are left out again.

    An object holds settings and no data: the data are states of the statistic, among them the sum ``num_unnumbered``
    of rows that came without an index.
    """

    configuration: object
    """Everything that changes what is kept."""
    needs: frozenset[str] = frozenset()
    """What it needs beside codes and factors: ``"log_variance"``, ``"data"`` or nothing."""

    refits: bool = False
    """Whether the score without a group of rows costs as much as the score itself."""

    @abstractmethod
    def add_states_to(self, statistic: Statistic) -> None:
        """Add the states to a statistic."""

    @abstractmethod
    def widths(self, statistic: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had; ``None`` without rows."""

    @abstractmethod
    def num_rows(self, statistic: Any) -> int:
        """Number of rows that a value stands on."""

    @abstractmethod
    def add_codes(
        self,
        statistic: Any,
        codes: Tensor,
        factors: Tensor,
        log_variance: Tensor | None = None,
        index: Tensor | None = None,
        kept: Tensor | None = None,
        data: Tensor | None = None,
    ) -> None:
        """Add rows that were checked.

        Args:
            statistic: whose states these are.
            codes: codes or posterior means, ``(n, d)``.
            factors: ``(n, F)``.
            log_variance: of the posteriors, ``(n, d)``; used by states that need it.
            index: global positions of the rows, ``(n,)`` integers.
            kept: which rows are finite, ``(n,)`` booleans; ``None``: all.
            data: what the codes are of, ``(n, ...)``; used by states that need it.
        """

    @abstractmethod
    def group_sizes(self, statistic: Any) -> Tensor:
        """Number of rows of each of the groups that can be left out, ``(20,)`` integers.

        Raises:
            ValueError: if no groups are kept.
        """

    @abstractmethod
    def group_factors(self, statistic: Any) -> Tensor:
        """Mean of each factor in each group, ``(20, F)``; 0 in a group without rows."""

    def groups(self, statistic: Any) -> Groups:
        """What rows are told from others by, on the CPU.

        Raises:
            ValueError: if no groups are kept.
        """
        return Groups(self.group_sizes(statistic).cpu(), self.group_factors(statistic).cpu())

    @abstractmethod
    def without_groups(self, statistic: Any) -> Iterator[Any]:
        """Copies of the statistic, each without one of the groups that has rows."""
