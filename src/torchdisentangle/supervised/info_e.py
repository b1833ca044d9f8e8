"""InfoE: how much simple predictors learn from all codes."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.checks import continuous_columns
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.supervised.predictors import require_sklearn
from torchdisentangle.supervised.row_score import RowScore, RowSettings
from torchdisentangle.supervised.shuffled import floor

_ITERATIONS, _TOLERANCE = 100, 1e-4  # of the paper's code


class InfoE(RowScore):
    r"""InfoE, the explicitness of InfoMEC: how much a linear classifier learns of every factor from all codes.

    .. math:: \mathrm{InfoE} = \frac1F \sum_f \frac{h_0(y_f) - h(y_f \,|\, z)}{h_0(y_f)}

    with :math:`h` the log-loss of multinomial logistic regression without a penalty, and :math:`h_0` that of the same
    without codes: the predictive information of linear classifiers, as a share. A continuous factor counts with the
    :math:`R^2` of linear regression. Ideal 1, chance about 0. It asks for linear readability, not for disentanglement:
    a rotation of perfect codes scores as high as they do.

    By default all is as in the published numbers: the loss is that of the rows that were fitted, so that ``d`` codes of
    noise score above 0 on few rows (``held_out=True`` takes this off), and values are weighted by the inverse of their
    frequency, so that :math:`h_0 = \log V` for all frequencies, and a rare value that is never found costs little.

    Constant codes do no harm. A factor with a single value is left out and named. Cost: one regression of at most 100
    iterations for each factor.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        class_weight: ``"balanced"``, or ``None``: all rows weigh the same.
        held_out: whether the loss is that of rows that were not fitted, a share ``test_fraction``; it may be negative.
        discrete_codes: whether codes are labels, each value of which gets a weight of its own.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.

    Reference:
        Hsu et al., *Disentanglement via latent quantization*, NeurIPS 2023; Xu et al., *A theory of usable information
        under computational constraints*, ICLR 2020 (predictive information).

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> score = InfoE()
        >>> score.update(1.0 * factors, factors)
        >>> score.compute() > 0.99
        tensor(True)
    """

    name = "info_e"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"scikit-learn"})
    floor = floor

    def __init__(
        self,
        class_weight: Literal["balanced"] | None = "balanced",
        held_out: bool = False,
        discrete_codes: bool = False,
        **settings: Unpack[RowSettings],
    ) -> None:
        require_sklearn("InfoE")
        if class_weight not in ("balanced", None):
            raise ValueError(f"class_weight must be 'balanced' or None, got {class_weight!r}")
        super().__init__(**settings)
        self.class_weight = class_weight
        self.held_out: bool = held_out
        self.discrete_codes: bool = discrete_codes

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self._mean_over_factors(self._once(self._per_factor))

    @readout
    def per_factor(self) -> Tensor:
        """The score of each factor, ``(F,)``; NaN for one that was fitted with a single value, or cannot be tested."""
        return self._once(self._per_factor)

    def _scored(self) -> Tensor:
        return ~self._once(self._per_factor).isnan()

    def _per_factor(self) -> Tensor:
        codes, factors = self._rows()
        train, test = self._train_and_test(len(codes)) if self.held_out else (slice(None), slice(None))
        if self.discrete_codes:
            codes = torch.cat([torch.nn.functional.one_hot(x).double() for x in value_labels(codes).unbind(1)], 1)
        else:
            codes = standardize(codes, train)
        shares = []
        for factor, real in zip(factors.unbind(1), continuous_columns(self.continuous, factors.shape[1]), strict=True):
            explained = _explained_variance if real else self._explained_loss
            constant = len(factor[train].unique()) < 2
            shares.append(torch.nan if constant else explained(codes, factor, train, test))
        return torch.tensor(shares, dtype=torch.float64)

    def _explained_loss(self, codes: Tensor, factor: Tensor, train: slice, test: slice) -> float:
        """Share of the loss without codes that the codes take off; rows of values that were not fitted are left out."""
        classes, labels = factor[train].unique(return_inverse=True)
        seen = torch.isin(factor[test], classes)
        if not seen.any():
            return torch.nan
        expected = torch.searchsorted(classes, factor[test][seen])
        share = torch.bincount(labels).double() / len(labels)
        chance = torch.full_like(share, 1 / len(classes)) if self.class_weight else share
        fitted = _classifier(self.class_weight, codes[train], labels)
        found = _log_probabilities(fitted, codes[test][seen])
        without, left = (-log.gather(-1, expected[:, None]).mean() for log in (chance.log().expand_as(found), found))
        return float((without - left) / without)


def _classifier(class_weight: Literal["balanced"] | None, codes: Tensor, labels: Tensor) -> Any:
    """Multinomial logistic regression without a penalty, after at most 100 iterations."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=torch.inf, class_weight=class_weight, tol=_TOLERANCE, max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weights of codes that separate values never converge
        return regression.fit(codes.numpy(), labels.numpy())


def _log_probabilities(classifier: Any, codes: Tensor) -> Tensor:
    """Finite also where scikit-learn's probabilities are 0, ``(n, V)``."""
    logits = torch.as_tensor(classifier.decision_function(codes.numpy()))
    return torch.log_softmax(logits if logits.ndim == 2 else torch.stack([0 * logits, logits], dim=1), dim=1)


def _explained_variance(codes: Tensor, factor: Tensor, train: slice, test: slice) -> float:
    r""":math:`R^2` of linear regression."""
    from sklearn.linear_model import LinearRegression

    return float(LinearRegression().fit(codes[train], factor[train]).score(codes[test], factor[test]))
