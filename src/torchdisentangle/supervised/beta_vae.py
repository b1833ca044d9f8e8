"""The beta-VAE score."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.predictability import standardize
from torchdisentangle.supervised.base import Mode, check_mode
from torchdisentangle.supervised.intervention_groups import draw_differences
from torchdisentangle.supervised.predictors import make_logistic_regression, require_sklearn
from torchdisentangle.supervised.row_score import Accuracy, RowScore, RowSettings


class BetaVAEScore(RowScore):
    r"""The beta-VAE score: which factor was held can be read from how much pairs of codes differ.

    For every group one factor ``f`` is chosen, and :math:`L` pairs of rows that agree in it. A logistic regression
    predicts ``f`` from

    .. math:: \Delta_d = \frac1L \sum_l \left| z_d^{(l)} - \tilde z_d^{(l)} \right|

    and the score is its accuracy on groups of other rows. Ideal 1, worst ``1 / F``. It is easily satisfied: codes given
    twice score 1, as do some mixtures of factors. Measured on 3,000 rows of five independent factors of ten values:
    perfect codes, with or without others of noise, 1; their rotation 0.90; noise 0.20.

    Codes are divided by their standard deviations first, so rescaling one changes nothing; the published form,
    ``mode="reference"``, takes them as they are. Constant codes carry nothing; all constant give chance. A factor of
    which no two rows share a value, or that has one value, is left out and named. With a single factor, which cannot be
    missed, the score is 1.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        num_groups: for training, and as many for the test.
        num_pairs: :math:`L`.
        standardize: whether to divide codes by their standard deviations.
        rescale: whether chance is 0; else it is ``1 / F``.
        mode: ``"exact"``; ``"reference"``: as if ``standardize=False``.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ImportError: if scikit-learn is missing.

    Reference:
        Higgins et al., *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, ICLR 2017.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> score = BetaVAEScore(num_groups=100)
        >>> score.update(1.0 * factors, factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "beta_vae"
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    needs: frozenset[str] = frozenset({"interventions", "scikit-learn"})
    why_unscored = "too few rows that agree in them"

    def __init__(
        self,
        num_groups: int = 1000,
        num_pairs: int = 64,
        standardize: bool = True,
        rescale: bool = False,
        mode: Mode = "exact",
        **settings: Unpack[RowSettings],
    ) -> None:
        require_sklearn("BetaVAEScore")
        if min(num_groups, num_pairs) < 1:
            raise ValueError(f"num_groups and num_pairs must be positive, got {num_groups} and {num_pairs}")
        check_mode(mode)
        super().__init__(**settings)
        self.num_groups = num_groups
        self.num_pairs = num_pairs
        self.standardize = standardize
        self.rescale = rescale
        self.mode = mode

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self._guessed(self._guess, self.rescale)

    def _scored(self) -> Tensor:
        return self._once(self._guess).scored

    def _guess(self) -> Accuracy:
        codes, factors = self._rows()
        values, generator = self._values(factors), self._generator()
        if self.standardize and self.mode == "exact":
            codes = standardize(codes)
        features = [
            draw_differences(codes[part], values[part], self.num_groups, self.num_pairs, generator)
            for part in self._train_and_test(len(codes))
        ]
        scored = torch.stack([~part.isnan().any(2).any(1) for part in features]).all(0) & (values.amax(0) > 0)
        if scored.sum() < 2:  # a single factor cannot be missed
            return Accuracy(codes.new_ones(()), scored)
        (x, y), (x_test, y_test) = (_stacked(part[scored]) for part in features)
        fitted = make_logistic_regression(1.0).fit(x.numpy(), y.numpy())
        right = torch.as_tensor(fitted.predict(x_test.numpy())) == y_test
        return Accuracy(right.double().mean(), scored)


def _stacked(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features ``(F, k, D)`` as rows, with the factor of each."""
    labels = torch.arange(len(features)).repeat_interleave(features.shape[1])
    return features.flatten(0, 1), labels
