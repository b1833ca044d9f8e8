"""Gaps seen from the codes: MIG-sup and DCIMIG."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchdisentangle.functional.supervised.information_gap import dci_mig, mutual_information_gap_sup
from torchdisentangle.supervised.information import Information, InformationMetric


class MIGSup(InformationMetric):
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
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

    Reference:
        Li et al., *Progressive learning and disentanglement of hierarchical representations*, ICLR 2020, Section 4.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> codes = torch.stack([factors[:, 0], factors[:, 0] + 2 * factors[:, 1], 0 * factors[:, 0]], dim=1)
        >>> score = MIGSup()
        >>> score.update(codes.float(), factors)
        >>> score.compute(), score.per_code()  # the second code knows both factors, the third none
        (tensor(0.5000, dtype=torch.float64), tensor([1., 0., 0.], dtype=torch.float64))
    """

    plot_upper_bound: float = 1.0

    def __init__(self, threshold: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        self.threshold = threshold

    def score(self, information: Information) -> Tensor:
        """Mean gap over active codes."""
        active = (information.mutual / information.factor_entropy).amax(1) > self.threshold
        gaps = mutual_information_gap_sup(information.mutual, information.factor_entropy)
        return (gaps * active).sum() / active.sum().clamp(min=1)

    def per_code(self) -> Tensor:
        """The gap of every code, ``(d,)``."""
        with self.reduced():
            information = self.information()
        return mutual_information_gap_sup(information.mutual, information.factor_entropy)


class DCIMIG(InformationMetric):
    r"""DCIMIG: how far codes that know one factor only cover the factors.

    .. math:: \mathrm{DCIMIG} = \frac{\sum_f \max_{k : f_k = f} g_k}{\sum_f H(y_f)}, \quad
              g_k = I_{k (1)} - I_{k (2)}, \; f_k = \arg\max_f I_{kf}

    Ideal 1, worst 0. Sees codes that mix factors, and factors that no code knows; does not mind that several codes know
    the same factor, nor codes that know nothing. A factor weighs as much as its entropy.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

    Reference:
        Sepliarskaia, Kiseleva & de Rijke, *How to not measure disentanglement*, 2019, Section 4.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> score = DCIMIG()
        >>> score.update(factors[:, [1, 1]].float(), factors)
        >>> score.compute()  # log 4 / (log 2 + log 4)
        tensor(0.6667, dtype=torch.float64)
    """

    plot_upper_bound: float = 1.0

    def score(self, information: Information) -> Tensor:
        """Covered share of the factors' entropy."""
        return dci_mig(information.mutual, information.factor_entropy)
