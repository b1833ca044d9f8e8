"""Canonical correlations of codes and factors."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.supervised.identifiability import canonical_correlations
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.moment_score import MomentScore


class CCA(MomentScore):
    r"""Mean canonical correlation (CCA): how well linear functions of codes and of factors agree.

    .. math:: \frac{1}{\min(d, F)} \sum_i \rho_i, \quad
              \rho = \operatorname{singular\ values\ of}\ \Sigma_{zz}^{-1/2} \Sigma_{zf} \Sigma_{ff}^{-1/2}

    MCC up to linear maps of both sides ("weak MCC"): a rotation of perfect codes scores 1, as they do. Ideal 1, worst
    0. Chance grows with :math:`\sqrt{d / N}`, and is 1 if there are no more rows than codes and factors together.

    With more codes than factors the codes' best directions count. With fewer, the score tells whether the codes are
    linear in the factors, not whether all factors are known: one code that equals one of five factors scores 1, where
    :class:`LinearR2` is 0.2. Constant and dependent codes have correlation 0; constant factors are left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``, integers
    or floats; ``compute`` returns a scalar.

    Args:
        factor_names: for messages and figures.
        intervals: as for :class:`~torchdisentangle.supervised.moment_score.MomentScore`.
        settings: of :class:`torchmetrics.Metric`.

    Reference:
        Hotelling, *Relations between two sets of variates*, Biometrika 1936.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        >>> rotation = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
        >>> score = CCA()
        >>> score.update(factors.double() @ rotation.double(), factors)
        >>> score.compute(), score.canonical_correlations()
        (tensor(1., dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """

    name = "cca"

    def compute(self) -> Tensor:
        """Mean over pairs of directions."""
        return self._canonical_correlations().mean()

    @readout
    def canonical_correlations(self) -> Tensor:
        """All of them, in descending order, ``(min(d, F),)`` for ``F`` factors that are not constant."""
        return self._canonical_correlations()

    def _canonical_correlations(self) -> Tensor:
        correlation, num_codes = self._correlation(), self._num_codes()
        kept = correlation.diagonal() > 0
        kept[:num_codes] = True
        self._require_scored(kept[num_codes:])
        return canonical_correlations(correlation[kept][:, kept], num_codes)
