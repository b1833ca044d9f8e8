"""Mutual information gap: every factor in one code."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from torchdisentangle.functional.supervised.information_gap import mutual_information_gap
from torchdisentangle.supervised.information import Information, InformationMetric
from torchdisentangle.supervised.posterior import PosteriorMutualInformationGap

Estimator = Literal["histogram", "posterior"]


class MutualInformationGap(InformationMetric):
    r"""Mutual information gap (MIG): is every factor in one code only?

    .. math:: \mathrm{MIG} = \frac1F \sum_f \frac{I_{(1) f} - I_{(2) f}}{H(y_f)}

    the gap between the code that knows most about a factor and the second, from counts of code bins and factor values.
    Ideal 1, worst 0. It does not see whether the best code knows other factors too. With 20 bins of the data's range
    the value is the published one of the disentanglement studies. Bins cap it: a factor of more values than bins
    reaches about :math:`\log B / \log V`, see ``ceiling()``. The bias of the plug-in estimate cancels in part.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar. With a single code the second best is 0.

    Args:
        estimator: ``"histogram"``; or ``"posterior"``, which makes a
            :class:`~torchdisentangle.supervised.PosteriorMutualInformationGap`, of posteriors and without bins.
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`, or of the other class.

    Raises:
        ValueError: for an unknown estimator.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018, Section 4; from
        histograms, Locatello et al., *Challenging common assumptions in the unsupervised learning of disentangled
        representations*, ICML 2019, Appendix C.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> mig = MutualInformationGap()
        >>> mig.update(factors.float(), factors)
        >>> mig.compute(), mig.per_factor()
        (tensor(1., dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """

    plot_upper_bound: float = 1.0

    def __new__(cls, *copied: Any, estimator: Estimator = "histogram", **kwargs: Any) -> Any:
        if estimator == "posterior" and cls is MutualInformationGap:
            return PosteriorMutualInformationGap(**kwargs)
        return super().__new__(cls)

    def __init__(self, *, estimator: Estimator = "histogram", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if estimator != "histogram":
            raise ValueError(f"estimator must be 'histogram' or 'posterior', got {estimator!r}")

    def score(self, information: Information) -> Tensor:
        """Mean gap over factors."""
        return self._gaps(information).mean()

    def per_factor(self) -> Tensor:
        """The gap of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        with self.reduced():
            return self.over_all_factors(self._gaps(self.information()))

    def _gaps(self, information: Information) -> Tensor:
        return mutual_information_gap(information.mutual, information.factor_entropy)
