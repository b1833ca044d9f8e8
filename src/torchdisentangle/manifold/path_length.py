"""Path length of single latents: how far the data move when a latent does."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchdisentangle.manifold.base import ManifoldMetric
from torchdisentangle.plots import plot_by_latent
from torchdisentangle.statistics.classes import Estimate, mean_estimate


class LatentPathLength(ManifoldMetric):
    r"""Mean squared path length along every single latent, in the space of the data.

    .. math:: L_i = \mathbb{E}_z \lVert J_i \rVert^2
              = \mathbb{E}_z \lim_{\epsilon \to 0} \frac{\lVert g(z + \epsilon e_i) - g(z) \rVert^2}{\epsilon^2}

    Perceptual path length with pixels in the place of a network's features, and a step along one latent in the place of
    one between two samples; for perceptual path length itself use
    ``torchmetrics.image.PerceptualPathLength``. No value is ideal by itself. Unbiased, also with probes. Every
    entry belongs to one latent already, so ``normalize`` changes nothing.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns ``(d,)`` in squared data units per squared latent unit.

    Args:
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Karras, Laine & Aila, *A Style-Based Generator Architecture for Generative Adversarial Networks*, CVPR 2019, for
        perceptual path length.

    Example:
        >>> import torch
        >>> length = LatentPathLength()
        >>> length.update(torch.tensor([[[3.0, 0.0], [4.0, 1.0]]]))
        >>> length.compute()
        tensor([25.,  1.], dtype=torch.float64)
    """

    def _estimate(self) -> Estimate:
        """Squared path lengths and their standard errors per class, ``(C, d)``."""
        return mean_estimate(self.num_samples, self.squared_lengths, self.squared_lengths_squared)

    def plot(self, val: Tensor | None = None, ax: Any = None) -> Any:
        """Plot the values by latent."""
        return plot_by_latent((self.compute() if val is None else val).reshape(-1), ax=ax, label="squared path length")
