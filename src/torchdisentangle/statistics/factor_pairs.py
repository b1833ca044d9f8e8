"""Joint counts of codes and factors that also know how factors go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.joint_counts import counted
from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.counts import JointCounts
from torchdisentangle.statistics.groups import NUM_GROUPS, groups_of_keys
from torchdisentangle.statistics.growing import grown

_LARGEST = 2**27  # counts, 1 GiB


class FactorPairCounts(JointCounts):
    """Joint counts with, beside them, how often the values of each two factors met.

    Where rows are kept these are counted from the rows. Otherwise they are a sum ``pair_counts``, of shape
    ``(P, G, F (F + 1) / 2)`` for ``P`` pairs of values, in an order in which a new value comes last.

    Args:
        settings: as for :class:`~torchdisentangle.statistics.counts.JointCounts`.
    """

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        if not self.of_rows:
            self.configuration: object = (self.configuration, "pairs of factors")

    def add_states_to(self, statistic: Statistic) -> None:
        """Add the states."""
        super().add_states_to(statistic)
        if not self.of_rows:
            statistic.add_sum("pair_counts", dtype=torch.int64)

    def _add(
        self, statistic: Any, codes: Tensor, factors: Tensor, log_variance: Tensor | None, groups: Tensor | None
    ) -> None:
        """Add to the counts, and to ``pair_counts``."""
        pairs = numbered_pairs(self.bins.values(factors))
        size, width = int(pairs.max()) + 1 if pairs.numel() else 1, self.num_groups * pairs.shape[1]
        if size * width > _LARGEST:  # before anything is counted
            raise ValueError(f"pairs of factors have up to {size} pairs of values, too many to count: use edges='data'")
        super()._add(statistic, codes, factors, log_variance, groups)  # refuses values that cannot be counted
        numbers = pairs if groups is None else pairs * self.num_groups + groups[:, None]
        numbers = numbers * pairs.shape[1] + torch.arange(pairs.shape[1], device=pairs.device)
        table = grown(statistic.pair_counts, (size, self.num_groups, pairs.shape[1]), "pair_counts")
        counted(numbers.flatten(), size * width, into=table.view(-1))
        statistic.pair_counts = table

    def joint_entropies(self, statistic: Any, miller_madow: bool = False) -> Tensor:
        """Entropies of pairs of factors, :math:`H(y_f, y_l)`, ``(F, F)`` in nats; the diagonal is :math:`H(y_f)`.

        Args:
            statistic: whose states these are.
            miller_madow: whether to correct the bias of few rows.
        """
        if not self.of_rows:
            tables = [table.sum(0) for table in statistic.pair_counts.permute(2, 1, 0)]
        else:
            tables = self._of_rows(statistic)
        return _symmetric(torch.stack([entropy(table, miller_madow) for table in tables]))

    def without_groups(self, statistic: Any) -> Iterator[Any]:
        """Copies of the statistic, each without one of the groups that has rows."""
        present = self.group_sizes(statistic).nonzero()[:, 0].tolist()
        if self.of_rows:
            rows = self.rows.read(statistic)
            by_group = [_by_group(pair, groups_of_keys(rows.keys)) for pair in self._pairs(statistic).mT]
        for group, fewer in zip(present, super().without_groups(statistic), strict=True):
            if self.of_rows:
                rest = [table.sum(0) - table[group] for table in by_group]
                self.rows.read(fewer).derived[self._key] = rest
            else:
                fewer.pair_counts = (statistic.pair_counts.sum(1) - statistic.pair_counts[:, group])[:, None]
            yield fewer

    @property
    def _key(self) -> tuple[Any, ...]:
        return "pairs of factors", *self.bins.configuration

    def _of_rows(self, statistic: Any) -> list[Tensor]:
        """Counts of the pairs of values that occur, for each pair of factors."""
        derived = self.rows.read(statistic).derived
        if self._key not in derived:
            derived[self._key] = [pair.unique(return_counts=True)[1] for pair in self._pairs(statistic).mT]
        return derived[self._key]

    def _pairs(self, statistic: Any) -> Tensor:
        rows = self.rows.read(statistic)
        return numbered_pairs(self.bins.values(self.bins.numbered(rows["factors"], rows["codes"].shape[1])))


def pair_entropies(values: Tensor) -> Tensor:
    r"""Entropies of pairs of factors, :math:`H(y_f, y_l)`, of rows.

    Args:
        values: of the factors, ``(n, F)`` integers that are not negative.

    Returns:
        ``(F, F)`` in nats; the diagonal is :math:`H(y_f)`.

    Example:
        >>> pair_entropies(torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]])).round(decimals=4)
        tensor([[0.6931, 1.3863],
                [1.3863, 0.6931]], dtype=torch.float64)
    """
    return _symmetric(torch.stack([entropy(pair.unique(return_counts=True)[1]) for pair in numbered_pairs(values).mT]))


def numbered_pairs(values: Tensor) -> Tensor:
    r"""Number the pairs of values of each two factors, so that pairs of small values come first.

    .. math:: (a, b) \mapsto \max(a, b)^2 + \max(a, b) + a - b

    is a bijection of pairs of natural numbers to natural numbers, whatever the largest value is.

    Args:
        values: of the factors, ``(n, F)`` integers that are not negative.

    Returns:
        ``(n, F (F + 1) / 2)`` integers: pairs ``(f, l)`` with ``f <= l``, in the order of the upper triangle.

    Reference:
        Rosenberg & Strong, *Addressing arrays by shells*, 1972.

    Example:
        >>> numbered_pairs(torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]]))[:, 1]
        tensor([0, 3, 1, 2])
    """
    first, second = torch.triu_indices(values.shape[1], values.shape[1], device=values.device)
    a, b = values[:, first], values[:, second]
    largest = torch.maximum(a, b)
    return largest * largest + largest + a - b


def _by_group(pair: Tensor, groups: Tensor) -> Tensor:
    """How often each number occurs in each group, ``(20, K)``."""
    occurring, number = pair.unique(return_inverse=True)
    return torch.bincount(groups * len(occurring) + number, minlength=NUM_GROUPS * len(occurring)).view(NUM_GROUPS, -1)


def _symmetric(upper: Tensor) -> Tensor:
    """A symmetric matrix from its upper triangle."""
    width = int((2 * len(upper)) ** 0.5)
    row, column = torch.triu_indices(width, width, device=upper.device)
    matrix = upper.new_zeros(width, width)
    matrix[row, column] = upper
    matrix[column, row] = upper
    return matrix
