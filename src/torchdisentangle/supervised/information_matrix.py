"""The matrix that scores of mutual information are read from."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.plots.style import Plot
from torchdisentangle.supervised.information import InformationScore, InformationSettings
from torchdisentangle.supervised.information_estimator import Information


class MutualInformationMatrix(InformationScore):
    r"""Mutual information of every code with every factor.

    .. math:: I_{kf} = \sum_{bv} p_{bv} \log \frac{p_{bv}}{p_b \, p_v}

    from counts of code bins and factor values, or, with ``estimator="neighbours"``, from distances to nearest
    neighbours, or, with ``estimator="posterior"``, of posteriors. Ideal is one large entry, up to :math:`H(y_f)`, in
    every column and at most one in every row. The plug-in estimate of codes and factors that are unrelated is
    ``plug_in_bias()`` on average, unless corrected. Cost of an update: ``n d F`` counts.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns ``(d, F)`` in nats, with a column of zeros for a factor that was seen with a single value.

    Args:
        normalize: whether to divide each column by the factor's entropy, so that entries are in [0, 1]; with
            ``estimator="neighbours"`` that of a continuous factor is :math:`\sqrt{1 - e^{-2I}}`.
        settings: of :class:`InformationScore`.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> matrix = MutualInformationMatrix()
        >>> matrix.update(factors.flip(1).float(), factors)
        >>> matrix.compute()
        tensor([[0.0000, 1.3863],
                [0.6931, 0.0000]], dtype=torch.float64)
    """

    name = "mutual_information"
    corrects_information = False  # the matrix is the score
    higher_is_better: bool | None = None
    plot_upper_bound: float | None = None

    def __init__(self, normalize: bool = False, **settings: Unpack[InformationSettings]) -> None:
        super().__init__(**settings)
        self.normalize = normalize
        self.matrix_label = "mutual information / H(factor)" if normalize else "mutual information (nats)"

    def compute(self) -> Tensor:
        """The matrix."""
        return self._over_all_factors(self._score).nan_to_num(0.0)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Heatmap of codes and factors."""
        return super().plot(torch.atleast_2d(self.compute() if val is None else val), ax)

    def _score(self, information: Information) -> Tensor:
        return information.mutual / information.factor_entropy if self.normalize else information.in_nats()
