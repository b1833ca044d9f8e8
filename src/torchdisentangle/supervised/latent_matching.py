"""Latent matching: every factor in a code of its own."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.supervised.information_shares import latent_matching
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.information import InformationScore
from torchdisentangle.supervised.information_estimator import Information


class LatentMatchingScore(InformationScore):
    r"""Latent matching score (LMS): how much is known about the factors by codes of their own.

    .. math:: \mathrm{LMS} = \max_\pi \frac1F \sum_f \frac{I_{\pi(f) f}}{H(y_f)}

    over one-to-one maps :math:`\pi` of factors to codes: MCC with information in place of correlation. Ideal 1, worst
    0. With fewer codes than factors some factors have none and count as 0. A second code that knows a factor as well,
    and a code that knows other factors too, cost nothing.

    Two relatives are there under other names. The most similar averaging score (MSAS) of the same matrix is
    :class:`~torchdisentangle.Sufficiency`, the most similar gap score (MSGS) is
    :class:`~torchdisentangle.MutualInformationGap`. For all three of any other matrix, such as absolute rank
    correlations, use :func:`~torchdisentangle.functional.latent_matching`.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Moinfar & Theis, *Unsupervised deep disentangled representation of single-cell omics*, bioRxiv 2024.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> score = LatentMatchingScore()
        >>> score.update((factors[:, :1] + 2 * factors[:, 1:]).float(), factors)
        >>> score.compute()  # one code knows both factors, and is that of one of them
        tensor(0.5000, dtype=torch.float64)
    """

    name = "lms"
    by_default = False

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._over_all_factors(self._matched)

    def _score(self, information: Information) -> Tensor:
        return self._matched(information).mean()

    def _matched(self, information: Information) -> Tensor:
        return latent_matching(information.mutual / information.factor_entropy).matched
