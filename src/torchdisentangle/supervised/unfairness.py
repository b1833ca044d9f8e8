"""Unfairness: whether predictions of one factor change with another."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.downstream import intervention_total_variation
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.prediction import predict_values
from torchdisentangle.supervised.predictors import ValuePredictor, check_value_predictor
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class Unfairness(RowScore):
    r"""Unfairness: how far do predictions of a factor move if another factor does, which they should not depend on?

    .. math:: \frac1{F (F - 1)} \sum_{f \ne j} \frac1{V_j} \sum_c
              \mathrm{TV} \bigl( p(\hat y_f \mid \mathrm{do}(y_j = c)), \bar p(\hat y_f) \bigr)

    with :math:`\hat y_f` what a predictor says of factor ``f`` from all codes, and TV the total variation as in
    :func:`~torchdisentangle.functional.intervention_total_variation`. **Lower is better**: ideal 0, worst
    :math:`1 - 1 / V_j`. Every row is predicted by a predictor that was fitted to other rows, about
    ``1 / test_fraction`` of them in turn, so none has seen the rows that it is tested on.

    Predictions that are always right are fair, whatever the codes look like; so are those that never change. **Wrong
    ones that depend on noise alone seem unfair**, the more so the fewer rows there are: a few dozen rows of each value
    do not have the same shares of predictions as the next few dozen. Measured on 4,000 rows by design of five factors
    of ten values, in 1 s by logistic regression and 0.5 s by trees, on one core:

    ======================== ======================= ========
    codes                    ``logistic_regression`` ``tree``
    ======================== ======================= ========
    perfect                  0.00                    0.00
    rotated                  0.00                    0.07
    perfect, and noise added 0.08                    0.07
    noise alone              0.06                    0.08
    ======================== ======================= ========

    To move one factor and no other there must be rows that differ in it alone. A random sample of a fine grid holds
    few, or none: give the rows by design where the data set allows it. A factor that has one value, or beside which no
    other one moves, is left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        predictor: ``"logistic_regression"``, ``"mlp"``, ``"tree"``, ``"random_forest"`` or ``"gradient_boosting"``,
            which the paper takes.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: for an unknown predictor.

    Reference:
        Locatello et al., *On the Fairness of Disentangled Representations*, NeurIPS 2019.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(50, 1)
        >>> unfairness = Unfairness()
        >>> unfairness.update(1.0 * factors, factors)
        >>> unfairness.compute()
        tensor(0., dtype=torch.float64)
    """

    name = "unfairness"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"interventions", "design", "scikit-learn"})
    by_default = False
    why_unscored = "too few values, or no two rows that differ in another factor alone"
    higher_is_better: bool | None = False

    def __init__(self, predictor: ValuePredictor = "logistic_regression", **settings: Unpack[RowSettings]) -> None:
        check_value_predictor("Unfairness", predictor)
        super().__init__(**settings)
        self.predictor: ValuePredictor = predictor

    def compute(self) -> Tensor:
        """Mean over predicted factors, and for each over the others."""
        return self._mean_over_factors(self._per_factor())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every predicted factor, ``(F,)``; NaN for one that cannot be scored."""
        return self._per_factor()

    @readout
    def pairs(self) -> Tensor:
        """How far predictions of factor ``f`` move with factor ``j``, at ``[j, f]``, ``(F, F)``; NaN if unknown."""
        return self._once(self._pairs)

    def _scored(self) -> Tensor:
        return ~self._per_factor().isnan()

    def _per_factor(self) -> Tensor:
        return self._once(self._pairs).nanmean(0)

    def _pairs(self) -> Tensor:
        codes, factors = self._rows()
        values = self._values(factors)
        pairs = torch.full((values.shape[1],) * 2, torch.nan, dtype=torch.float64)
        for f, column in enumerate(values.unbind(1)):
            if not column.any():  # a single value
                continue
            predictions = self._of_other_rows(standardize(codes), column)
            for j in range(len(pairs)):
                if j != f:
                    pairs[j, f] = intervention_total_variation(predictions, values, j)
        return pairs

    def _of_other_rows(self, codes: Tensor, column: Tensor) -> Tensor:
        """Predictions of every row by predictors that were fitted without it."""
        predictions = torch.empty_like(column)
        everything = torch.arange(len(codes))
        for test in everything.chunk(max(2, round(1 / self.test_fraction))):
            train = everything[(everything < test[0]) | (everything > test[-1])]
            predictions[test] = predict_values(self.predictor, codes, column, train, test, self.seed)
        return predictions
