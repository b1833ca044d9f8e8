"""Disentanglement by the topology of conditional submanifolds."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from torchdisentangle.functional.topology.coclustering import CoClustering, co_cluster
from torchdisentangle.functional.topology.living_times import entropic_barycenter
from torchdisentangle.plots.style import Plot
from torchdisentangle.plots.topology import plot_coclustering, plot_living_times
from torchdisentangle.statistics.living_times import LivingTimesStatistic
from torchdisentangle.statistics.readout import readout


class ManifoldTopologyScore(LivingTimesStatistic):
    r"""How well latents fall into groups whose conditional submanifolds share a topology.

    .. math:: M_{ij} = \operatorname{mean}_{v, v'} \frac{1}{H} W_1(\bar R_{iv}, \bar R_{jv'}), \qquad
              s = \operatorname{mean}_t \Bigl( \overline{M}[R_t, \bar C_t] - \overline{M}[R_t, C_t] \Bigr) \cdot 10^4

    :math:`\bar R_{iv}` is the Wasserstein barycentre, over draws of landmarks, of the relative living times of holes in
    the points generated with latent ``i`` held at its value ``v``; the blocks ``t`` are found by spectral
    co-clustering, their number by the smallest variance. Holding a disentangled latent at one value or another leaves
    the topology as it is, so distances within a block are near 0. Higher is better; 0 where everything is alike. Two
    latents whose submanifolds are homeomorphic are grouped together although they differ: a topology-only comparison
    cannot tell them apart.

    Cost: ``d V`` clouds with as many witness complexes each as there are draws, 3 to 30 ms for a thousand points and a
    hundred landmarks. ``mode="reference"`` computes barycentres, distances and blocks as the published code does: its
    distance ignores the order of hole counts, and its barycentre is blurred.

    ``update`` accepts ``points`` ``(N, *data_shape)``, and by keyword ``latent`` and ``value``; ``compute`` returns a
    dictionary of scalars: ``score`` and ``num_factors``, the number of blocks.

    Args:
        num_latents: ``d``.
        settings: those of :class:`~torchdisentangle.statistics.living_times.LivingTimesStatistic`.

    Raises:
        ImportError: without gudhi and scikit-learn.

    Reference:
        Zhou et al., *Evaluating the Disentanglement of Deep Generative Models through Manifold Topology*, ICLR 2021.

    Example:
        >>> from torchdisentangle.functional.topology.submanifold import conditional_latents
        >>> metric = ManifoldTopologyScore(2, num_values=2, num_draws=2, num_landmarks=16, gamma=1 / 8, max_holes=4)
        >>> base = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
        >>> for latent in range(2):
        ...     for value in range(2):
        ...         metric.update(conditional_latents(base, latent, float(value)), latent=latent, value=value)
        >>> sorted(metric.compute())
        ['num_factors', 'score']
    """

    is_differentiable: bool | None = False
    higher_is_better: bool | None = True

    def compute(self) -> dict[str, Tensor]:
        """Score and number of factors."""
        found = self.clusters()
        return {
            "score": torch.tensor(found.score, dtype=torch.float64),
            "num_factors": torch.tensor(float(found.num_clusters), dtype=torch.float64),
        }

    @readout
    def clusters(self) -> CoClustering:
        """Blocks of latents (rows), of latents or factors (columns), and their score."""
        return co_cluster(self._distances(), empty_blocks=self.mode == "reference")

    @readout
    def distances(self) -> Tensor:
        """:math:`M`, between 0 and 1."""
        return self._distances()

    @readout
    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """The co-clustered matrix of distances."""
        return plot_coclustering(self._distances(), self.clusters(), ax=ax)

    def plot_living_times(self, ax: Axes | None = None) -> Plot:
        """Mean relative living times, a row for each latent."""
        return plot_living_times(self.mean_living_times().nanmean(1), ax=ax)

    def _distances(self) -> Tensor:
        return self._distances_between("latent", "latent")

    def _distances_between(self, rows: str, columns: str) -> Tensor:
        (a, has_a), (b, has_b) = self._centers(rows), self._centers(columns)
        apart = torch.cdist(a.flatten(0, 1), b.flatten(0, 1), p=1).div(a.shape[-1]).view(*a.shape[:2], *b.shape[:2])
        weight = (has_a[:, :, None, None] & has_b).double()  # (d, V, d, V), as apart
        if rows == columns and self.mode != "reference":  # a cloud is no evidence against itself
            weight = weight * (1 - torch.eye(has_a.numel()).view(weight.shape).to(weight))
        mean = (apart * weight).sum((1, 3)) / weight.sum((1, 3)).clamp(min=1)
        return mean if self.mode == "reference" else mean / self.max_holes

    def _centers(self, kind: str) -> tuple[Tensor, Tensor]:
        """Barycentres in a form whose mean absolute difference is their distance, and which of them there are."""
        draws, values = getattr(self, f"{kind}_draws"), getattr(self, f"{kind}_quantiles")
        if not draws.ndim or not (draws > 0).any(1).all():
            raise ValueError(f"{type(self).__name__} needs a cloud of every {kind}")
        if self.mode == "wasserstein":
            return values / draws.clamp(min=1)[..., None], draws > 0
        centers = torch.stack([torch.stack([entropic_barycenter(cloud) for cloud in of_one]) for of_one in values])
        return centers.sort(-1).values, draws > 0


class SupervisedManifoldTopologyScore(ManifoldTopologyScore):
    r"""How well latents match factors: the topology of what they generate against that of real data.

    As :class:`ManifoldTopologyScore`, with a row of :math:`M` for every latent and a column for every factor.
    ``update`` also takes ``points`` of data that share a value of a ``factor``.

    Args:
        num_latents: ``d``.
        num_values: at how many values each latent is held.
        num_factor_values: number of values of each factor.
        settings: those of :class:`~torchdisentangle.statistics.living_times.LivingTimesStatistic`.

    Reference:
        Zhou et al., ICLR 2021.

    Example:
        >>> metric = SupervisedManifoldTopologyScore(
        ...     2, 1, [2, 3], num_draws=1, num_landmarks=8, gamma=1 / 8, max_holes=4
        ... )
        >>> points = torch.rand(100, 2, generator=torch.Generator().manual_seed(0))
        >>> for i in range(2):
        ...     metric.update(points, latent=i)
        ...     metric.update(points, factor=i)
        >>> float(metric.compute()["score"])
        0.0
    """

    def _distances(self) -> Tensor:
        return self._distances_between("latent", "factor")
