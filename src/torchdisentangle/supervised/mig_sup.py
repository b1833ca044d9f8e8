"""MIG-sup: every code knows one factor."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.information_gap import mutual_information_gap_sup
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.information import InformationScore, InformationSettings
from torchdisentangle.supervised.information_estimator import Information


class MIGSup(InformationScore):
    r"""MIG-sup: does every code know one factor only?

    .. math:: \mathrm{MIG\text{-}sup} = \frac{1}{|A|} \sum_{k \in A} \bigl[ J_{k (1)} - J_{k (2)} \bigr], \quad
              J_{kf} = \frac{I_{kf}}{H(y_f)}, \; A = \{ k : \max_f J_{kf} > \tau \}

    The complement of MIG: it sees a code that mixes factors, not a factor that is spread over codes. Ideal 1, worst 0,
    and 0 if no code is active. Codes that know nothing pull the mean down unless the threshold leaves them out; in
    finite data the plug-in estimate of an unused code is about ``plug_in_bias()``, above 0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        threshold: :math:`\tau`, codes that know no larger share of any factor are left out; by default only those that
            know nothing at all, such as constant codes.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Li et al., *Progressive learning and disentanglement of hierarchical representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> codes = torch.stack([factors[:, 0], factors[:, 0] + 2 * factors[:, 1], 0 * factors[:, 0]], dim=1)
        >>> score = MIGSup()
        >>> score.update(codes.float(), factors)
        >>> score.compute(), score.per_code()  # the second code knows both factors, the third none
        (tensor(0.5000, dtype=torch.float64), tensor([1., 0., 0.], dtype=torch.float64))
    """

    name = "mig_sup"

    def __init__(self, threshold: float = 0.0, **settings: Unpack[InformationSettings]) -> None:
        super().__init__(**settings)
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        self.threshold = threshold

    def compute(self) -> Tensor:
        """Mean gap over active codes."""
        return self._score(self.information())

    @readout
    def per_code(self) -> Tensor:
        """The gap of every code, ``(d,)``."""
        return self._gaps(self.information())

    def _score(self, information: Information) -> Tensor:
        active = (information.mutual / information.factor_entropy).amax(1) > self.threshold
        return (self._gaps(information) * active).sum() / active.sum().clamp(min=1)

    def _gaps(self, information: Information) -> Tensor:
        return mutual_information_gap_sup(information.mutual, information.factor_entropy)
