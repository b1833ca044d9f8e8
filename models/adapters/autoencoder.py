"""Modules with ``decode`` and, if they can, ``encode`` and ``log_det``: VAEs and one's own models."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters.inspection import find_latent_dim, num_classes_of


class AutoencoderModel(LatentModel):
    """Calls the module's own methods, with labels if it is conditional.

    ``encode`` may return latents, a :class:`~torchdisentangle.models.Posterior`, a pair ``(mean, log_variance)``, or a
    Normal distribution; ``decode`` may return data or a distribution, whose mean is taken.
    """

    module: Any

    def supports(self, ability: str) -> bool:
        """Whether the module has a method of that name."""
        return callable(getattr(self.module, ability, None))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The module's posterior."""
        return as_posterior(self.module.encode(x, *self._condition(labels)))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The module's data, or their mean."""
        data = self.module.decode(z, *self._condition(labels))
        return data.mean if isinstance(data, Distribution) else data

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The module's log-determinant."""
        return self.module.log_det(z, *self._condition(labels))

    def _condition(self, labels: Tensor | None) -> tuple[Tensor, ...]:
        return () if self.num_classes is None or labels is None else (labels,)


def fits(module: nn.Module) -> bool:
    """Whether the module has a ``decode`` method."""
    return callable(getattr(module, "decode", None))


def adapt(module: Any, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
    """Adapt a module with ``decode``."""
    classes = num_classes_of(module, module.decode) if num_classes is None else num_classes
    return AutoencoderModel(module, find_latent_dim(module, latent_dim), classes)


def as_posterior(encoded: Any) -> Posterior:
    """What an encoder returned, as a diagonal Gaussian.

    Raises:
        TypeError: if it is none of the known forms.

    Example:
        >>> import torch
        >>> as_posterior(Normal(torch.zeros(1, 2), torch.ones(1, 2)))
        Posterior(mean=tensor([[0., 0.]]), log_variance=tensor([[0., 0.]]))
    """
    if isinstance(encoded, Posterior):
        return encoded
    if isinstance(encoded, Tensor):
        return Posterior(encoded)
    if isinstance(encoded, Independent):
        encoded = encoded.base_dist
    if isinstance(encoded, Normal):
        return Posterior(encoded.loc, 2 * encoded.scale.log())
    if isinstance(encoded, (tuple, list)) and len(encoded) == 2 and all(isinstance(part, Tensor) for part in encoded):
        return Posterior(*encoded)
    raise TypeError(
        "encode must return latents, a pair (mean, log_variance), a Posterior or a Normal distribution, "
        f"got {type(encoded).__name__}"
    )
