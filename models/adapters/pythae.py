"""Models of the library ``pythae`` whose prior is no standard normal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from torchdisentangle.latent_model import Posterior
from torchdisentangle.models.adapters import autoencoder
from torchdisentangle.models.adapters.autoencoder import AutoencoderModel
from torchdisentangle.models.adapters.inspection import comes_from
from torchdisentangle.prior import Prior

PRIORS: Mapping[str, str] = {
    "VAMP": "a mixture of the posteriors of its pseudo-inputs",
    "SVAE": "the uniform distribution on a sphere",
    "PoincareVAE": "a distribution on the Poincaré ball",
}
"""Classes, and their priors."""


class PythaeModel(AutoencoderModel):
    """A model without a product prior: it encodes and decodes, but what needs its prior is refused."""

    @property
    def prior(self) -> Prior:
        """Refused.

        Raises:
            TypeError: always.
        """
        name = type(self.module).__name__
        raise TypeError(
            f"the prior of {name} is {PRIORS[_kind(self.module)]}, not a product of independent latents, which this "
            "evaluation needs; scores of codes against factors do not need it"
        )

    def encoded(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The posterior; only its centre where it is no Gaussian in the coordinates of the latents."""
        posterior = super().encoded(x, labels)
        if _kind(self.module) == "SVAE":
            return Posterior(nn.functional.normalize(posterior.mean, dim=-1))  # as the model itself does
        return Posterior(posterior.mean) if _kind(self.module) == "PoincareVAE" else posterior


def fits(module: nn.Module) -> bool:
    """Whether the module is one of pythae's models with another prior."""
    return comes_from(module, "pythae") and _kind(module) is not None


def adapt(module: Any, *, latent_dim: int | None = None, num_classes: int | None = None) -> PythaeModel:
    """Adapt a model as any autoencoder, but with its own prior."""
    model: Any = autoencoder.adapt(module, latent_dim=latent_dim, num_classes=num_classes)
    return PythaeModel(module, model.latent_shape, model.num_classes, model.encoder, model.decoder)


def _kind(module: nn.Module) -> Any:
    """The first class of the module, or that it inherits from, that has another prior; ``None`` if there is none."""
    return next((cls.__name__ for cls in type(module).__mro__ if cls.__name__ in PRIORS), None)
