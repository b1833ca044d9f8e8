"""Latent-model adapters, and small LightningModules to train."""

from torchdisentangle.models.flow import NormalizingFlowModule, real_nvp, spline_flow
from torchdisentangle.models.latent_model import LatentModel, Posterior, as_latent_model
from torchdisentangle.models.prior import Prior
from torchdisentangle.models.vae import BetaVAE, gaussian_kl

__all__ = [
    "BetaVAE",
    "LatentModel",
    "NormalizingFlowModule",
    "Posterior",
    "Prior",
    "as_latent_model",
    "gaussian_kl",
    "real_nvp",
    "spline_flow",
]
