"""What a trained flow made of the plane: a core and a detail, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle import manifold_metrics
from torchdisentangle.functional import decoder_jacobian
from torchdisentangle.models import NormalizingFlowModule, as_latent_model


class Representation(NamedTuple):
    """A decoder and the entropies of its two latents, in nats, at the latents of held-out data."""

    decode: Callable[[Tensor], Tensor]
    entropies: Tensor  # (2,), the core's first, which is the larger
    order: Tensor  # of the latents
    total: Tensor
    shared: Tensor
    values: Mapping[str, float]  # logged last

    @property
    def total_entropy(self) -> float:
        return float(self.total)

    @property
    def total_correlation(self) -> float:
        return float(self.shared)

    @property
    def core(self) -> float:
        return float(self.entropies[0])

    @property
    def detail(self) -> float:
        return float(self.entropies[1])

    @property
    def fall(self) -> float:
        """From the core's entropy to the detail's."""
        return self.core - self.detail


def represent(model: NormalizingFlowModule, data: Tensor, values: Mapping[str, float]) -> Representation:
    """The entropies of both latents of a trained flow.

    Args:
        model: the flow.
        data: held-out points.
        values: what the training logged last.
    """
    latent = as_latent_model(model.eval())
    metrics = manifold_metrics()
    with torch.no_grad():
        metrics.update(decoder_jacobian(latent.decode, latent.encode(data).mean))
    entropies: Tensor = metrics["spectrum"].compute()
    _, total, shared = metrics["decomposition"].decomposition()
    return Representation(latent.decode, *entropies.sort(descending=True), total, shared, values)
