"""OMES: overlap and multiplicity of codes, by pairs of rows that differ in one factor alone."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.omes import Pool, omes_per_factor, paired_correlation
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.base import Mode, check_mode
from torchdisentangle.supervised.intervention_groups import active_codes
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class OMES(RowScore):
    r"""Overlap-multiplicity encoding score (OMES): does one code answer to one factor, and to it alone?

    .. math:: S_{kf} = 1 - \max(0, \operatorname{corr}(z_k(x), z_k(x'))), \quad
              \mathrm{OMES} = \frac1F \sum_f
              \frac{\sum_k S_{kf}^2 (\alpha O_{kf} + (1 - \alpha) M_{kf})}{\sum_k S_{kf}}

    over all pairs of rows that differ in factor ``f`` alone, with overlap :math:`O` and multiplicity :math:`M` as in
    :func:`~torchdisentangle.functional.omes_per_factor`. Ideal 1, worst 0.

    ``mode="reference"`` is the published :math:`S_{kf} = 1 - |\operatorname{corr}|`. The values of a pair must differ,
    so a perfect code of ``V`` equally likely values has correlation :math:`-1 / (V - 1)` there, not 0: perfect codes
    score 0 for binary factors and 0.69 for three factors of five values. ``"exact"`` takes a negative correlation for
    what it is, an answer, and they score 1.

    A code that is noise does not agree with itself in any pair, and so seems to answer to all factors. A random sample
    of a fine grid holds few pairs, or none: give the rows by design where the data set allows it. A factor of which
    there are none is left out and named. If no code is active the score is 0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar.

    Args:
        alpha: weight of overlap against multiplicity.
        pool: ``"average"`` over codes, or the ``"max"``.
        prune_threshold: codes with a smaller standard deviation are left out.
        mode: ``"exact"`` or ``"reference"``, as above.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Raises:
        ValueError: if ``alpha`` is not in [0, 1], or for an unknown pool.

    Reference:
        Dapueto, Noceti & Odone, *Transferring disentangled representations: bridging the gap between synthetic and real
        images*, NeurIPS 2024.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> exact, published = OMES(), OMES(mode="reference")
        >>> for score in (exact, published):
        ...     score.update(1.0 * factors, factors)
        >>> exact.compute(), published.per_factor()
        (tensor(1., dtype=torch.float64), tensor([0.0000, 0.5000], dtype=torch.float64))
    """

    name = "omes"
    needs: frozenset[str] = frozenset({"interventions", "design"})
    by_default = False
    why_unscored = "no two rows that differ in them alone"
    matrix_label = "answer of code to factor"

    def __init__(
        self,
        alpha: float = 0.5,
        pool: Pool = "average",
        prune_threshold: float = 0.05,
        mode: Mode = "exact",
        **settings: Unpack[RowSettings],
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {alpha}")
        if pool not in get_args(Pool):
            raise ValueError(f"pool must be one of {get_args(Pool)}, got {pool!r}")
        check_mode(mode)
        super().__init__(**settings)
        self.alpha: float = alpha
        self.pool = pool
        self.prune_threshold: float = prune_threshold
        self.mode = mode

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._per_factor())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that cannot be scored."""
        return self._per_factor()

    @readout
    def matrix(self) -> Tensor:
        """How much each code answers to each factor, ``(D, F)``; 0 for a code that is left out, NaN without pairs."""
        return self._once(self._association)

    def _scored(self) -> Tensor:
        return ~self._once(self._association).isnan().any(0)

    def _per_factor(self) -> Tensor:
        association = self._once(self._association)
        scored, active = ~association.isnan().any(0), association.nan_to_num(0.0).sum(1) > 0
        values = torch.full_like(association[0], torch.nan)
        if scored.any():
            found = association[active][:, scored]
            values[scored] = omes_per_factor(found, self.alpha, self.pool) if active.any() else 0.0
        return values

    def _association(self) -> Tensor:
        codes, factors = self._rows()
        values, (_, active) = self._values(factors), active_codes(codes, self.prune_threshold)
        correlation = torch.stack([paired_correlation(codes, values, f) for f in range(values.shape[1])], dim=1)
        answers = 1 - (correlation.abs() if self.mode == "reference" else correlation.clamp(min=0))
        return torch.where(active[:, None] | answers.isnan(), answers, 0.0)
