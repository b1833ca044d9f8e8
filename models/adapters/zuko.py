"""Flows of the library ``zuko``, which is imported only for a module that comes from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, Uniform
from torch.nn.functional import one_hot

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters.inspection import comes_from, imported
from torchdisentangle.prior import Prior


class ZukoModel(LatentModel):
    """A zuko flow; a class label becomes its one-hot context."""

    module: Any

    @property
    def prior(self) -> Prior:
        """The base distribution, for each class if it depends on the context."""
        classes = None if self.num_classes is None else torch.arange(self.num_classes)
        return _prior(self._flow(classes).base, self.latent_dim)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The latent of each data point."""
        return Posterior(self._flow(labels).transform(x))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The data point of each latent."""
        return self._flow(labels).transform.inv(z)

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The transformation's log-determinant from latents to data."""
        return self._flow(labels).transform.inv.call_and_ladj(z)[1]

    def _flow(self, labels: Tensor | None) -> Any:
        if self.num_classes is None or labels is None:
            return self.module()
        like = next(self.module.parameters())
        return self.module(one_hot(labels.to(like.device), self.num_classes).to(like.dtype))


def _prior(base: Distribution, latent_dim: int) -> Prior:
    while isinstance(base, Independent):
        base = base.base_dist
    if isinstance(base, Normal):
        return Prior.gaussian(base.loc.expand(*base.batch_shape), base.scale.expand(*base.batch_shape))
    if isinstance(base, Uniform):
        low, high = torch.atleast_2d(base.low), torch.atleast_2d(base.high)
        return Prior((low + high) / 2, high - low, torch.ones(latent_dim, dtype=torch.bool))
    raise TypeError(
        f"the base distribution {type(base).__name__} is not known to have independent dimensions, which the entropies "
        "of single latents need; subclass LatentModel and define its prior"
    )


def fits(module: nn.Module) -> bool:
    """Whether the module is a zuko flow."""
    if not comes_from(module, "zuko"):
        return False
    return isinstance(module, imported("zuko").lazy.Flow)


def adapt(module: nn.Module, *, latent_dim: int | None = None, num_classes: int | None = None) -> ZukoModel:
    """Adapt a flow, after trying it on zeros; if it has a context, ``num_classes`` says so."""
    like = next(module.parameters())
    context = () if num_classes is None else (torch.eye(num_classes).to(like),)
    try:
        flow = module(*context)
        size = flow.base.event_shape[-1]
        flow.transform(like.new_zeros(num_classes or 1, size))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise TypeError(
            f"this zuko flow cannot be called {'with one-hot labels' if context else 'without context'} ({error}); "
            "for a flow with one-hot labels as context pass num_classes=; for any other context subclass LatentModel "
            "and pass it in encode and decode"
        ) from error
    return ZukoModel(module, size, num_classes)
