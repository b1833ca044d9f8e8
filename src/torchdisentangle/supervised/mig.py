"""Mutual information gap: every factor in one code."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from torchdisentangle.functional.supervised.information_gap import mutual_information_gap
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.base import Variants
from torchdisentangle.supervised.information import InformationScore
from torchdisentangle.supervised.information_estimator import Information


class MutualInformationGap(InformationScore):
    r"""Mutual information gap (MIG): is every factor in one code only?

    .. math:: \mathrm{MIG} = \frac1F \sum_f \frac{I_{(1) f} - I_{(2) f}}{H(y_f)}

    the gap between the code that knows most about a factor and the second. Ideal 1, worst 0. It does not see whether
    the best code knows other factors too.

    ``estimator="counts"`` bins codes. With 20 bins of the data's range the value is the published one of the
    disentanglement studies. Bins cap it: a factor of more values than bins reaches about :math:`\log B / \log V`, see
    ``ceiling()``. The bias of the plug-in estimate cancels in part. ``estimator="posterior"`` is MIG as first defined,
    of Gaussian posteriors and without bins; it sees how wide they are. ``estimator="neighbours"`` has no bins either,
    and needs the codes alone.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``, and of
    posteriors ``log_variance`` ``(n, d)``; ``compute`` returns a scalar. With a single code the second best is 0.

    Args:
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018; from
        histograms, Locatello et al., *Challenging common assumptions in the unsupervised learning of disentangled
        representations*, ICML 2019.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4)).repeat(20, 1)
        >>> mig = MutualInformationGap()
        >>> mig.update(factors.float(), factors)
        >>> mig.compute(), mig.per_factor()
        (tensor(1., dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
        >>> of_posteriors = MutualInformationGap(estimator="posterior")
        >>> of_posteriors.update(10.0 * factors, factors, log_variance=torch.full((160, 2), -4.0))
        >>> of_posteriors.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "mig"
    variants: ClassVar[Variants] = {"mig": {}, "posterior_mig": {"estimator": "posterior"}}

    def compute(self) -> Tensor:
        """Mean gap over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> Tensor:
        """The gap of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._over_all_factors(self._values)

    def _values(self, information: Information) -> Tensor:
        return mutual_information_gap(information.mutual, information.factor_entropy)
