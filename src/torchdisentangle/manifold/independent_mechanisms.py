"""Independent mechanism analysis: contrast of a mixing, and distance of a learned unmixing from the true one."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.manifold.independent_mechanisms import amari_distances
from torchdisentangle.manifold.base import ManifoldMetric, scaled
from torchdisentangle.manifold.sample_mean import JacobianMean
from torchdisentangle.plots import plot_scalar
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.classes import Estimate
from torchdisentangle.statistics.jacobian import check_jacobian


class IMAContrast(ManifoldMetric):
    r"""Contrast of independent mechanism analysis: how far the decoder's Jacobian is from orthogonal columns.

    .. math:: C = \mathbb{E}_z \Bigl[ \sum_i \log \lVert J_i \rVert - \tfrac12 \log\det (J^\top J) \Bigr]

    It is :class:`~torchdisentangle.ManifoldTotalCorrelation` of the single latents under its name in the literature of
    independent component analysis, from the same state: ideal 0, no upper bound, unbiased. ``normalize=True`` divides
    by ``d``. From the Jacobians of an encoder, update with
    :func:`~torchdisentangle.functional.inverse_jacobian` of them.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns a scalar in nats.

    Args:
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Gresele et al., *Independent mechanism analysis, a new concept?*, NeurIPS 2021; for ``D > d``, Ghosh et al.,
        *Independent Mechanism Analysis and the Manifold Hypothesis*, arXiv 2312.13438.

    Example:
        >>> import torch
        >>> contrast = IMAContrast()
        >>> contrast.update(torch.tensor([[[1.0, 0.8], [0.0, 0.6]]]))
        >>> contrast.compute()
        tensor(0.5108, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def _estimate(self) -> Estimate:
        """Contrast and its standard error per class, ``(C,)``."""
        value, error = self._linear_estimate((self._lengths_weights - self._volume_weights(None))[None])
        return scaled(Estimate(value[:, 0], error[:, 0]), 1 / self._num_latents if self.normalize else 1)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot the value with its standard error, or a list of values over steps."""
        if val is not None:
            return plot_scalar(val, ax=ax, label="IMA contrast (nats)")
        return plot_scalar(*self.estimate(), ax=ax, label="IMA contrast (nats)")


class JacobianAmariDistance(JacobianMean):
    r"""Amari distance between a learned encoder and the true mixing, from their Jacobians at the same data points.

    .. math:: P = W(x) A(s), \quad
              \mathbb{E} \; \frac{1}{2d} \Bigl[ \sum_i \Bigl( \sum_j \frac{P_{ij}^2}{\max_k P_{ik}^2} - 1 \Bigr)
              + \sum_j \Bigl( \sum_i \frac{P_{ij}^2}{\max_k P_{kj}^2} - 1 \Bigr) \Bigr]

    Ideal 0: each latent is a function of one source, at almost every point. Worst ``d - 1``. A row or column of zeros
    (a dead latent, or a source that no latent sees) counts as one of equal entries. Above 0 the value depends on the
    latents' scales.

    As input to ``forward`` and ``update`` the metric accepts ``encoder_jacobian`` ``(N, d, D)``, ``mixing_jacobian``
    ``(N, D, d)`` and ``labels`` ``(N,)``; ``compute`` returns a scalar.

    Args:
        num_classes: number of classes; by default as many as the labels show.
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Gresele et al., *Independent mechanism analysis, a new concept?*, NeurIPS 2021; after Amari, Cichocki & Yang,
        *A new learning algorithm for blind signal separation*, NIPS 1995.

    Example:
        >>> import torch
        >>> distance = JacobianAmariDistance()
        >>> distance.update(torch.tensor([[[0.0, 2.0], [1.0, 0.0]]]), torch.eye(2)[None])
        >>> distance.compute()
        tensor(0., dtype=torch.float64)
    """

    label = "Jacobian Amari distance"

    def __init__(self, num_classes: int | None = None, **settings: Unpack[MetricSettings]) -> None:
        super().__init__(num_classes, "Jacobian Amari distance", **settings)

    def update(self, encoder_jacobian: Tensor, mixing_jacobian: Tensor, *, labels: Tensor | None = None) -> None:
        """Add data points.

        Args:
            encoder_jacobian: of the learned encoder at data points, ``(N, d, D)``. Points where either Jacobian is NaN
                or infinite are left out, counted in ``num_nonfinite``, and warned of.
            mixing_jacobian: of the true mixing at the sources of the same data points, ``(N, D, d)``.
            labels: class of each point, ``(N,)`` integers.

        Raises:
            TypeError: if a tensor is of the wrong kind.
            ValueError: if shapes or labels do not fit.
        """
        encoder_jacobian = check_jacobian(encoder_jacobian, name="encoder_jacobian")
        mixing_jacobian = check_jacobian(mixing_jacobian, name="mixing_jacobian")
        if encoder_jacobian.mT.shape != mixing_jacobian.shape:
            raise ValueError(
                "encoder_jacobian (N, d, D) and mixing_jacobian (N, D, d) must belong to the same points, and there "
                "must be as many latents as sources, got "
                f"{tuple(encoder_jacobian.shape)} and {tuple(mixing_jacobian.shape)}"
            )
        self._add(encoder_jacobian, mixing_jacobian, labels=labels)

    def _values(self, *jacobians: Tensor) -> Tensor:
        return amari_distances(*jacobians)
