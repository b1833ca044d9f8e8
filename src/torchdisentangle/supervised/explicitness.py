"""How well all codes together determine a factor."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.predictability import one_vs_rest_auc, standardize
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.base import Mode, check_mode
from torchdisentangle.supervised.predictors import make_logistic_regression, require_sklearn
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class Explicitness(RowScore):
    r"""Explicitness: how well a linear classifier reads every factor from all codes.

    .. math:: E = \frac1F \sum_f \frac1{V_f} \sum_v 2 \left( \mathrm{AUC}_{fv} - \tfrac12 \right)

    with the area under the ROC curve of each value against the others, on test rows, of a multinomial logistic
    regression on standardised codes. It asks for linear readability, not for disentanglement: a rotation of perfect
    codes scores as high as they do. Ideal 1; 0 at chance, where the estimate may fall a little below.

    Measured on 3,000 rows of five independent factors of ten values: perfect codes and their rotation 1.00, noise 0.00.
    Many values need large weights: perfect codes of factors with up to 40 values score 0.99 on 4,000 rows, and 0.93
    with scikit-learn's own regularisation. Published numbers mostly are of ``mode="reference"``: the mean area itself,
    0.5 at chance, with scikit-learn's regularisation.

    Constant codes do no harm. A class that the training or the test rows lack is left out; a factor with fewer than
    two classes is left out and named. Cost: one regression for each factor, together 2 s on one core for 4,000 rows of
    five factors with up to 40 values.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        rescale: whether chance is 0; ``False``: the mean area itself, 0.5 at chance.
        inverse_regularization: scikit-learn's ``C``.
        mode: ``"exact"``; ``"reference"``: as if ``rescale=False`` and ``inverse_regularization=1``, whatever they are.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.

    Reference:
        Ridgeway & Mozer, *Learning Deep Disentangled Embeddings With the F-Statistic Loss*, NeurIPS 2018, Section 3.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> explicitness = Explicitness()
        >>> explicitness.update(1.0 * factors, factors)
        >>> explicitness.compute() > 0.99
        tensor(True)
    """

    name = "explicitness"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"scikit-learn"})

    def __init__(
        self,
        rescale: bool = True,
        inverse_regularization: float = 100.0,
        mode: Mode = "exact",
        **settings: Unpack[RowSettings],
    ) -> None:
        require_sklearn("Explicitness")
        if inverse_regularization <= 0:
            raise ValueError(f"inverse_regularization must be positive, got {inverse_regularization}")
        check_mode(mode)
        super().__init__(**settings)
        self.rescale = rescale
        self.inverse_regularization = inverse_regularization
        self.mode = mode

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self._mean_over_factors(self._once(self._per_factor))

    @readout
    def per_factor(self) -> Tensor:
        """The score of each factor, ``(F,)``, NaN for one that cannot be scored."""
        return self._once(self._per_factor)

    def _scored(self) -> Tensor:
        return ~self._once(self._per_factor).isnan()

    def _per_factor(self) -> Tensor:
        codes, factors = self._rows()
        train, test = self._train_and_test(len(codes))
        codes = standardize(codes, train)
        scores = torch.stack([self._area(codes, values, train, test) for values in self._values(factors).unbind(1)])
        return 2 * (scores - 0.5) if self.rescale and self.mode == "exact" else scores

    def _area(self, codes: Tensor, values: Tensor, train: slice, test: slice) -> Tensor:
        classes, known = values[train].unique(return_inverse=True)
        if len(classes) < 2:
            return torch.tensor(torch.nan, dtype=torch.float64)
        strength = self.inverse_regularization if self.mode == "exact" else 1.0
        fitted = make_logistic_regression(strength).fit(codes[train].numpy(), known.numpy())
        probabilities = torch.as_tensor(fitted.predict_log_proba(codes[test].numpy()))
        seen = torch.isin(values[test], classes)
        return one_vs_rest_auc(probabilities[seen], torch.searchsorted(classes, values[test][seen])).nanmean()
