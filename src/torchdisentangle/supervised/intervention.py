"""Scores of groups of rows in which one factor is held, or moved: beta-VAE, FactorVAE and Relevance-Factor-VAE scores.

They ask for interventions, and find them among the rows: rows that agree in one factor (and, the factors being
independent, differ in the others at random), or in all but one. Where a data set can be asked for images of any
factors, :func:`~torchdisentangle.datasets.intervention_factors` says which rows to encode, so that such groups exist,
and the metric is updated with them as with any others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.intervention import above_chance, majority_vote_accuracy
from torchdisentangle.supervised.estimators import make_logistic_regression, require_sklearn
from torchdisentangle.supervised.groups import draw_differences, draw_variances, variances_of_groups
from torchdisentangle.supervised.row_metric import RowMetric


class InterventionMetric(RowMetric):
    """Base of scores that learn from groups of rows, and are tested on groups of other rows.

    Args:
        rescale: whether chance is 0; else it is ``1 / F``.
        kwargs: as for :class:`~torchdisentangle.supervised.row_metric.RowMetric`.
    """

    interventional = True
    why_unscored = "too few rows that agree in them"

    def __init__(self, rescale: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rescale = rescale

    def compute(self) -> Tensor:
        """The score, over all processes."""
        accuracy, num_factors = self.accuracy()
        return above_chance(accuracy, num_factors) if self.rescale else accuracy

    def accuracy(self) -> tuple[Tensor, int]:
        """The accuracy, and the number of factors it is about."""
        raise NotImplementedError

    def select(self, possible: Tensor) -> list[int]:
        """The factors of which there are groups; the others are warned of."""
        return self.scored(torch.where(possible, 1.0, torch.nan)).nonzero()[:, 0].tolist()


class BetaVAEScore(InterventionMetric):
    r"""The beta-VAE score: which factor was held can be read from how much pairs of codes differ.

    For every group one factor ``f`` is chosen, and :math:`L` pairs of rows that agree in it. A logistic regression
    predicts ``f`` from

    .. math:: \Delta_d = \frac1L \sum_l \left| z_d^{(l)} - \tilde z_d^{(l)} \right|

    and the score is its accuracy on groups of other rows. Ideal 1, worst ``1 / F``. It is easily satisfied: codes given
    twice score 1, as do some mixtures of factors. Measured on 3,000 rows of five independent factors of ten values:
    perfect codes, with or without others of noise, 1; their rotation 0.90; noise 0.20.

    Codes are divided by their standard deviations first, so rescaling one changes nothing; ``standardize=False`` is
    the published form. Constant codes carry nothing; all constant give chance. A factor of which no two rows share a
    value, or that has one value, is left out and named. With a single factor, which cannot be missed, the score is 1.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar. Needs scikit-learn.

    Args:
        num_groups: for training, and as many for the test.
        num_pairs: :math:`L`.
        standardize: whether to divide codes by their standard deviations.
        rescale: whether chance is 0.
        kwargs: as for :class:`~torchdisentangle.supervised.row_metric.RowMetric`.

    Raises:
        ImportError: if scikit-learn is missing.

    Reference:
        Higgins et al., *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, ICLR 2017,
        Section 3.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> score = BetaVAEScore(num_groups=100)
        >>> score.update(1.0 * factors, factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        num_groups: int = 1000,
        num_pairs: int = 64,
        standardize: bool = True,
        rescale: bool = False,
        **kwargs: Any,
    ) -> None:
        require_sklearn("BetaVAEScore")
        if min(num_groups, num_pairs) < 1:
            raise ValueError(f"num_groups and num_pairs must be positive, got {num_groups} and {num_pairs}")
        super().__init__(rescale=rescale, **kwargs)
        self.num_groups, self.num_pairs, self.standardize = num_groups, num_pairs, standardize

    def accuracy(self) -> tuple[Tensor, int]:
        """The accuracy, and the number of factors it is about."""
        codes, factors = self.rows
        labels, generator = self.labels(factors), self.generator()
        if self.standardize:
            scale = codes.std(0)
            codes = codes / scale.where(scale > 0, torch.ones_like(scale))
        features = [
            draw_differences(codes[part], labels[part], self.num_groups, self.num_pairs, generator)
            for part in self.train_and_test
        ]
        possible = torch.stack([~part.isnan().any(2).any(1) for part in features]).all(0) & (labels.amax(0) > 0)
        scored = self.select(possible)
        if len(scored) == 1:
            return codes.new_ones(()), 1
        (x, y), (x_test, y_test) = (_stacked(part[scored]) for part in features)
        fitted = make_logistic_regression(1.0).fit(x.numpy(), y.numpy())
        right = torch.as_tensor(fitted.predict(x_test.numpy())) == y_test
        return right.double().mean(), len(scored)


