"""Linear identifiability: how much of the factors is a linear function of the codes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.identifiability import linear_r2
from torchdisentangle.statistics import MetricSettings, readout
from torchdisentangle.supervised.moment_score import MomentScore


class LinearR2(MomentScore):
    r"""Linear R²: the share of the factors' variance that a linear function of all codes explains.

    .. math:: R^2 = \frac1F \sum_f \frac{\Sigma_{fz} \Sigma_{zz}^{+} \Sigma_{zf}}{\Sigma_{ff}}

    It asks whether codes are the factors up to a linear map ("weak identifiability"), not for disentanglement: a
    rotation of perfect codes scores 1, as they do. Ideal 1, worst 0. Chance is :math:`d / (N - 1)` for ``d`` codes and
    ``N`` rows (0.05 for 10 codes and 200 rows), and 1 if there are no more rows than codes; ``adjusted`` takes it off.

    Factors are numbers here, so their values must have an order. Any number of codes may stand against any number of
    factors: further codes only add to chance; with fewer codes than factors not all factors can be explained. Constant
    and dependent codes do no harm; a constant factor is left out and named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``, integers
    or floats; ``compute`` returns a scalar.

    Args:
        adjusted: whether to correct for the number ``d`` of codes that vary,
            :math:`1 - (1 - R^2) (N - 1) / (N - d - 1)`, which is 0 at chance on average.
        factor_names: for messages and figures.
        intervals: as for :class:`~torchdisentangle.supervised.moment_score.MomentScore`.
        settings: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        >>> rotation = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
        >>> score = LinearR2()
        >>> score.update(factors.double() @ rotation.double(), factors)
        >>> score.compute(), score.multiple_correlation()
        (tensor(1., dtype=torch.float64), tensor(1., dtype=torch.float64))
    """

    name = "linear_r2"

    def __init__(
        self,
        adjusted: bool = False,
        factor_names: Sequence[str] | None = None,
        intervals: bool = True,
        **settings: Unpack[MetricSettings],
    ) -> None:
        super().__init__(factor_names, intervals, **settings)
        self.adjusted = adjusted

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._explained())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for a constant one."""
        return self._explained()

    @readout
    def multiple_correlation(self) -> Tensor:
        r"""Mean over factors of :math:`R_f = \sqrt{R^2_f}`, the coefficient of multiple correlation."""
        return self._mean_over_factors(self._explained().clamp(min=0).sqrt())

    def _explained(self) -> Tensor:
        correlation, num_codes, num_rows = self._correlation(), self._num_codes(), self.moments.num_rows(self)
        explained = linear_r2(correlation, num_codes)
        if not self.adjusted:
            return explained
        num_varying = int((correlation.diagonal()[:num_codes] > 0).sum())
        self.require_samples(num_rows, "rows", num_varying + 2)
        return 1 - (1 - explained) * (num_rows - 1) / (num_rows - num_varying - 1)
