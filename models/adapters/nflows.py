"""Flows of the library ``nflows``, which is imported only for a module that comes from it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters import trial
from torchdisentangle.models.adapters.inspection import comes_from, imported
from torchdisentangle.prior import Prior


class NflowsModel(LatentModel):
    """An nflows ``Flow``; a class label becomes its one-hot context.

    Args:
        module: the flow.
        shape: of the latents.
        num_classes: of a conditional flow.
    """

    module: Any

    def __init__(self, module: nn.Module, shape: tuple[int, ...], num_classes: int | None) -> None:
        super().__init__(module, math.prod(shape), num_classes)
        self.shape = shape

    @property
    def prior(self) -> Prior:
        """The base distribution."""
        return _prior(self.module._distribution, self.latent_dim)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The latent of each data point."""
        return Posterior(self.module._transform(x, context=self._context(labels))[0].flatten(1))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The data point of each latent."""
        return self._inverse(z, labels)[0]

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The transform's log-determinant from latents to data."""
        return self._inverse(z, labels)[1]

    def _inverse(self, z: Tensor, labels: Tensor | None) -> Any:
        return self.module._transform.inverse(z.reshape(-1, *self.shape), context=self._context(labels))

    def _context(self, labels: Tensor | None) -> Tensor | None:
        if self.num_classes is None or labels is None:
            return None
        return self.module._embedding_net(one_hot(labels.to(self.like.device), self.num_classes).to(self.like))


def _prior(base: Any, latent_dim: int) -> Prior:
    from nflows.distributions.normal import DiagonalNormal, StandardNormal

    if isinstance(base, StandardNormal):
        return Prior.standard_normal(latent_dim)
    if isinstance(base, DiagonalNormal):
        return Prior.gaussian(base.mean_, base.log_std_.exp())
    raise TypeError(
        f"the base distribution {type(base).__name__} is not known to have independent dimensions, which the entropies "
        "of single latents need; subclass LatentModel and define its prior"
    )


def fits(module: nn.Module) -> bool:
    """Whether the module is an nflows flow."""
    if not comes_from(module, "nflows"):
        return False
    return isinstance(module, imported("nflows.flows.base").Flow)


def adapt(module: Any, *, latent_dim: int | None = None, num_classes: int | None = None) -> NflowsModel:
    """Adapt a flow, after decoding zeros; if it has a context, ``num_classes`` says so.

    Raises:
        TypeError: if the flow cannot be called with the context that it is given, or has no usable base.
    """
    base = module._distribution
    _prior(base, 1)
    model = NflowsModel(module, tuple(base._shape), num_classes)
    labels = None if num_classes is None else torch.arange(num_classes)
    try:
        if labels is None and any(hasattr(layer, "context_layer") for layer in module.modules()):
            raise ValueError("its layers take a context")  # without one they would leave it out in silence
        with trial.trial(module):
            model.decode(torch.zeros(num_classes or 1, model.latent_dim).to(model.like), labels)
    except Exception as error:  # whatever a transform without its context raises
        given = "without context" if labels is None else "with one-hot labels as context"
        raise TypeError(
            f"this nflows flow cannot be called {given} ({error}); a flow with one-hot labels as context needs "
            "num_classes=, and for any other context subclass LatentModel and pass it in encode and decode"
        ) from error
    return model
