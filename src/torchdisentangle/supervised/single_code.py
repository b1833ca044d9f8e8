"""Single neuron classification: what one code says about a factor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.identifiability import match_codes
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.single_code import bins_of_factor, values_of_bins
from torchdisentangle.functional.supervised.unique_information import information_of_cells
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class Matched(NamedTuple):
    """The code of each factor ``(F,)``, -1 for none, and the accuracy of each ``(F,)``."""

    codes: Tensor
    per_factor: Tensor


class SNC(RowScore):
    r"""Single neuron classification (SNC): can each factor be read off one code by cutting it into bins?

    Every factor gets a code of its own, by the one-to-one map with the most information in all. The code is cut into as
    many bins as the factor has values, with equally many training rows in each as far as equal values allow, the bins
    are mapped to the values one to one, and the score is the accuracy on test rows. Ideal 1; at chance ``1 / V``.

    Bins of equal counts suit factors whose values are equally frequent: a perfect, continuous code of a bit of
    frequency 0.2 scores 0.7, below the 0.8 of a guess. A code that is not monotone in its factor is lost. A constant
    code, and a factor without a code, where there are fewer codes than factors, score what the most frequent value
    does.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Factors with a single value among the training rows are left out and named.

    Args:
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Reference:
        Mahon, Sha & Lukasiewicz, *Correcting flaws in common disentanglement metrics*, TMLR 2024.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(20, 1)
        >>> score = SNC()
        >>> score.update(-2.0 * factors.flip(1), factors)
        >>> score.compute(), score.matching()
        (tensor(1., dtype=torch.float64), tensor([1, 0]))
    """

    name = "snc"
    by_default = False

    def __init__(self, **settings: Unpack[RowSettings]) -> None:
        super().__init__(**settings)

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._once(self._accuracies).per_factor)

    @readout
    def per_factor(self) -> Tensor:
        """Accuracy of every factor, ``(F,)``; NaN for one that cannot be scored."""
        return self._once(self._accuracies).per_factor

    @readout
    def matching(self) -> Tensor:
        """The code of each factor, ``(F,)`` integers; -1 for a factor without one."""
        return self._once(self._accuracies).codes

    def _scored(self) -> Tensor:
        return ~self._once(self._accuracies).per_factor.isnan()

    def _accuracies(self) -> Matched:
        codes, factors = self._rows()
        values, (train, test) = self._values(factors), self._train_and_test(len(codes))
        matched = match_by_bins(codes, values, train)
        accuracies = []
        for code, column in zip(matched.tolist(), values.unbind(1), strict=True):
            number = int(column.max()) + 1
            code_column = codes[:, code] if code >= 0 else torch.zeros_like(codes[:, 0])
            bins = bins_of_factor(code_column, number, train)
            right = values_of_bins(bins[train], column[train], number)[bins[test]] == column[test]
            several = bool((column[train] != column[train][0]).any())
            accuracies.append(right.double().mean() if several else torch.tensor(torch.nan).double())
        return Matched(matched, torch.stack(accuracies))


def match_by_bins(codes: Tensor, values: Tensor, train: slice) -> Tensor:
    """The one-to-one map of factors to codes with the most information, in bins of equally many rows.

    Args:
        codes: ``(n, D)``.
        values: of the factors, ``(n, F)`` integers from 0.
        train: which rows to use.

    Returns:
        The code of each factor, ``(F,)`` integers; -1 for a factor without one.
    """
    known = []
    for column in values[train].unbind(1):
        number = int(column.max()) + 1
        of_codes = [information_of_cells(bins_of_factor(code, number), column[:, None])[0] for code in codes[train].mT]
        most = entropy(column.bincount())
        known.append(torch.stack(of_codes) / most.where(most > 0, torch.ones_like(most)))
    return match_codes(torch.stack(known, dim=1))
