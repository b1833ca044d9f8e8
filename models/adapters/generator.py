"""Modules that hold a ``decoder`` or a ``generator``: GANs, which decode and cannot encode."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters.inspection import find_latent_dim, num_classes_of

_NAMES = ("generator", "decoder")


class GeneratorModel(LatentModel):
    """Calls the module's generator, with labels if it is conditional."""

    module: Any

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The generated data."""
        condition = () if self.num_classes is None or labels is None else (labels,)
        return _generator(self.module)(z, *condition)


def fits(module: nn.Module) -> bool:
    """Whether the module holds a generator."""
    return _generator(module) is not None


def adapt(module: nn.Module, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
    """Adapt a module with a generator, which may know the number of latents in its stead."""
    classes = num_classes_of(module, _generator(module).forward) if num_classes is None else num_classes
    try:
        size = find_latent_dim(module, latent_dim)
    except TypeError:
        size = find_latent_dim(_generator(module), None)
    return GeneratorModel(module, size, classes)


def _generator(module: nn.Module) -> Any:
    children = dict(module.named_children())
    return next((children[name] for name in _NAMES if name in children), None)
