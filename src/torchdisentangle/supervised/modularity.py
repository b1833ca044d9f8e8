"""Modularity: every code knows one factor only."""

from __future__ import annotations

from torch import Tensor

from torchdisentangle.functional.information_gap import modularity
from torchdisentangle.supervised.information import Information, InformationMetric


class Modularity(InformationMetric):
    r"""Modularity: does every code know one factor only?

    .. math:: \frac1d \sum_k \Bigl[ 1 - \frac{\sum_{f \ne f_k} I_{kf}^2}{(F - 1) \, I_{k f_k}^2} \Bigr], \quad
              f_k = \arg\max_f I_{kf}

    Ideal 1, worst 0; a code that knows nothing counts as 0, and with a single factor every other code as 1. The ratio
    hides how much a code knows: pure noise scores about 0.3 through the bias of its estimate, and a random rotation of
    perfect codes may score 0.9. Read it beside MIG.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

    Reference:
        Ridgeway & Mozer, *Learning deep disentangled embeddings with the f-statistic loss*, NeurIPS 2018, Section 3.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> score = Modularity()
        >>> score.update(factors[:, [0, 1, 1]].float(), factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    plot_upper_bound: float = 1.0

    def score(self, information: Information) -> Tensor:
        """Mean over codes."""
        return modularity(information.mutual).mean()

    def per_code(self) -> Tensor:
        """Modularity of every code, ``(d,)``."""
        with self.reduced():
            return modularity(self.information().mutual)
