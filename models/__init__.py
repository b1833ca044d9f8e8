"""Latent-model adapters, and small LightningModules to train."""

from torchdisentangle.models.latent_model import LatentModel, Posterior, as_latent_model
from torchdisentangle.models.prior import Prior

__all__ = ["LatentModel", "Posterior", "Prior", "as_latent_model"]
