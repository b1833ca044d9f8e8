"""Mean correlation coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from scipy.stats import rankdata
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.identifiability import correlation_matrix, match_codes, matched_correlation
from torchdisentangle.statistics import MetricSettings, readout
from torchdisentangle.statistics.checks import Continuous, check_seed
from torchdisentangle.statistics.code_factor_moments import CodeFactorMoments
from torchdisentangle.statistics.code_factor_state import CodeFactorState
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.base import SupervisedScore


class MCC(SupervisedScore):
    r"""Mean correlation coefficient (MCC): are codes the factors, up to their order, signs and scales?

    .. math:: \mathrm{MCC} = \max_\pi \frac1F \sum_f \left| \operatorname{corr}(z_{\pi(f)}, y_f) \right|

    over one-to-one maps :math:`\pi` of factors to codes. Ideal 1, worst 0. With more codes than factors the best ones
    are chosen; with fewer, factors without a code count as 0.

    Chance is that of a maximum: for five independent factors 0.046 with 5 codes, 0.057 with 10 and 0.088 with 100, on
    1,000 rows; 0.14 with 5 codes on 100 rows. A rotation of two perfect codes never scores below 0.71. Factors that are
    correlated give false positives: five codes that all equal the mean of five factors of correlation 0.9 score 0.96.
    Factors are numbers here, so their values must have an order; a code that is not monotone in its factor is lost. A
    constant code has correlation 0; a constant factor is left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``, ``factors`` ``(n, F)``, integers or
    floats, and ``index`` ``(n,)``; ``compute`` returns a scalar.

    Args:
        correlation: ``"pearson"``, which is exact on any number of rows; or ``"spearman"`` of ranks, for codes that are
            any monotone function of their factor, from the rows that are kept.
        held_out: whether the map is found on one half of the rows that are kept, and scored on the other, which takes
            part of the chance off.
        max_rows: how many rows to keep at most, where rows are kept.
        seed: of the choice of rows.
        factor_names: for messages and figures.
        intervals: whether moments are kept so that there is an :meth:`interval`; without effect where rows are kept.
        settings: of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown correlation.

    Reference:
        Hyvärinen & Morioka, *Unsupervised feature extraction by time-contrastive learning and nonlinear ICA*, NeurIPS
        2016; Khemakhem et al., *Variational autoencoders and nonlinear ICA: a unifying framework*, AISTATS 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        >>> mcc = MCC()
        >>> mcc.update(-2.0 * factors.flip(1), factors)
        >>> mcc.compute(), mcc.matching()
        (tensor(1., dtype=torch.float64), tensor([1, 0]))
    """

    name = "mcc"
    matrix_label = "absolute correlation"
    continuous: Continuous = True  # all factors are numbers here

    def __init__(
        self,
        correlation: Literal["pearson", "spearman"] = "pearson",
        held_out: bool = False,
        max_rows: int = 10_000,
        seed: int = 0,
        factor_names: Sequence[str] | None = None,
        intervals: bool = True,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if correlation not in ("pearson", "spearman"):
            raise ValueError(f"correlation must be 'pearson' or 'spearman', got {correlation!r}")
        check_seed(seed)
        keeps_rows = held_out or correlation == "spearman"
        state: CodeFactorState = CodeFactorRows(max_rows, True, seed) if keeps_rows else CodeFactorMoments(intervals)
        super().__init__(state, factor_names=factor_names, **settings)
        self.intervals = intervals
        self.correlation = correlation
        self.held_out = held_out
        self.max_rows = max_rows
        self.seed = seed

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._per_factor())

    @readout
    def per_factor(self) -> Tensor:
        """Absolute correlation of each factor with its code, ``(F,)``; NaN for a constant factor."""
        return self._per_factor()

    @readout
    def matching(self) -> Tensor:
        """The code of each factor, ``(F,)`` integers; -1 for a factor without one."""
        return match_codes(self._matrices()[0].nan_to_num(0.0))

    @readout
    def matrix(self) -> Tensor:
        """Absolute correlations ``(d, F)``, NaN for a constant factor."""
        return self._matrices()[1]

    def _scored(self) -> Tensor:
        return ~self._matrices()[1].isnan().any(0)

    def _per_factor(self) -> Tensor:
        to_match, to_score = self._matrices()
        constant = to_score.isnan().any(0)
        matched = matched_correlation(to_score.nan_to_num(0.0), match_codes(to_match.nan_to_num(0.0)))
        return matched.masked_fill(constant, torch.nan)

    def _matrices(self) -> tuple[Tensor, Tensor]:
        """Absolute correlations that codes are matched by, and those that are the score."""
        self.require_samples(self.state.num_rows(self), "rows", 4 if self.held_out else 2)
        num_codes = (self.state.widths(self) or (0, 0))[0]
        if isinstance(self.state, CodeFactorMoments):
            total = self.state.total(self)
            matrix = _absolute(correlation_matrix(total.mean, total.covariance), num_codes)
            return matrix, matrix
        assert isinstance(self.state, CodeFactorRows)
        kept = self.state.read(self)
        rows = torch.cat([kept["codes"], kept["factors"]], dim=1)
        parts = rows.tensor_split(2) if self.held_out else (rows,)
        matrices = [_absolute(self._correlation_of(part), num_codes) for part in parts]
        return matrices[0], matrices[-1]

    def _correlation_of(self, rows: Tensor) -> Tensor:
        if self.correlation == "spearman":
            rows = torch.as_tensor(rankdata(rows.cpu().numpy(), axis=0)).to(rows)
        return correlation_matrix(rows.mean(0), rows.mT.cov())


def _absolute(correlation: Tensor, num_codes: int) -> Tensor:
    """Absolute correlations of codes with factors, ``(d, F)``, NaN for a constant factor."""
    constant = correlation.diagonal()[num_codes:] == 0
    return correlation[:num_codes, num_codes:].abs().masked_fill(constant, torch.nan)
