"""Gaps of Gaussian posteriors in soft bins: RMIG and JEMMIG."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from torchdisentangle.functional.supervised.information_gap import jemmig, normalized_jemmig
from torchdisentangle.statistics.counts import Ends
from torchdisentangle.supervised.information import Information, InformationMetric
from torchdisentangle.supervised.mig import MutualInformationGap


class RobustMIG(MutualInformationGap):
    r"""Robust mutual information gap (RMIG): MIG of posteriors instead of points.

    .. math:: \mathrm{RMIG} = \frac1F \sum_f \frac{I_{(1) f} - I_{(2) f}}{H(y_f)}, \quad
              p_{bv} = \frac1n \sum_n q(z \in b \,|\, x_n) \, 1[y_{nf} = v]

    so that a latent with wide posteriors is not credited with what its means tell. Ideal 1, worst 0. Its bias is below
    that of hard bins, for soft counts vary less.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` (posterior means) and ``log_variance``
    ``(n, d)``, and ``factors`` ``(n, F)``; ``compute`` returns a scalar. ``binning="density"`` gives the published
    numbers.

    Args:
        num_bins: number of bins ``B``.
        edges: their range, as for the statistic.
        binning: ``"soft"`` by exact probabilities, or ``"density"``.
        normalize: whether to divide by the factors' entropies; else the value is in nats.
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020, Section 4.3.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> rmig = RobustMIG()
        >>> rmig.update(2.0 * factors - 1, factors, torch.full((4, 2), 0.0))
        >>> rmig.compute()
        tensor(0.4858, dtype=torch.float64)
    """

    def __init__(
        self,
        num_bins: int = 100,
        edges: Literal["data", "prior"] | Ends = (-4.0, 4.0),
        binning: Literal["hard", "soft", "density"] = "soft",
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins=num_bins, edges=edges, binning=binning, **kwargs)
        self.normalize = normalize

    def _gaps(self, information: Information) -> Tensor:
        gaps = super()._gaps(information)
        return gaps if self.normalize else gaps * information.factor_entropy


class JEMMIG(InformationMetric):
    r"""Joint entropy minus mutual information gap: every factor in one code, and nothing else in that code.

    .. math:: \mathrm{JEMMIG} = \frac1F \sum_f \bigl[ H(z_{k^*}, y_f) - I_{(1) f} + I_{(2) f} \bigr]

    **Lower is better**: ideal 0, worst :math:`H(y_f) + \log B`. With ``normalize=True`` each factor's value is divided
    by its worst and taken from 1, so that **higher is better**, ideal 1, worst 0. Noise in the best code counts
    against it: a posterior of standard deviation :math:`\sigma` in bins of width ``w`` costs
    :math:`\tfrac12 \log(2 \pi e \sigma^2) - \log w` nats. Values for different numbers of bins differ.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` (posterior means) and ``log_variance``
    ``(n, d)``, and ``factors`` ``(n, F)``; ``compute`` returns a scalar. ``binning="density"`` gives the published
    numbers; ``binning="hard"`` needs no ``log_variance``.

    Args:
        num_bins: number of bins ``B``.
        edges: their range, as for the statistic.
        binning: ``"soft"`` by exact probabilities, ``"density"``, or ``"hard"``.
        normalize: whether to return the score in [0, 1] instead of nats.
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

    Reference:
        Do & Tran, ICLR 2020, Section 4.3; the normalised complement as in Zaidi et al., *Measuring disentanglement: a
        review of metrics*, 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> score = JEMMIG(normalize=True, binning="hard", num_bins=2, edges="data")
        >>> score.update(factors.float(), factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        num_bins: int = 100,
        edges: Literal["data", "prior"] | Ends = (-4.0, 4.0),
        binning: Literal["hard", "soft", "density"] = "soft",
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins=num_bins, edges=edges, binning=binning, **kwargs)
        self.normalize = normalize

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """Whether it is normalised."""
        return self.normalize

    def score(self, information: Information) -> Tensor:
        """Mean over factors."""
        return self._values(information).mean()

    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        with self.reduced():
            return self.over_all_factors(self._values(self.information()))

    def _values(self, information: Information) -> Tensor:
        values = jemmig(information.mutual, information.joint_entropy)
        return normalized_jemmig(values, information.factor_entropy, self.num_bins) if self.normalize else values
