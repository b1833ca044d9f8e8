"""Disentanglement, completeness and informativeness."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.importance import dci_completeness, dci_disentanglement
from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.checks import continuous_columns
from torchdisentangle.supervised.predictors import LASSO_FOLDS, PREDICTORS, Predictor, make_predictor, require_sklearn
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class DCI(RowScore):
    r"""Disentanglement, completeness and informativeness (DCI).

    A predictor of every factor from all codes says how important each code is, :math:`R_{df}`; then

    .. math:: D = \sum_d \rho_d \left( 1 + \sum_f p_{df} \log_F p_{df} \right), \quad
              C = \sum_f \rho_f \left( 1 + \sum_d q_{df} \log_D q_{df} \right)

    with :math:`p` the rows and :math:`q` the columns of :math:`R`, each divided by its sum, and informativeness the
    predictors' mean accuracy on test rows (the coefficient of determination, at least 0, for a lasso and for continuous
    factors). Ideal 1, worst 0; informativeness is ``1 / V`` at chance.

    :math:`D`, :math:`C` and informativeness, measured on 1,500 rows of five independent factors of ten values, and
    seconds on one core:

    ========================== ===================== ===================== =====================
    codes                      ``random_forest``     ``gradient_boosting`` ``lasso``
    ========================== ===================== ===================== =====================
    perfect                    1.00, 1.00, 1.00      1.00, 1.00, 1.00      1.00, 1.00, 1.00
    perfect, five of noise     1.00, 1.00, 1.00      1.00, 1.00, 1.00      1.00, 1.00, 1.00
    perfect, given twice       1.00, 0.70, 1.00      1.00, 0.70, 1.00      1.00, 1.00, 1.00
    rotated                    0.07, 0.07, 0.45      0.09, 0.09, 0.43      0.13, 0.13, 1.00
    noise                      0.00, 0.00, 0.11      0.00, 0.00, 0.11      1.00, 0.89, 0.00
    seconds                    1                     20                    0.2
    ========================== ===================== ===================== =====================

    The forest lets every split choose among all codes; with scikit-learn's default, a choice among :math:`\sqrt D` of
    them, perfect codes score :math:`D = 0.36`. Boosting is the published choice, and its time grows with the number of
    values, to minutes for 40. A lasso sees linear dependence alone, and where nothing can be predicted its few small
    weights look disentangled: read it together with informativeness.

    A constant code has no importance; all constant give 0, 0 and chance. Factors with a single value among the training
    rows are left out and named. With one factor (one code) disentanglement (completeness) is 1 if there is any
    importance.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a dictionary of three scalars. Needs scikit-learn.

    Args:
        predictor: ``"random_forest"``, ``"gradient_boosting"`` or ``"lasso"``.
        num_trees: of the forest or of boosting; by default 20 and 100.
        weights: of factors in completeness, by ``"importance"`` or ``"uniform"``, as in
            :func:`~torchdisentangle.functional.dci_completeness`; only a lasso makes a difference between them.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.

    Reference:
        Eastwood & Williams, *A Framework for the Quantitative Evaluation of Disentangled Representations*, ICLR 2018;
        Locatello et al., ICML 2019 (boosted trees).

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> dci = DCI()
        >>> dci.update(1.0 * factors, factors)
        >>> {name: round(float(value), 2) for name, value in dci.compute().items()}
        {'dci_disentanglement': 1.0, 'dci_completeness': 1.0, 'dci_informativeness': 1.0}
        >>> dci.matrix()
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """

    name = "dci"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"scikit-learn"})
    matrix_label = "importance"

    def __init__(
        self,
        predictor: Predictor = "random_forest",
        num_trees: int | None = None,
        weights: Literal["importance", "uniform"] = "importance",
        **settings: Unpack[RowSettings],
    ) -> None:
        require_sklearn("DCI")
        if predictor not in PREDICTORS:
            raise ValueError(f"predictor must be one of {PREDICTORS}, got {predictor!r}")
        if weights not in ("importance", "uniform"):
            raise ValueError(f"weights must be 'importance' or 'uniform', got {weights!r}")
        if num_trees is not None and num_trees < 1:
            raise ValueError(f"num_trees must be at least 1, got {num_trees}")
        super().__init__(**settings)
        self.predictor = predictor
        self.num_trees = num_trees
        self.weights = weights

    def compute(self) -> dict[str, Tensor]:
        """The three scores, over all processes."""
        importance, informativeness = self._once(self._fit)
        scored = self._require_scored(self._scored())
        return {
            "dci_disentanglement": dci_disentanglement(importance[:, scored]),
            "dci_completeness": dci_completeness(importance[:, scored], self.weights),
            "dci_informativeness": informativeness[scored].mean(),
        }

    @readout
    def matrix(self) -> Tensor:
        """Importances ``(D, F)``, NaN for a factor that cannot be scored."""
        return self._once(self._fit).importance

    @readout
    def informativeness(self) -> Tensor:
        """Accuracy, or coefficient of determination, of each factor, ``(F,)``."""
        return self._once(self._fit).informativeness

    def _scored(self) -> Tensor:
        return ~self._once(self._fit).informativeness.isnan()

    def _fit(self) -> Fit:
        codes, factors = self._rows()
        train, test = self._train_and_test(len(codes))
        codes = standardize(codes, train)
        labels, real = self._values(factors), continuous_columns(self.continuous, factors.shape[1])
        fits = []
        for f, is_real in enumerate(real):
            regression = is_real or self.predictor == "lasso"
            target = factors[:, f] if regression else labels[:, f]
            fits.append(self._fit_one(codes, target, regression, train, test))
        return Fit(*(torch.stack(parts, dim=-1) for parts in zip(*fits, strict=True)))

    def _fit_one(self, x: Tensor, y: Tensor, regression: bool, train: slice, test: slice) -> tuple[Tensor, Tensor]:
        if len(y[train].unique()) < 2:
            return torch.full((x.shape[1],), torch.nan).double(), torch.tensor(torch.nan).double()
        if regression:
            y = (y - y[train].mean()) / y[train].std()
        num_trees = self.num_trees or (100 if self.predictor == "gradient_boosting" else 20)
        predictor = make_predictor(self.predictor, regression, num_trees, self.seed)
        if self.predictor == "lasso":
            self.require_samples(len(x[train]), "training rows", LASSO_FOLDS)
        predictor.fit(x[train].numpy(), y[train].numpy())
        weights = predictor.coef_ if self.predictor == "lasso" else predictor.feature_importances_
        predicted = torch.as_tensor(predictor.predict(x[test].numpy()))
        if regression:
            unexplained = (y[test] - predicted).square().mean() / y[test].var(correction=0)
            score = (1 - unexplained).nan_to_num(0.0).clamp(min=0)
        else:
            score = (y[test] == predicted).double().mean()
        return torch.as_tensor(weights).double().abs().nan_to_num(0.0), score


class Fit(NamedTuple):
    """Importances ``(D, F)`` and informativeness ``(F,)``."""

    importance: Tensor
    informativeness: Tensor
