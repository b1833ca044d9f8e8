"""The strong generalisation gap: what predictors lose on values of another factor that they were not trained on."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.downstream import relative_accuracy
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.prediction import accuracy_on_test_rows
from torchdisentangle.supervised.predictors import ValuePredictor, check_value_predictor
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class ShiftedAccuracy(NamedTuple):
    """Mean accuracies of each factor, ``(F,)``, NaN for one that cannot be scored."""

    shifted: Tensor
    """After training while another factor was held, on its other values."""
    usual: Tensor
    """On the same rows, after training on as many rows of all its values."""


class StrongGeneralizationGap(RowScore):
    r"""Strong generalisation gap: how much worse are factors predicted where another factor was never seen to move?

    .. math:: 1 - \sum_f A_f^{\mathrm{shifted}} \Big/ \sum_f A_f^{\mathrm{usual}}

    To predict factor ``f``, another factor and one of its values are drawn. :math:`A^{\mathrm{shifted}}` is the
    accuracy of a predictor that was fitted to training rows of that value, on test rows of its other values;
    :math:`A^{\mathrm{usual}}` is the accuracy on the same test rows after training on as many random rows. Both are
    averaged over the draws. **Lower is better**: ideal 0, at worst 1. It is a little below 0 if the code of the held
    factor only distracts the predictor. Codes that know nothing have nothing to lose, and score about 0.

    The predictor decides what it can ignore: with codes that move with two factors it has to learn from rows in which
    only one does. Rows of one value are few: of 10,000 rows and a factor of ten values, 667 training rows, and the
    usual accuracy is that of as many. Factors must be independent, as they are in the rows that the callback asks a
    :class:`~torchdisentangle.datasets.FactorDataset` for.

    Measured on 3,000 rows of five independent factors of ten values, in 1 to 3 s by logistic regression and 0.4 s by
    trees, on one core:

    ============ ======================= ========
    codes        ``logistic_regression`` ``tree``
    ============ ======================= ========
    perfect      -0.02                   0.00
    rotated      -0.01                   0.15
    noise        0.00                    0.00
    ============ ======================= ========

    A factor that has a single value wherever another one is held is left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        predictor: ``"logistic_regression"``, ``"mlp"``, ``"tree"``, ``"random_forest"`` or ``"gradient_boosting"``.
        num_repeats: of another factor and its value, for each factor; different ones, so fewer where there are fewer.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: for an unknown predictor, or no repeats.

    Reference:
        Locatello et al., *Weakly-Supervised Disentanglement Without Compromises*, ICML 2020; here of rows that there
        are, where the authors render new ones.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> gap = StrongGeneralizationGap()
        >>> gap.update(1.0 * factors, factors)
        >>> gap.compute()
        tensor(0., dtype=torch.float64)
    """

    name = "strong_generalization_gap"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"interventions", "scikit-learn"})
    by_default = False
    why_unscored = "too few values where another factor is held"
    higher_is_better: bool | None = False
    plot_lower_bound: float | None = None

    def __init__(
        self,
        predictor: ValuePredictor = "logistic_regression",
        num_repeats: int = 10,
        **settings: Unpack[RowSettings],
    ) -> None:
        check_value_predictor("StrongGeneralizationGap", predictor)
        if num_repeats < 1:
            raise ValueError(f"num_repeats must be positive, got {num_repeats}")
        super().__init__(**settings)
        self.predictor: ValuePredictor = predictor
        self.num_repeats = num_repeats

    def compute(self) -> Tensor:
        """The gap of the accuracies of all factors."""
        shifted, usual = self._once(self._accuracies)
        scored = self._require_scored(self._scored())
        return 1 - relative_accuracy(shifted[scored], usual[scored])

    @readout
    def per_factor(self) -> Tensor:
        """The gap of every factor, ``(F,)``; NaN for one that cannot be scored."""
        gaps = [1 - relative_accuracy(*pair) for pair in torch.stack(self._once(self._accuracies), 1)[:, :, None]]
        return torch.stack(gaps).masked_fill(~self._scored(), torch.nan)

    @readout
    def accuracies(self) -> ShiftedAccuracy:
        """Accuracies of every factor with and without the shift."""
        return self._once(self._accuracies)

    def _scored(self) -> Tensor:
        return ~self._once(self._accuracies).usual.isnan()

    def _accuracies(self) -> ShiftedAccuracy:
        codes, factors = self._rows()
        values, (train, test) = self._values(factors), self._train_and_test(len(codes))
        codes, generator = standardize(codes, train), self._generator()
        training, tested = torch.arange(len(codes))[train], torch.arange(len(codes))[test]
        means = torch.full((2, values.shape[1]), torch.nan, dtype=torch.float64)
        for f, column in enumerate(values.unbind(1)):
            found = []
            for other, value in _drawn_shifts(values, f, training, tested, self.num_repeats, generator):
                held, rest = training[values[training, other] == value], tested[values[tested, other] != value]
                as_many = training[torch.randperm(len(training), generator=generator)[: len(held)]]
                found.append(
                    [
                        accuracy_on_test_rows(self.predictor, codes, column, part, rest, self.seed)
                        for part in (held, as_many)
                    ]
                )
            if found:
                means[:, f] = torch.tensor(found, dtype=torch.float64).mean(0)
        return ShiftedAccuracy(*means)


def _drawn_shifts(
    values: Tensor, factor: int, train: Tensor, test: Tensor, number: int, generator: torch.Generator
) -> list[tuple[int, int]]:
    """Other factors and values of them that leave several values of the factor to learn, and rows to test."""
    usable = []
    for other in range(values.shape[1]):
        for value in values[train, other].unique().tolist() if other != factor else ():
            learned = values[train[values[train, other] == value], factor]
            if len(learned.unique()) > 1 and bool((values[test, other] != value).any()):
                usable.append((other, value))
    return [usable[i] for i in torch.randperm(len(usable), generator=generator)[:number].tolist()]
