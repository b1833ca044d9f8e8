"""Axis alignment: one code knows more about a factor than all others together."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.supervised.information_shares import axis_alignment
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.information import InformationScore
from torchdisentangle.supervised.information_estimator import Information


class AxisAlignment(InformationScore):
    r"""Axis alignment metric (AAM): how far one code knows more about a factor than all other codes together.

    .. math:: \mathrm{AAM} = \frac1F \sum_f \frac{\max(0, I_{(1) f} - \sum_{k > 1} I_{(k) f})}{I_{(1) f}}

    Ideal 1, worst 0. The ratio does not say how much is known: a code that knows a hundredth of a factor, alone, scores
    1. And every code that knows nothing adds the bias of its estimate to the sum, see ``plug_in_bias()``; with many of
    them set a ``bias_correction``. A factor that no code knows counts as 0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Dubois et al., *Disentangling VAE* (software), 2019.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> score = AxisAlignment()
        >>> score.update(factors[:, [0, 1, 1]].float(), factors)
        >>> score.compute(), score.per_factor()
        (tensor(0.5000, dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """

    name = "aam"
    by_default = False

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._over_all_factors(lambda information: axis_alignment(information.mutual))

    def _score(self, information: Information) -> Tensor:
        return axis_alignment(information.mutual).mean()
