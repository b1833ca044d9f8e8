"""Modularity: every code knows one factor only."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.information_gap import modularity
from torchdisentangle.statistics import readout
from torchdisentangle.supervised.information import InformationScore, InformationSettings
from torchdisentangle.supervised.information_estimator import Information


class Modularity(InformationScore):
    r"""Modularity: does every code know one factor only?

    .. math:: \frac1d \sum_k \Bigl[ 1 - \frac{\sum_{f \ne f_k} I_{kf}^2}{(F - 1) \, I_{k f_k}^2} \Bigr], \quad
              f_k = \arg\max_f I_{kf}

    Ideal 1, worst 0; a code that knows nothing counts as 0, and with a single factor every other code as 1. The ratio
    hides how much a code knows: a random rotation of perfect codes scores 0.8 to 0.9, and pure noise about 0.3 through
    the bias of its estimates, which a bias correction makes worse, because what it leaves is more uneven. The threshold
    takes noise out. Read the score beside MIG.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns a scalar.

    Args:
        threshold: a smaller share of a factor's entropy than this is taken for noise, as no information; by default
            nothing is, as in the published numbers.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

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

    name = "modularity"

    def __init__(self, threshold: float = 0.0, **settings: Unpack[InformationSettings]) -> None:
        super().__init__(**settings)
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        self.threshold = threshold

    def compute(self) -> Tensor:
        """Mean over codes."""
        return self._score(self.information())

    @readout
    def per_code(self) -> Tensor:
        """Modularity of every code, ``(d,)``."""
        return self._values(self.information())

    def _values(self, information: Information) -> Tensor:
        known = information.mutual / information.factor_entropy >= self.threshold
        return modularity(information.mutual * known)
