"""Which latents are evaluated: the same for any number of processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.latent_model import LatentModel


class LatentSamples(NamedTuple):
    """Latents ``(n, d)``, their classes ``(n,)`` if there are any, and their positions among all samples ``(n,)``."""

    z: Tensor
    labels: Tensor | None
    positions: Tensor


def prior_samples(model: LatentModel, num_samples: int, seed: int, share: slice = slice(None)) -> LatentSamples:
    """A share of the latents that are drawn from the model's prior, from all classes alike.

    Args:
        model: the model.
        num_samples: how many latents there are in all.
        seed: of the generator.
        share: which of them.

    Returns:
        The samples, with the model's dtype and device.

    Example:
        >>> model = LatentModel(torch.nn.Identity(), latent_dim=2)
        >>> halves = [prior_samples(model, 5, 0, slice(rank, None, 2)).z for rank in range(2)]
        >>> torch.equal(torch.cat(halves).sort(0).values, prior_samples(model, 5, 0).z.sort(0).values)
        True
    """
    index = torch.arange(num_samples)
    labels = None if model.num_classes is None else index % model.num_classes
    z = model.prior.sample(num_samples, torch.Generator().manual_seed(seed), labels)
    return LatentSamples(
        z[share].to(model.like), None if labels is None else labels[share].to(model.like.device), index[share]
    )


def posterior_noise(model: LatentModel, num_samples: int, seed: int) -> Tensor:
    """Noise of the posterior of each of the first ``num_samples`` data, ``(num_samples, d)``."""
    return torch.randn(num_samples, model.latent_dim, generator=torch.Generator().manual_seed(seed))


def decode(model: LatentModel, z: Tensor, labels: Tensor | None) -> Tensor:
    """Data of latents, with their classes if the model is conditional.

    Raises:
        TypeError: if the model decodes to anything but a tensor.
    """
    data = model.decode(z) if labels is None else model.decode(z, labels)
    if not isinstance(data, Tensor):
        raise TypeError(f"decode must return a tensor, got {type(data).__name__}")
    return data


def is_flow(model: LatentModel, data_size: int) -> bool:
    """Whether the model's own log-determinant is that of its Jacobian."""
    return model.supports("log_det") and data_size == model.latent_dim
