"""Models of the library ``pythae`` whose prior is no standard normal, or whose posterior is no Gaussian."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

FLOWS = ("VAE_IAF", "VAE_LinNF")
"""Classes with a flow between the encoder and the latents."""


class FlowPosteriorModel(AutoencoderModel):
    """A model that decodes alone, for what its encoder gives are not its latents."""

    def supports(self, ability: str) -> bool:
        """Decoding."""
        return ability == "decode"

    def remedy(self, ability: str) -> str:
        """What the user can do."""
        if ability != "encode":
            return super().remedy(ability)
        return "a flow makes its latents of what its encoder gives, so its posterior is no Gaussian"


class OtherPriorModel(AutoencoderModel):
    """A model without a product prior: it encodes and decodes, but what needs its prior is refused."""

    @property
    def prior(self) -> Prior:
        """Refused.

        Raises:
            TypeError: always.
        """
        name, prior = type(self.module).__name__, PRIORS[_kind(self.module, PRIORS)]
        raise TypeError(
            f"the prior of {name} is {prior}, not a product of independent latents, which this evaluation needs; scores"
            " of codes against factors do not need it"
        )

    def encoded(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The posterior; only its centre where it is no Gaussian in the coordinates of the latents."""
        posterior = super().encoded(x, labels)
        if _kind(self.module, PRIORS) == "SVAE":
            return Posterior(nn.functional.normalize(posterior.mean, dim=-1))  # as the model itself does
        return Posterior(posterior.mean) if _kind(self.module, PRIORS) == "PoincareVAE" else posterior


def fits(module: nn.Module) -> bool:
    """Whether the module is one of pythae's models with another prior, or a flow in its posterior."""
    return comes_from(module, "pythae") and _kind(module, (*PRIORS, *FLOWS)) is not None


def adapt(module: Any, *, latent_dim: int | None = None, num_classes: int | None = None) -> AutoencoderModel:
    """Adapt a model as any autoencoder, but for its prior or its posterior."""
    model: Any = autoencoder.adapt(module, latent_dim=latent_dim, num_classes=num_classes)
    kind = OtherPriorModel if _kind(module, PRIORS) is not None else FlowPosteriorModel
    return kind(module, model.latent_shape, model.num_classes, model.encoder, model.decoder)


def _kind(module: nn.Module, names: Collection[str]) -> Any:
    """The first of the names that the module's class, or one that it inherits from, has; ``None`` if there is none."""
    return next((cls.__name__ for cls in type(module).__mro__ if cls.__name__ in names), None)
