"""The score of Relevance Factor VAE."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.intervention import majority_vote_accuracy
from torchdisentangle.supervised.intervention_groups import active_codes, shares_of_votes, variances_of_groups
from torchdisentangle.supervised.row_score import Accuracy, RowScore, RowSettings


class ZMax(RowScore):
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
        rescale: whether chance is 0; else it is ``1 / F``.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Reference:
        Kim et al., *Relevance Factor VAE: Learning and Identifying Disentangled Factors*, 2019.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        >>> score = ZMax()
        >>> score.update(1.0 * factors, factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "z_max"
    needs: frozenset[str] = frozenset({"interventions", "design"})
    why_unscored = "too few rows that agree in all others"

    def __init__(self, prune_threshold: float = 0.05, rescale: bool = False, **settings: Unpack[RowSettings]) -> None:
        super().__init__(**settings)
        self.prune_threshold = prune_threshold
        self.rescale = rescale

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self._guessed(self._guess, self.rescale)

    def _scored(self) -> Tensor:
        return self._once(self._guess).scored

    def _guess(self) -> Accuracy:
        codes, factors = self._rows()
        values, generator = self._values(factors), self._generator()
        variance, active = active_codes(codes, self.prune_threshold)
        if not active.any():
            return Accuracy(codes.new_zeros(()), torch.ones(values.shape[1], dtype=torch.bool))
        groups = [variances_of_groups(codes[:, active], values, f) for f in range(values.shape[1])]
        fewest = 2 if len(groups) > 1 else 1  # one to learn from and one to be tested on
        scored = torch.tensor([len(group) >= fewest for group in groups])
        if scored.sum() < 2:  # a single factor cannot be missed
            return Accuracy(codes.new_ones(()), scored)
        train, test = [], []
        for f in scored.nonzero()[:, 0].tolist():
            votes = (groups[f][torch.randperm(len(groups[f]), generator=generator)] / variance[active]).argmax(1)
            learned, tested = self._train_and_test(len(votes))
            train.append(votes[learned])
            test.append(votes[tested])
        num_codes = int(active.sum())
        return Accuracy(
            majority_vote_accuracy(shares_of_votes(train, num_codes), shares_of_votes(test, num_codes)), scored
        )
