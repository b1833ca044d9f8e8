"""The FactorVAE score."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.intervention import majority_vote_accuracy
from torchdisentangle.supervised.intervention_groups import active_codes, draw_variances, shares_of_votes
from torchdisentangle.supervised.row_score import Accuracy, RowScore, RowSettings


class FactorVAEScore(RowScore):
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
        rescale: whether chance is 0; else it is ``1 / F``.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018; Locatello et al., ICML 2019 (the threshold).

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> score = FactorVAEScore(num_groups=100)
        >>> score.update(1.0 * factors, factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "factor_vae"
    fits_parts = True
    needs: frozenset[str] = frozenset({"interventions"})
    why_unscored = "too few rows that agree in them"

    def __init__(
        self,
        num_groups: int = 1000,
        group_size: int = 64,
        prune_threshold: float = 0.05,
        rescale: bool = False,
        **settings: Unpack[RowSettings],
    ) -> None:
        if num_groups < 1 or group_size < 2:
            raise ValueError(
                f"num_groups must be positive and group_size at least 2, got {num_groups} and {group_size}"
            )
        super().__init__(**settings)
        self.num_groups = num_groups
        self.group_size = group_size
        self.prune_threshold = prune_threshold
        self.rescale = rescale

    def compute(self) -> Tensor:
        """The score, over all processes."""
        return self._guessed(self._guess, self.rescale)

    def _scored(self) -> Tensor:
        return self._once(self._guess).scored

    def _guess(self) -> Accuracy:
        return self._fit_parts(torch.ones(1, len(self.keys), dtype=torch.bool))[0]

    def _fit_parts(self, parts: Tensor) -> list[Accuracy]:
        """The accuracy in each of several parts of the rows, ``(P, n)`` booleans."""
        codes, factors = self._rows()
        values, keys = self._values(factors), self.sample.read(self).keys.cpu()
        tested = torch.tensor([self._train_and_test(size)[1].stop for size in parts.sum(1).tolist()])
        test = parts & (parts.cumsum(1) <= tested[:, None])
        features = [
            draw_variances(codes, values, keys, drawn_from, self.num_groups, self.group_size, self.seed + stage)
            for stage, drawn_from in enumerate((parts & ~test, test))
        ]
        possible = ~(features[0] + features[1]).isnan().any(3).any(2)
        return [
            self._accuracy(codes[part], values[part], possible[p], [of_stage[p] for of_stage in features])
            for p, part in enumerate(parts)
        ]

    def _accuracy(self, codes: Tensor, values: Tensor, possible: Tensor, features: list[Tensor]) -> Accuracy:
        """The accuracy from variances in groups, ``(F, G, D)``, for training and for the test."""
        variance, active = active_codes(codes, self.prune_threshold)
        if not active.any():
            return Accuracy(codes.new_zeros(()), torch.ones_like(possible))
        scored = possible & (values.amax(0) > values.amin(0))
        if not scored.any():
            return Accuracy(codes.new_tensor(torch.nan), scored)
        votes, test_votes = (
            shares_of_votes(list((part[scored][..., active] / variance[active]).argmin(2)), int(active.sum()))
            for part in features
        )
        return Accuracy(majority_vote_accuracy(votes, test_votes), scored)
