"""Latent-model adapters, and small LightningModules to train."""

from torchdisentangle.models.annealed_vae import AnnealedVAE
from torchdisentangle.models.beta_tcvae import BetaTCVAE
from torchdisentangle.models.beta_vae import BetaVAE
from torchdisentangle.models.data import DigitsDataModule, FactorDataModule, SplitDataModule, TwoMoonsDataModule
from torchdisentangle.models.dip_vae import DIPVAE
from torchdisentangle.models.factor_vae import FactorVAE
from torchdisentangle.models.flow import NormalizingFlowModule, real_nvp, spline_flow
from torchdisentangle.models.infogan import InfoGAN
from torchdisentangle.models.latent_model import LatentModel, Posterior, as_latent_model
from torchdisentangle.models.prior import Prior
from torchdisentangle.models.topdis import TopDisTCVAE, TopDisVAE, TopologicalPenalty
from torchdisentangle.models.vae import VAE

__all__ = [
    "DIPVAE",
    "VAE",
    "AnnealedVAE",
    "BetaTCVAE",
    "BetaVAE",
    "DigitsDataModule",
    "FactorDataModule",
    "FactorVAE",
    "InfoGAN",
    "LatentModel",
    "NormalizingFlowModule",
    "Posterior",
    "Prior",
    "SplitDataModule",
    "TopDisTCVAE",
    "TopDisVAE",
    "TopologicalPenalty",
    "TwoMoonsDataModule",
    "as_latent_model",
    "real_nvp",
    "spline_flow",
]
