"""Pairwise mutual information of tangent vectors, within a model and between two."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.device import float64_device
from torchdisentangle.functional.manifold.pairs import matched_orders
from torchdisentangle.functional.manifold.probes import DEFAULT_NUM_PROBES
from torchdisentangle.manifold.base import ManifoldMetric, linfoot
from torchdisentangle.plots import plot_pairwise
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.classes import ClassMeanStatistic, Estimate, mean_estimate
from torchdisentangle.statistics.jacobian import DataScale, Estimator, check_jacobian, check_scale, probes_of
from torchdisentangle.statistics.jacobian_sums import cross_jacobian_sums


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
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025; Linfoot, *An informational measure of correlation*, 1957.

    Example:
        >>> mpmi = ManifoldPairwiseMutualInformation()
        >>> mpmi.update(torch.tensor([[[1.0, 0.8], [0.0, 0.6]]]))
        >>> mpmi.compute()
        tensor([[0.0000, 0.5108],
                [0.5108, 0.0000]], dtype=torch.float64)
    """

    higher_is_better: bool | None = False

    def _estimate(self) -> Estimate:
        """MPMI and its standard error per class, ``(C, d, d)``."""
        return self._pairwise_estimate()

    def _transform(self, estimate: Estimate) -> Estimate:
        """Linfoot's coefficient, if asked for."""
        return linfoot(estimate) if self.normalize else estimate

    def plot(self, val: Tensor | None = None, ax: Axes | None = None, order: Tensor | None = None) -> Plot:
        """Plot a heatmap, in latent order or in a given one."""
        return plot_pairwise(
            self.compute() if val is None else val, order=order, ax=ax, label=_label("MPMI", self.normalize)
        )


class ManifoldCrossPairwiseMutualInformation(ClassMeanStatistic):
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
        num_classes: number of classes; by default as many as the labels show.
        data_std: standard deviation by which the data were divided before the models saw them, a number or ``(D,)``;
            with probes give it to :func:`~torchdisentangle.functional.probed_jacobian` too.
        estimator: ``"exact"``: ``update`` takes Jacobians; ``"probes"``: it takes projections of them, made with the
            same probes for both models.
        num_probes: number of projections ``m``, at least 2 and better 8; the exact estimator ignores it.
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> mcpmi = ManifoldCrossPairwiseMutualInformation()
        >>> mcpmi.update(torch.eye(2)[None], torch.tensor([[[0.6, 0.8], [0.8, -0.6]]]))
        >>> mcpmi.compute()
        tensor([[0.2231, 0.5108],
                [0.5108, 0.2231]], dtype=torch.float64)
    """

    is_differentiable: bool | None = True

    pairwise: Tensor
    pairwise_squared: Tensor
    num_saturated: Tensor

    def __init__(
        self,
        normalize: bool = False,
        num_classes: int | None = None,
        data_std: DataScale = None,
        estimator: Estimator = "exact",
        num_probes: int = DEFAULT_NUM_PROBES,
        **settings: Unpack[MetricSettings],
    ) -> None:
        scale, probes = check_scale(data_std), probes_of(estimator, num_probes)
        configuration = ("cross Jacobians", None if scale is None else scale.tolist(), probes)
        super().__init__(num_classes, configuration=configuration, **settings)
        self.normalize = normalize
        self.data_std = data_std
        self.estimator = estimator
        self.num_probes = num_probes
        self._scale, self._probes = scale, probes
        self.add_sum("pairwise")
        self.add_sum("pairwise_squared")
        self.add_sum("num_saturated", dtype=torch.int64)

    def update(self, jacobian_a: Tensor, jacobian_b: Tensor, *, labels: Tensor | None = None) -> None:
        """Add data points.

        Args:
            jacobian_a: ``(N, D, d_a)`` of the first model, or with probes ``(N, m, d_a)``. Points where either Jacobian
                is NaN or infinite are left out, counted in ``num_nonfinite``, and warned of.
            jacobian_b: ``(N, D, d_b)`` of the second model.
            labels: class of each point, ``(N,)`` integers.

        Raises:
            TypeError: if a tensor is of the wrong kind.
            ValueError: if shapes or labels do not fit.
        """
        jacobian_a = check_jacobian(jacobian_a, self._probes, name="jacobian_a")
        jacobian_b = check_jacobian(jacobian_b, self._probes, name="jacobian_b")
        if jacobian_a.shape[:2] != jacobian_b.shape[:2]:
            raise ValueError(
                "both Jacobians must be taken at the same data points: "
                f"(N, D) is {tuple(jacobian_a.shape[:2])} and {tuple(jacobian_b.shape[:2])}"
            )
        device = float64_device(jacobian_a.device)
        self._scale = None if self._scale is None else self._scale.to(device)
        classes = self._classes(labels, len(jacobian_a), device)
        sums, num_lost = cross_jacobian_sums(jacobian_a, jacobian_b, classes, self._scale, self._probes)
        self.accumulate(**sums)
        self.leave_out(num_lost, "Jacobians")

    def _estimate(self) -> Estimate:
        """MCPMI and its standard error per class, ``(C, d_a, d_b)``."""
        return mean_estimate(self.num_samples, self.pairwise, self.pairwise_squared)

    def _transform(self, estimate: Estimate) -> Estimate:
        """Linfoot's coefficient, if asked for."""
        return linfoot(estimate) if self.normalize else estimate

    def plot(self, val: Tensor | None = None, ax: Axes | None = None, match: bool = True) -> Plot:
        """Plot a heatmap, by default with the latents of both models in orders that put partners on the diagonal."""
        value = self.compute() if val is None else val
        rows, columns = matched_orders(value) if match else map(torch.arange, value.shape)
        figure, ax = plot_pairwise(
            value[rows][:, columns],
            ax=ax,
            label=_label("MCPMI", self.normalize),
            row_labels=rows.tolist(),
            column_labels=columns.tolist(),
        )
        ax.set(xlabel="latent of model b", ylabel="latent of model a")
        return figure, ax


def _label(name: str, normalize: bool) -> str:
    return f"{name} (Linfoot coefficient)" if normalize else f"{name} (nats)"
