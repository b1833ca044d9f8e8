"""MISJED, a cheap score of pairs."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.informativeness.quantization import (
    DEFAULT_BINS,
    DEFAULT_EDGES,
    BinMode,
    LatentEntropies,
    misjed,
    mutual_information_of,
    quantized_blocks,
    rank_latents,
)
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.plots import plot_independence
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.aggregate import AggregatePosterior
from torchdisentangle.statistics.base import MetricSettings
from torchdisentangle.statistics.posterior import PosteriorStatistic
from torchdisentangle.statistics.posterior_bins import check_bins
from torchdisentangle.statistics.readout import readout


class MISJED(PosteriorStatistic):
    r"""MISJED, "mutual information sums joint entropy difference", of pairs of latents.

    .. math:: \mathrm{MISJED}_{ij} = H(z_i) + H(z_j) - H(\bar z_i, \bar z_j)

    with entropies of quantised latents, and the joint entropy of quantised posterior means :math:`\bar z`. Low means
    independent **and** informative. It is no mutual information, for the two parts speak of different variables: a pair
    of latents that are pure noise scores worst, about 7.9 nats in the default bins (0.86 normalised).
    :class:`PairwiseMutualInformation` tells independence alone, and costs little more. Where rows are few for
    :math:`B^2` cells the joint entropy is too small and all values are too large.

    Rows are kept, up to ``max_rows``, and not tables of all pairs, because the most informative latents are known only
    at the end. The cost is ``N d B`` and ``N k^2``.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, and ``index``;
    ``compute`` returns ``(d, d)`` in nats, in latent order, or with ``top_k`` the ``(k, k)`` of the most informative
    latents, most informative first (:meth:`compared_latents` says which); symmetric, with zeros on the diagonal.

    Args:
        edges: where the bins of equal width begin and end; the outer two are open.
        num_bins: number of bins ``B``.
        mode: ``"exact"`` or ``"reference"``, see :func:`~torchdisentangle.functional.quantize_posterior`.
        top_k: how many of the most informative latents to compare; by default all.
        normalize: whether to divide by :math:`2 \log B`.
        max_rows: how many posteriors to keep at most.
        seed: decides which are kept.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for settings that do not fit.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> score = MISJED(normalize=True)
        >>> score.update(torch.zeros(5, 2), torch.zeros(5, 2))  # pure noise
        >>> score.compute()
        tensor([[0.0000, 0.8566],
                [0.8566, 0.0000]], dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    edges: tuple[float, float]
    num_bins: int

    def __init__(
        self,
        edges: tuple[float, float] = DEFAULT_EDGES,
        num_bins: int = DEFAULT_BINS,
        mode: BinMode = "exact",
        top_k: int | None = None,
        normalize: bool = False,
        max_rows: int = 2**15,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        super().__init__(max_rows, seed, **settings)
        self.edges, self.num_bins, self.mode = check_bins(edges, num_bins, mode)
        self.top_k = top_k
        self.normalize = normalize

    def compute(self) -> Tensor:
        """MISJED of each pair, ``(d, d)`` or ``(k, k)``."""
        posterior = self._posterior()
        entropies = self._entropies(posterior)
        chosen = self._chosen(entropies)
        return misjed(entropies.marginal[chosen], posterior.mean[:, chosen], self.edges, self.num_bins, self.normalize)

    @readout
    def compared_latents(self) -> Tensor:
        """The latents that are compared, in the order of the result, ``(k,)`` integers."""
        return self._chosen(self._entropies(self._posterior()))

    @readout
    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """Heatmap."""
        value, names = self.compute() if val is None else val, self.compared_latents().tolist()
        label = "MISJED (normalised)" if self.normalize else "MISJED (nats)"
        matrix = value.reshape(len(names), -1)
        return plot_independence(matrix, names, ax=ax, label=label, num_latents=len(self.latent_kl()))

    def _entropies(self, posterior: AggregatePosterior) -> LatentEntropies:
        request = ("entropies", self.edges, self.num_bins, self.mode)
        if request not in posterior.derived:
            total, conditional = torch.zeros(()), torch.zeros(())
            for bins in quantized_blocks(posterior.mean, posterior.log_variance, self.edges, self.num_bins, self.mode):
                total, conditional = total + bins.sum(0), conditional + entropy(bins).sum(0)
            posterior.derived[request] = LatentEntropies(entropy(total), conditional / len(posterior))
        return posterior.derived[request]

    def _chosen(self, entropies: LatentEntropies) -> Tensor:
        if self.top_k is None:
            return torch.arange(len(entropies.marginal), device=entropies.marginal.device)
        return rank_latents(mutual_information_of(entropies))[: self.top_k]
