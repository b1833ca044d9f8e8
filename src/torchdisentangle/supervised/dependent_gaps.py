"""Information gaps for factors that depend on each other: DMIG, XMIG and DLIG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.dependent_gaps import dlig, dmig, xmig
from torchdisentangle.functional.supervised.identifiability import match_codes
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.counts import JointCounts
from torchdisentangle.statistics.factor_pairs import FactorPairCounts, pair_entropies
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.base import Variants
from torchdisentangle.supervised.information import InformationScore, InformationSettings
from torchdisentangle.supervised.information_estimator import Information

Gap = Literal["dmig", "xmig", "dlig"]


class DependencyAwareGap(InformationScore):
    r"""Information gaps of factors that depend on each other, in codes that are meant for a factor each.

    .. math::

        \mathrm{DMIG}_f = \frac{I_{r(f) f} - I_{k^* f}}{H(y_f \,|\, y_{l})}, \quad
        \mathrm{XMIG}_f = \frac{I_{r(f) f} - \max_{k \notin r} I_{kf}}{H(y_f)}, \quad
        \mathrm{DLIG}_f = \frac{I_{r(f) f} - I_{r(f) l^*}}{H(y_f \,|\, y_{l^*})}

    with ``r(f)`` the code of a factor, :math:`k^*` the best other code, meant for factor ``l`` (if it is meant for
    none, the divisor is :math:`H(y_f)`), and :math:`l^*` the other factor that ``r(f)`` knows best. Where knowing one
    factor says something about another, MIG counts against perfect codes what they cannot help knowing; the divisors
    take that back. Ideal 1; 0 if another code (DMIG), a code that is meant for nothing (XMIG), or the same code about
    another factor (DLIG) knows as much; below 0 if more.

    DMIG and DLIG have no value for a factor that the other determines, which is left out and named. XMIG without spare
    codes is the mean share that the codes know. A factor without a code, where there are fewer codes than factors,
    counts as 0. The matching makes the best of chance: codes that know nothing score a little above 0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar; of posteriors also ``log_variance`` ``(n, d)``. Beside the information that MIG reads
    it needs counts of pairs of factors: from the rows that are kept, or with fixed ``edges`` a sum of
    :math:`V^2 F^2 / 2` numbers.

    Args:
        gap: ``"dmig"``, ``"xmig"`` or ``"dlig"``.
        codes_of_factors: the code that each factor is meant to be in, ``F`` different integers, such as a model's
            regularisation has it; by default the one-to-one map with the largest sum of :math:`I_{r(f) f} / H(y_f)`.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`; continuous
            factors have an entropy given another with ``estimator="counts"`` only, or as ``"xmig"`` needs none.

    Raises:
        ValueError: for an unknown gap, a map that is not one-to-one, or continuous factors without bins.

    Reference:
        Watcharasupat & Lerch, *Evaluation of latent space disentanglement in the presence of interdependent
        attributes*, ISMIR late-breaking demo 2021; Watcharasupat, *Controllable music*, 2021.

    Example:
        >>> factors = torch.tensor([[0, 0]] * 9 + [[0, 1]] + [[1, 0]] + [[1, 1]] * 9)  # equal in nine of ten rows
        >>> dmig, dlig = DependencyAwareGap(), DependencyAwareGap("dlig", codes_of_factors=[0, 1])
        >>> for score in (dmig, dlig):
        ...     score.update(factors.double(), factors)
        >>> dmig.compute(), dlig.compute()
        (tensor(1., dtype=torch.float64), tensor(1., dtype=torch.float64))
    """

    name = "dmig"
    corrects_information = False
    variants: ClassVar[Variants] = {"dmig": {}, "xmig": {"gap": "xmig"}, "dlig": {"gap": "dlig"}}
    by_default = False
    why_unscored = "too few values, or another factor determines them"
    plot_lower_bound: float | None = None
    counts_type: ClassVar[type[JointCounts]] = FactorPairCounts

    def __init__(
        self, gap: Gap = "dmig", codes_of_factors: Sequence[int] | None = None, **settings: Unpack[InformationSettings]
    ) -> None:
        if gap not in get_args(Gap):
            raise ValueError(f"gap must be one of {get_args(Gap)}, got {gap!r}")
        meant = None if codes_of_factors is None else tuple(codes_of_factors)
        if meant is not None and (len(set(meant)) < len(meant) or min(meant, default=0) < 0):
            raise ValueError(f"codes_of_factors must be different codes, one for each factor, got {meant}")
        super().__init__(**settings)
        if self.estimator == "neighbours" and self.continuous and gap != "xmig":
            raise ValueError(f"{gap!r} needs entropies of the factors, which continuous ones have in bins alone")
        self.gap = gap
        self.codes_of_factors: tuple[int, ...] | None = meant

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._score(self._source.information(self))

    @readout
    def per_factor(self) -> Tensor:
        """The gap of every factor, ``(F,)``; NaN for one that has none."""
        return self._gaps(self._source.information(self))

    @readout
    def matching(self) -> Tensor:
        """The code of each factor, ``(F,)`` integers; -1 for a factor without one."""
        return self._codes_of_factors(self._source.information(self))

    @readout
    def ceiling(self) -> Any:
        """Perfect codes depend on each other as the factors do, so there is no ceiling: always raises a ValueError."""
        raise ValueError(f"{type(self).__name__} has no ceiling: its perfect codes depend on each other")

    def _score(self, information: Information) -> Tensor:
        return self._mean_over_factors(self._gaps(information))

    def _scored(self) -> Tensor:
        return ~self._gaps(self._source.information(self)).isnan()

    def _gaps(self, information: Information) -> Tensor:
        several = information.factor_entropy > 0
        codes, some = self._codes_of_factors(information)[several], information.of_factors(several)
        gaps = information.factor_entropy.new_full(several.shape, torch.nan)
        if not several.any():
            return gaps
        if self.gap == "xmig":
            gaps[several] = xmig(some.mutual, some.factor_entropy, codes)
            return gaps
        together = self._joint_entropies()
        given = (together - together.diagonal()).clamp(min=0)[several][:, several]
        function = dmig if self.gap == "dmig" else dlig
        gaps[several] = function(some.mutual, some.factor_entropy, given, codes)
        return gaps

    def _joint_entropies(self) -> Tensor:
        """Entropies of pairs of factors, ``(F, F)``."""
        if isinstance(self.state, FactorPairCounts):
            return self.state.joint_entropies(self, self.bias_correction == "miller_madow")
        assert isinstance(self.state, CodeFactorRows)
        return pair_entropies(value_labels(self.state.read(self)["factors"]))

    def _codes_of_factors(self, information: Information) -> Tensor:
        known = information.mutual / information.factor_entropy.where(information.factor_entropy > 0, torch.inf)
        meant = self.codes_of_factors
        if meant is None:
            return match_codes(known)
        if len(meant) != known.shape[1] or max(meant) >= len(known):
            raise ValueError(f"codes_of_factors must be {known.shape[1]} of the {len(known)} codes, got {meant}")
        return torch.tensor(meant, device=known.device)
