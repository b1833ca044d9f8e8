"""Variational autoencoders with a topological penalty on their traversals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchdisentangle.functional.topology.rtd import (
    quantile_normalized_distances,
    representation_topology_divergence,
    shift_latent,
)
from torchdisentangle.models.base import check_weights
from torchdisentangle.models.beta_tcvae import BetaTCVAE
from torchdisentangle.models.beta_vae import BetaVAE
from torchdisentangle.models.vae import VAE


class TopologicalPenalty(VAE):
    r"""Adds the topological penalty of TopDis to the objective of any VAE: name it before that VAE among the bases.

    .. math:: \mathcal{L}_{\mathrm{TopDis}} = \mathcal{L} + \gamma \, \mathrm{RTD}\bigl( \{g(z_n)\}, \{g(z_n')\} \bigr)

    :math:`z'` is the batch with one latent shifted along its distribution: traversing a disentangled latent moves the
    cloud of data without changing its topology. Logged beside the terms of the other VAE is
    ``train/topological_divergence``. Cost: four Vietoris-Rips complexes on twice ``topdis_rows`` points in each step.

    Args:
        args: as for the other VAE.
        topdis_weight: :math:`\gamma`.
        topdis_step: how far a latent is shifted, in units of probability; its sign is random.
        topdis_rows: rows of each batch that take part.
        topdis_start: number of training steps without the penalty.
        kwargs: as for the other VAE.

    Raises:
        ImportError: in the first step, without gudhi (extra ``topology``).
        ValueError: for a negative weight, a step that is not in (0, 1), and as the other VAE.

    Reference:
        Balabin et al., *Disentanglement Learning via Topology*, ICML 2024.

    Example:
        >>> class TopDisAutoencoder(TopologicalPenalty, VAE):
        ...     pass
        >>> model = TopDisAutoencoder(data_shape=(1, 8, 8), latent_dim=3)
        >>> sorted(model.terms(torch.rand(8, 1, 8, 8)))
        ['kl', 'loss', 'reconstruction', 'topological_divergence']
    """

    def __init__(
        self,
        *args: Any,
        topdis_weight: float = 1.0,
        topdis_step: float = 1 / 8,
        topdis_rows: int = 32,
        topdis_start: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_weights(topdis_weight=topdis_weight)
        if not 0 < topdis_step < 1 or topdis_rows < 2:
            raise ValueError(
                f"a topdis_step in (0, 1) and topdis_rows of at least 2 are needed, got {topdis_step} and {topdis_rows}"
            )
        self.topdis_weight = topdis_weight
        self.topdis_step = topdis_step
        self.topdis_rows = topdis_rows
        self.topdis_start = topdis_start

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        terms = super().objective(reconstruction, kl, z, mean, log_variance)
        if not self.training or self.topdis_weight == 0 or self.global_step < self.topdis_start:
            return terms
        divergence = self.topological_divergence(z[: self.topdis_rows])
        return {**terms, "loss": terms["loss"] + self.topdis_weight * divergence, "topological_divergence": divergence}

    def topological_divergence(self, z: Tensor) -> Tensor:
        """Divergence between what latents ``(n, d)`` decode to before and after a random one of them is shifted."""
        latent = int(torch.multinomial(self._importance(z), 1))
        step = self.topdis_step if torch.rand(()) < 0.5 else -self.topdis_step
        shifted, kept = shift_latent(z, latent, step)
        if len(shifted) < 2:
            return z.new_zeros(())
        before, after = (quantile_normalized_distances(self.decode(points)) for points in (z[kept], shifted))
        return representation_topology_divergence(before, after)

    def _importance(self, z: Tensor) -> Tensor:
        """How often each latent is chosen: as the length of its column in the decoder's first layer."""
        layers = (m for m in self.decoder.modules() if isinstance(m, nn.Linear) and m.in_features == z.shape[1])
        first = next(layers, None)
        return z.new_ones(z.shape[1]) if first is None else first.weight.detach().norm(dim=0) + 1e-12


class TopDisVAE(TopologicalPenalty, BetaVAE):
    """The beta-VAE with the topological penalty of TopDis.

    Args:
        args: as for :class:`~torchdisentangle.models.BetaVAE`.
        kwargs: likewise, and as for :class:`TopologicalPenalty`.

    Reference:
        Balabin et al., *Disentanglement Learning via Topology*, ICML 2024.

    Example:
        >>> model = TopDisVAE(data_shape=(1, 8, 8), latent_dim=3, beta=4.0, topdis_weight=5.0)
        >>> model.decode(torch.zeros(2, 3)).shape
        torch.Size([2, 1, 8, 8])
    """


class TopDisTCVAE(TopologicalPenalty, BetaTCVAE):
    """The beta-TCVAE with the topological penalty of TopDis.

    Args:
        args: as for :class:`~torchdisentangle.models.BetaTCVAE`.
        kwargs: likewise, and as for :class:`TopologicalPenalty`.

    Reference:
        Balabin et al., *Disentanglement Learning via Topology*, ICML 2024.

    Example:
        >>> model = TopDisTCVAE(data_shape=(1, 8, 8), dataset_size=1437, latent_dim=3)
        >>> model.decode(torch.zeros(2, 3)).shape
        torch.Size([2, 1, 8, 8])
    """
