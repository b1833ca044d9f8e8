"""Pairwise mutual information of tangent vectors, within a model and between two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.pairs import match_latents
from torchdisentangle.manifold.base import ManifoldMetric, linfoot
from torchdisentangle.plots import plot_pairwise
from torchdisentangle.statistics.classes import Estimate, mean_estimate
from torchdisentangle.statistics.jacobian import CrossJacobianStatistic


class ManifoldPairwiseMutualInformation(ManifoldMetric):
    r"""Manifold pairwise mutual information (MPMI) of all pairs of latents.

    .. math:: \mathrm{MPMI}_{ij} = -\tfrac12 \, \mathbb{E}_z \log (1 - \rho_{ij}^2), \quad
              \rho_{ij} = G_{ij} / \sqrt{G_{ii} G_{jj}}

    A non-linear cosine similarity. Ideal 0 off the diagonal; worst 15.9 nats, where parallel tangent vectors saturate
    (counted in ``num_saturated``). The diagonal is undefined and reported as 0. Unbiased, also with probes, which may
    give values slightly below 0. ``normalize=True`` gives :math:`\sqrt{1 - e^{-2 \mathrm{MPMI}}}` in [0, 1], Linfoot's
    informational coefficient of correlation.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns ``(d, d)`` in nats.

    Args:
        kwargs: settings of :class:`ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025, Section 3; Linfoot, *An informational measure of correlation*, 1957.

    Example:
        >>> mpmi = ManifoldPairwiseMutualInformation()
        >>> mpmi.update(torch.tensor([[[1.0, 0.8], [0.0, 0.6]]]))
        >>> mpmi.compute()
        tensor([[0.0000, 0.5108],
                [0.5108, 0.0000]], dtype=torch.float64)
    """

    higher_is_better = False

    def estimate(self) -> Estimate:
        """MPMI and its standard error per class, ``(C, d, d)``."""
        return self.pairwise_estimate()

    def transform(self, estimate: Estimate) -> Estimate:
        """Linfoot's coefficient, if asked for."""
        return linfoot(estimate) if self.normalize else estimate

    def plot(self, val: Tensor | None = None, ax: Any = None, order: Tensor | None = None) -> Any:
        """Heatmap, in latent order or in a given one."""
        return plot_pairwise(
            self.compute() if val is None else val, order=order, ax=ax, label=_label("MPMI", self.normalize)
        )


class ManifoldCrossPairwiseMutualInformation(CrossJacobianStatistic):
    r"""Manifold cross-pairwise mutual information (MCPMI) between the latents of two models.

    .. math:: \mathrm{MCPMI}_{ij} = -\tfrac12 \, \mathbb{E}_x \log (1 - \rho_{ij}^2), \quad
              \rho_{ij} = \cos \angle \left( J^a_i(f^a(x)), J^b_j(f^b(x)) \right)

    Compares two models, or a model and a known generating process, at the same data points. Two equal representations
    give, after :func:`~torchdisentangle.functional.match_latents`, a matrix that is large on the diagonal (at most
    15.9 nats) and 0 elsewhere. Unbiased. ``normalize=True`` gives :math:`\sqrt{1 - e^{-2 \mathrm{MCPMI}}}` in [0, 1].

    As input to ``forward`` and ``update`` the metric accepts ``jacobian_a`` ``(N, D, d_a)``, ``jacobian_b``
    ``(N, D, d_b)`` and ``labels`` ``(N,)``; ``compute`` returns ``(d_a, d_b)`` in nats.

    Args:
        normalize: whether to return Linfoot's coefficient.
        kwargs: ``num_classes``, ``data_std``, ``estimator`` and ``num_probes`` of
            :class:`~torchdisentangle.statistics.jacobian.CrossJacobianStatistic`, and settings of
            :class:`torchmetrics.Metric`.

    Reference:
        Galperin & Köthe, AISTATS 2025, Section 3.

    Example:
        >>> mcpmi = ManifoldCrossPairwiseMutualInformation()
        >>> mcpmi.update(torch.eye(2)[None], torch.tensor([[[0.6, 0.8], [0.8, -0.6]]]))
        >>> mcpmi.compute()
        tensor([[0.2231, 0.5108],
                [0.5108, 0.2231]], dtype=torch.float64)
    """

    is_differentiable: bool = True
    higher_is_better: bool | None = None

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    def estimate(self) -> Estimate:
        """MCPMI and its standard error per class, ``(C, d_a, d_b)``."""
        return mean_estimate(self.num_samples, self.pairwise, self.pairwise_squared)

    def transform(self, estimate: Estimate) -> Estimate:
        """Linfoot's coefficient, if asked for."""
        return linfoot(estimate) if self.normalize else estimate

    def plot(self, val: Tensor | None = None, ax: Any = None, match: bool = True) -> Any:
        """Heatmap, with the second model's latents in the order that matches the first's unless told otherwise."""
        value = self.compute() if val is None else val
        columns = match_latents(value) if match else torch.arange(value.shape[1])
        return plot_pairwise(
            value[:, columns], ax=ax, label=_label("MCPMI", self.normalize), column_labels=columns.tolist()
        )


def _label(name: str, normalize: bool) -> str:
    return f"{name} (Linfoot coefficient)" if normalize else f"{name} (nats)"
