"""Interventional robustness."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.intervention import interventional_robustness, irs_score, maximal_deviation
from torchdisentangle.functional.supervised.robustness_of_parts import deviations_of_parts, robustness_of_parts
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.base import Mode, check_mode
from torchdisentangle.supervised.row_score import RowScore, RowSettings


class Robustness(NamedTuple):
    """Robustness of codes with respect to factors, ``(D, F)``, and the largest deviation of each code, ``(D,)``."""

    matrix: Tensor
    deviation: Tensor


class IRS(RowScore):
    r"""Interventional robustness score (IRS): does a code stay put if its factor does, whatever the others do?

    .. math::

        \mathrm{IRS}_{df} = 1 - \frac{\mathbb{E}_v \, Q_{x : y_f = v} | z_d - \bar z_{d \mid f = v} |}
                                     {Q_x | z_d - \bar z_d |}, \quad
        \mathrm{IRS} = \sum_d w_d \max_f \mathrm{IRS}_{df} \Big/ \sum_d w_d

    with :math:`Q` a quantile over rows, values weighted equally, and :math:`w_d` the largest deviation of code ``d``:
    a code counts by its extent, so dead codes do not count, and rescaling one code changes the score. It is the score
    under interventions if the rows' factors are independent.

    Ideal 1, worst about 0. Measured on 3,000 rows of five independent factors of ten values: perfect codes 1,
    their rotation 0.32, noise 0.03. The paper takes the maximum, ``quantile=1``, in which few rows for each value look
    like robustness (noise 0.14); published numbers mostly are those of ``mode="reference"``, which divides the quantile
    by the maximum (noise 0.30).

    Constant codes do not count; all constant give 0. Values with a single row are left out, as are factors with fewer
    than two other values, which are named.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns a scalar.

    Args:
        quantile: in (0, 1].
        mode: ``"exact"``: the same quantile above and below; ``"reference"``: the maximum below.
        settings: of :class:`~torchdisentangle.supervised.row_score.RowScore`.

    Reference:
        Suter et al., *Robustly Disentangled Causal Mechanisms*, ICML 2019.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> irs = IRS()
        >>> irs.update(1.0 * factors, factors)
        >>> irs.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "irs"
    fits_parts = True
    needs: frozenset[str] = frozenset({"interventions"})
    matrix_label = "robustness"

    def __init__(self, quantile: float = 0.99, mode: Mode = "exact", **settings: Unpack[RowSettings]) -> None:
        if not 0 < quantile <= 1:
            raise ValueError(f"quantile must be in (0, 1], got {quantile}")
        check_mode(mode)
        super().__init__(**settings)
        self.quantile = quantile
        self.mode = mode

    def compute(self) -> Tensor:
        """The score, over all processes."""
        self._require_scored(self._scored())
        return irs_score(*self._once(self._robustness))

    @readout
    def matrix(self) -> Tensor:
        """Robustness of each code with respect to each factor, ``(D, F)``; NaN for a factor that cannot be scored."""
        return self._once(self._robustness).matrix

    def _scored(self) -> Tensor:
        return ~self._once(self._robustness).matrix[0].isnan()

    def _robustness(self) -> Robustness:
        codes, factors = self._rows()
        matrix = interventional_robustness(codes, self._values(factors), self.quantile, self.mode == "exact")
        return Robustness(matrix, maximal_deviation(codes))

    def _fit_parts(self, parts: Tensor) -> list[Robustness]:
        codes, factors = self._rows()
        matrices = robustness_of_parts(codes, self._values(factors), parts, self.quantile, self.mode == "exact")
        return [Robustness(*both) for both in zip(matrices, deviations_of_parts(codes, parts), strict=True)]
