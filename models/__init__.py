"""Latent-model adapters, and small LightningModules to train."""

from torchdisentangle.models.annealed_vae import AnnealedVAE
from torchdisentangle.models.architectures import gin_flow, glow_flow, real_nvp, spline_flow, wavelet_flow
from torchdisentangle.models.beta_tcvae import BetaTCVAE
from torchdisentangle.models.beta_vae import BetaVAE
from torchdisentangle.models.data import DigitsDataModule, FactorDataModule, SplitDataModule, TwoMoonsDataModule
from torchdisentangle.models.dip_vae import DIPVAE
from torchdisentangle.models.factor_vae import FactorVAE
from torchdisentangle.models.flow import NormalizingFlowModule
from torchdisentangle.models.haar import haar_scales
from torchdisentangle.models.infogan import InfoGAN
from torchdisentangle.models.latent_model import LatentModel, Posterior, as_latent_model
from torchdisentangle.models.prior import Prior
from torchdisentangle.models.prior_fit import fit_prior
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
    "fit_prior",
    "gin_flow",
    "glow_flow",
    "haar_scales",
    "real_nvp",
    "spline_flow",
    "wavelet_flow",
]
