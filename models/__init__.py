"""Latent-model adapters, and small LightningModules to train.

The LightningModules and their data are imported when they are first asked for: adapters need torch alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.adapters import as_latent_model
from torchdisentangle.models.architectures import gin_flow, glow_flow, real_nvp, spline_flow, wavelet_flow
from torchdisentangle.models.haar import haar_scales
from torchdisentangle.models.prior_fit import fit_prior
from torchdisentangle.prior import Prior

if TYPE_CHECKING:
    from torchdisentangle.models.ada_vae import AdaGVAE, AdaMLVAE
    from torchdisentangle.models.adversarial_autoencoder import AdversarialAutoencoder
    from torchdisentangle.models.annealed_vae import AnnealedVAE
    from torchdisentangle.models.beta_tcvae import BetaTCVAE
    from torchdisentangle.models.beta_vae import BetaVAE
    from torchdisentangle.models.data import DigitsDataModule, FactorDataModule, SplitDataModule, TwoMoonsDataModule
    from torchdisentangle.models.dip_vae import DIPVAE
    from torchdisentangle.models.factor_vae import FactorVAE
    from torchdisentangle.models.flow import NormalizingFlowModule
    from torchdisentangle.models.infogan import InfoGAN
    from torchdisentangle.models.tcgan import TCGAN
    from torchdisentangle.models.topdis import TopDisTCVAE, TopDisVAE, TopologicalPenalty
    from torchdisentangle.models.vae import VAE
    from torchdisentangle.models.wgan import WGANGP

_NEED_LIGHTNING = {
    "AdaGVAE": "ada_vae",
    "AdaMLVAE": "ada_vae",
    "AdversarialAutoencoder": "adversarial_autoencoder",
    "AnnealedVAE": "annealed_vae",
    "BetaTCVAE": "beta_tcvae",
    "BetaVAE": "beta_vae",
    "DIPVAE": "dip_vae",
    "DigitsDataModule": "data",
    "FactorDataModule": "data",
    "FactorVAE": "factor_vae",
    "InfoGAN": "infogan",
    "NormalizingFlowModule": "flow",
    "SplitDataModule": "data",
    "TCGAN": "tcgan",
    "TopDisTCVAE": "topdis",
    "TopDisVAE": "topdis",
    "TopologicalPenalty": "topdis",
    "TwoMoonsDataModule": "data",
    "VAE": "vae",
    "WGANGP": "wgan",
}

__all__ = [
    "DIPVAE",
    "TCGAN",
    "VAE",
    "WGANGP",
    "AdaGVAE",
    "AdaMLVAE",
    "AdversarialAutoencoder",
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


def __getattr__(name: str) -> Any:
    if name not in _NEED_LIGHTNING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEED_LIGHTNING[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
