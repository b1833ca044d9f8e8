"""Latent-model adapters, and small LightningModules to train."""

from torchdisentangle.models.annealed_vae import AnnealedVAE
from torchdisentangle.models.beta_vae import BetaVAE
from torchdisentangle.models.dip_vae import DIPVAE
from torchdisentangle.models.factor_vae import FactorVAE
from torchdisentangle.models.flow import NormalizingFlowModule, real_nvp, spline_flow
from torchdisentangle.models.infogan import InfoGAN
from torchdisentangle.models.latent_model import LatentModel, Posterior, as_latent_model
from torchdisentangle.models.prior import Prior
from torchdisentangle.models.vae import VAE

__all__ = [
    "DIPVAE",
    "VAE",
    "AnnealedVAE",
    "BetaVAE",
    "FactorVAE",
    "InfoGAN",
    "LatentModel",
    "NormalizingFlowModule",
    "Posterior",
    "Prior",
    "as_latent_model",
    "real_nvp",
    "spline_flow",
]
