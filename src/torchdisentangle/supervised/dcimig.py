"""DCIMIG: how far codes of one factor cover the factors."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.supervised.information_gap import dci_mig
from torchdisentangle.supervised.information import InformationScore
from torchdisentangle.supervised.information_estimator import Information


class DCIMIG(InformationScore):
    r"""DCIMIG: how far codes that know one factor only cover the factors.

    .. math:: \mathrm{DCIMIG} = \frac{\sum_f \max_{k : f_k = f} g_k}{\sum_f H(y_f)}, \quad
              g_k = I_{k (1)} - I_{k (2)}, \; f_k = \arg\max_f I_{kf}

    Ideal 1, worst 0. Sees codes that mix factors, and factors that no code knows; does not mind that several codes know
    the same factor, nor codes that know nothing. A factor weighs as much as its entropy.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Sepliarskaia, Kiseleva & de Rijke, *How to not measure disentanglement*, 2019.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> score = DCIMIG()
        >>> score.update(factors[:, [1, 1]].float(), factors)
        >>> score.compute()  # log 4 / (log 2 + log 4)
        tensor(0.6667, dtype=torch.float64)
    """

    name = "dcimig"

    def compute(self) -> Tensor:
        """Covered share of the factors' entropy."""
        return self._score(self.information())

    def _score(self, information: Information) -> Tensor:
        return dci_mig(information.mutual, information.factor_entropy)
