"""What sums alone tell of each latent."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.plots import plot_latent_kl, plot_scalar
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.posterior import PosteriorSettings, PosteriorStatistic
from torchdisentangle.statistics.readout import readout


class LatentKL(PosteriorStatistic):
    r"""Analytic KL divergence of each latent's posterior from the standard normal prior.

    .. math:: \mathrm{KL}_i = \frac1N \sum_n \tfrac12 \bigl( \mu_{ni}^2 + \sigma_{ni}^2 - 1 - \log \sigma_{ni}^2 \bigr)

    How many nats a latent spends; 0 for one that has collapsed to the prior. Exact, one pass.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance``, ``(n, d)`` each;
    ``compute`` returns ``(d,)`` in nats, in latent order.

    Args:
        settings: those of :class:`~torchdisentangle.statistics.posterior.PosteriorStatistic`.

    Reference:
        Kingma & Welling, *Auto-Encoding Variational Bayes*, ICLR 2014.

    Example:
        >>> import math, torch
        >>> kl = LatentKL()
        >>> kl.update(torch.tensor([[1.0, 0.0]]), torch.tensor([[math.log(0.25), 0.0]]))
        >>> kl.compute()
        tensor([0.8181, 0.0000], dtype=torch.float64)
    """

    higher_is_better: bool | None = None

    def compute(self) -> Tensor:
        """The divergences over all rows."""
        return self.latent_kl()

    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """The divergences as bars."""
        return plot_latent_kl((self.compute() if val is None else val).reshape(-1), ax=ax)


class ActiveUnits(PosteriorStatistic):
    r"""Number of latents whose posterior mean depends on the data.

    .. math:: \Bigl| \bigl\{ i : \mathrm{Var}_x \, \mathbb{E}_{q(z \mid x)}[z_i] > \tau \bigr\} \Bigr|

    Exact, one pass. 0 if all latents have collapsed, or if there is one row only.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance``, ``(n, d)`` each;
    ``compute`` returns a count.

    Args:
        threshold: :math:`\tau`, in squared units of the latents.
        settings: those of :class:`~torchdisentangle.statistics.posterior.PosteriorStatistic`.

    Raises:
        ValueError: if the threshold is negative.

    Reference:
        Burda et al., *Importance Weighted Autoencoders*, ICLR 2016.

    Example:
        >>> import torch
        >>> units = ActiveUnits()
        >>> units.update(torch.tensor([[1.0, 0.01], [-1.0, 0.0]]), torch.zeros(2, 2))
        >>> units.compute(), units.active()
        (tensor(1), tensor([ True, False]))
    """

    higher_is_better: bool | None = None

    def __init__(self, threshold: float = 1e-2, **settings: Unpack[PosteriorSettings]) -> None:
        if threshold < 0:
            raise ValueError(f"threshold must not be negative, got {threshold}")
        super().__init__(**settings)
        self.threshold = threshold

    def compute(self) -> Tensor:
        """The number over all rows."""
        return (self.mean_variance() > self.threshold).sum()

    @readout
    def active(self) -> Tensor:
        """Which latents are active, ``(d,)`` booleans."""
        return self.mean_variance() > self.threshold

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """The number, or a list of numbers over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label="active latents")
