"""Neuron knockout: what is lost of a factor without its code."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.prediction import accuracy_on_test_rows
from torchdisentangle.supervised.predictors import ValuePredictor, check_value_predictor
from torchdisentangle.supervised.row_score import RowScore, RowSettings
from torchdisentangle.supervised.single_code import match_by_bins


class Knockout(NamedTuple):
    """Accuracies on test rows, NaN for a factor that cannot be scored."""

    codes: Tensor
    """The code of each factor, ``(F,)`` integers; -1 for a factor without one."""
    with_code: Tensor
    """Accuracy from all codes, ``(F,)``."""
    without_code: Tensor
    """Accuracy from all codes but the factor's own, ``(F,)``."""


class NK(RowScore):
    r"""Neuron knockout (NK): how much worse is a factor predicted if its code is taken away?

    .. math:: \mathrm{NK} = \frac1F \sum_f \bigl[ A_f(z_1, \dots, z_d) - A_f(z_{-k(f)}) \bigr]

    with :math:`A_f` the accuracy on test rows of a multilayer perceptron that was fitted to the given codes, and
    :math:`k` the map of factors to codes of :class:`~torchdisentangle.SNC`. Perfect codes of independent factors score
    one minus the share of the most frequent value, so 0.5 for a bit and 0.9 for ten values. Worst is about 0: the
    other codes know the factor as well, or no code knows it. Read the accuracies beside it, which tell the two apart.

    The predictor fits what there is to fit, so a code that is entangled but needed scores high, and dependent factors
    score low with perfect codes. A factor without a code, where there are fewer codes than factors, scores 0.

    Measured on one core, ten codes and one factor of ten values: 3 s for 3,000 rows and 10 s for 10,000. The
    perceptron learns the training rows by heart, so where codes are noisy it predicts worse than
    ``predictor="logistic_regression"``, which takes a tenth of a second and sees only what is linear.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Factors with a single value among the training rows are left out and named.
    Needs scikit-learn.

    Args:
        predictor: ``"mlp"``, one hidden layer of 256 units as in the paper, here fitted by 100 steps of L-BFGS;
            ``"logistic_regression"``, ``"tree"``, ``"random_forest"`` or ``"gradient_boosting"``.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: for an unknown predictor.

    Reference:
        Mahon, Sha & Lukasiewicz, *Correcting flaws in common disentanglement metrics*, TMLR 2024.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(20, 1)
        >>> twice = NK("logistic_regression")
        >>> twice.update(1.0 * factors.repeat(1, 2), factors)
        >>> twice.compute(), twice.accuracies().without_code
        (tensor(0., dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """

    name = "nk"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"scikit-learn"})
    by_default = False
    plot_lower_bound: float | None = None

    def __init__(self, predictor: ValuePredictor = "mlp", **settings: Unpack[RowSettings]) -> None:
        check_value_predictor("NK", predictor)
        super().__init__(**settings)
        self.predictor: ValuePredictor = predictor

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._per_factor())

    @readout
    def per_factor(self) -> Tensor:
        """Loss of accuracy of every factor, ``(F,)``; NaN for one that cannot be scored."""
        return self._per_factor()

    @readout
    def accuracies(self) -> Knockout:
        """The code of each factor, and the accuracies with and without it."""
        return self._once(self._knockout)

    def _scored(self) -> Tensor:
        return ~self._per_factor().isnan()

    def _per_factor(self) -> Tensor:
        found = self._once(self._knockout)
        return found.with_code - found.without_code

    def _knockout(self) -> Knockout:
        codes, factors = self._rows()
        values, (train, test) = self._values(factors), self._train_and_test(len(codes))
        matched = match_by_bins(codes, values, train)
        codes, numbers = standardize(codes, train), torch.arange(codes.shape[1])
        accuracies = torch.full((2, len(matched)), torch.nan, dtype=torch.float64)
        for f, (code, column) in enumerate(zip(matched, values.unbind(1), strict=True)):
            if len(column[train].unique()) < 2:
                continue
            rest = codes[:, numbers != code]
            with_code = accuracy_on_test_rows(self.predictor, codes, column, train, test, self.seed)
            same = rest.shape == codes.shape  # a factor without a code
            without = with_code if same else accuracy_on_test_rows(self.predictor, rest, column, train, test, self.seed)
            accuracies[:, f] = torch.stack([with_code, without])
        return Knockout(matched, *accuracies)