class FactorVAEScore(InterventionMetric):
    r"""The FactorVAE score: the code that varies least in a group of rows tells which factor they share.

    Each of many groups of rows that agree in one factor ``f`` votes for the code

    .. math:: d^* = \arg\min_d \operatorname{var}_{\text{group}} z_d / \operatorname{var} z_d

    and the score is the accuracy of guessing, for a code, the factor that chose it most often, on groups of other rows.
    Ideal 1, worst ``1 / F``. Measured on 3,000 rows of five independent factors of ten values: perfect codes,
    with or without others of noise, 1; their rotation 0.68; noise 0.19.

    Codes whose standard deviation is below ``prune_threshold`` are not asked, so a constant code never wins; if none is
    left the score is 0. The threshold is in the codes' unit, and made for a standard normal prior: set it to 0 for
    other codes, which leaves out constant ones alone. A factor of which no two rows share a value, or that has one
    value, is left out and named. Few rows for each value make groups small and votes noisy. With a single factor the
    score is 1.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar.

    Args:
        num_groups: for training, and as many for the test.
        group_size: rows of a group, at most; there may be fewer with that value.
        prune_threshold: smallest standard deviation of a code that is asked.
        rescale: whether chance is 0.
        kwargs: as for :class:`~torchdisentangle.supervised.row_metric.RowMetric`.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018, Section 4; Locatello et al., ICML 2019, Appendix C (the
        threshold).

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> score = FactorVAEScore(num_groups=100)
        >>> score.update(1.0 * factors, factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        num_groups: int = 1000,
        group_size: int = 64,
        prune_threshold: float = 0.05,
        rescale: bool = False,
        **kwargs: Any,
    ) -> None:
        if num_groups < 1 or group_size < 2:
            raise ValueError(
                f"num_groups must be positive and group_size at least 2, got {num_groups} and {group_size}"
            )
        super().__init__(rescale=rescale, **kwargs)
        self.num_groups, self.group_size, self.prune_threshold = num_groups, group_size, prune_threshold

    def accuracy(self) -> tuple[Tensor, int]:
        """The accuracy, and the number of factors it is about."""
        codes, factors = self.rows
        labels, generator = self.labels(factors), self.generator()
        variance, active = active_codes(codes, self.prune_threshold)
        if not active.any():
            return codes.new_zeros(()), labels.shape[1]
        codes, variance = codes[:, active], variance[active]
        features = [
            draw_variances(codes[part], labels[part], self.num_groups, self.group_size, generator)
            for part in self.train_and_test
        ]
        possible = torch.tensor([all(len(part[f]) for part in features) for f in range(labels.shape[1])])
        scored = self.select(possible & (labels.amax(0) > 0))
        votes, test_votes = (_votes([part[f] / variance for f in scored]) for part in features)
        return majority_vote_accuracy(votes, test_votes), len(scored)


class ZMax(InterventionMetric):
    r"""The score of Relevance Factor VAE (Z-max): the code that varies most tells which factor moved.

    Each group of rows that agree in all factors but one, ``f``, votes for the code

    .. math:: d^* = \arg\max_d \operatorname{var}_{\text{group}} z_d / \operatorname{var} z_d

    and the score is the accuracy of guessing, for a code, the factor that chose it most often, on other groups; every
    factor has equal weight. Ideal 1, worst ``1 / F``. Measured on 3,000 rows of five factors of ten values, from
    :func:`~torchdisentangle.datasets.intervention_factors`: perfect codes 1; with five others of noise, which vary in
    every group, 0.33; their rotation 0.60; noise 0.17.

    A random sample of a fine grid holds few such groups, or none: give the rows by design where the data set allows it.
    A factor of which there are fewer than two groups is left out and named. Constant codes never win; if all are
    constant the score is 0. With a single factor it is 1.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar.

    Args:
        prune_threshold: smallest standard deviation of a code that is asked.
        rescale: whether chance is 0.
        kwargs: as for :class:`~torchdisentangle.supervised.row_metric.RowMetric`.

    Reference:
        Kim et al., *Relevance Factor VAE: Learning and Identifying Disentangled Factors*, 2019, Section 4.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        >>> score = ZMax()
        >>> score.update(1.0 * factors, factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    why_unscored = "too few rows that agree in all others"

    def __init__(self, prune_threshold: float = 0.05, rescale: bool = False, **kwargs: Any) -> None:
        super().__init__(rescale=rescale, **kwargs)
        self.prune_threshold = prune_threshold

    def accuracy(self) -> tuple[Tensor, int]:
        """The accuracy, and the number of factors it is about."""
        codes, factors = self.rows
        labels, generator = self.labels(factors), self.generator()
        variance, active = active_codes(codes, self.prune_threshold)
        if not active.any():
            return codes.new_zeros(()), labels.shape[1]
        groups = [variances_of_groups(codes[:, active], labels, f) for f in range(labels.shape[1])]
        fewest = 2 if len(groups) > 1 else 1  # one to learn from and one to be tested on
        scored = self.select(torch.tensor([len(group) >= fewest for group in groups]))
        if len(scored) == 1:
            return codes.new_ones(()), 1
        train, test = [], []
        for f in scored:
            shuffled = groups[f][torch.randperm(len(groups[f]), generator=generator)] / variance[active]
            tested = min(max(round(self.test_fraction * len(shuffled)), 1), len(shuffled) - 1)
            train.append(shuffled[tested:])
            test.append(shuffled[:tested])
        return majority_vote_accuracy(_votes(train, largest=True), _votes(test, largest=True)), len(scored)


def active_codes(codes: Tensor, prune_threshold: float) -> tuple[Tensor, Tensor]:
    """Variances of the codes, and which codes are neither constant nor below a standard deviation, both ``(D,)``."""
    variance = codes.var(0)
    return variance, (codes.amax(0) > codes.amin(0)) & (variance.sqrt() >= prune_threshold)


def _votes(variances: list[Tensor], largest: bool = False) -> Tensor:
    """Share of each factor's groups ``(k, D)`` that choose each code, ``(F, D)``."""
    rows = []
    for group in variances:
        chosen = group.argmax(1) if largest else group.argmin(1)
        rows.append(torch.bincount(chosen, minlength=group.shape[1]).double() / len(group))
    return torch.stack(rows)


def _stacked(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features ``(F, k, D)`` as rows, with the factor of each."""
    labels = torch.arange(len(features)).repeat_interleave(features.shape[1])
    return features.flatten(0, 1), labels
