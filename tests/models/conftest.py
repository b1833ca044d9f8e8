"""Every model of the package, tiny, and data for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from torchdisentangle.datasets import Sprites
from torchdisentangle.models import (
    DIPVAE,
    TCGAN,
    VAE,
    AdaGVAE,
    AdaMLVAE,
    AdversarialAutoencoder,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    InfoGAN,
)
from torchdisentangle.models.base import GenerativeModule

SHAPE = (1, 16, 16)
TINY = {"data_shape": SHAPE, "latent_dim": 3, "network": "conv", "hidden": [4, 8], "dense": 16}
WITHOUT_LATENT_DIM = {name: value for name, value in TINY.items() if name != "latent_dim"}

MODELS: dict[str, Callable[..., GenerativeModule]] = {
    "vae": lambda **changed: VAE(**{**TINY, **changed}),
    "beta_vae": lambda **changed: BetaVAE(**{**TINY, "beta": 4.0, **changed}),
    "ada_gvae": lambda **changed: AdaGVAE(**{**TINY, **changed}),
    "ada_ml_vae": lambda **changed: AdaMLVAE(**{**TINY, **changed}),
    "adversarial_autoencoder": lambda **changed: AdversarialAutoencoder(
        **{**TINY, "posterior": "gaussian", "discriminator_hidden": [16], **changed}
    ),
    "annealed_vae": lambda **changed: AnnealedVAE(
        **{**TINY, "gamma": 10.0, "max_capacity": 2.0, "capacity_steps": 50, **changed}
    ),
    "beta_tcvae": lambda **changed: BetaTCVAE(**{**TINY, "estimator": "mss", "dataset_size": 192, **changed}),
    "dip_vae_i": lambda **changed: DIPVAE(**{**TINY, **changed}),
    "dip_vae_ii": lambda **changed: DIPVAE(**{**TINY, "version": "ii", **changed}),
    "factor_vae": lambda **changed: FactorVAE(**{**TINY, "discriminator_hidden": [16], **changed}),
    "infogan": lambda **changed: InfoGAN(**{**WITHOUT_LATENT_DIM, "num_codes": 2, "num_noise": 1, **changed}),
    "tcgan": lambda **changed: TCGAN(
        **{**WITHOUT_LATENT_DIM, "num_codes": 2, "num_noise": 1, "latent_discriminator_hidden": [16], **changed}
    ),
}


@pytest.fixture
def make() -> Callable[..., Any]:
    """``make(name, **settings)``: a model with those settings changed, its weights always the same."""

    def build(name: str, **changed: Any) -> GenerativeModule:
        torch.manual_seed(0)
        return MODELS[name](**changed)

    return build


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, make: Callable[..., Any]) -> Any:
    return make(request.param)


@pytest.fixture(scope="session")
def dataset() -> Sprites:
    """192 small sprites."""
    return Sprites(16, antialias=True, factor_sizes=(1, 4, 4, 4))


@pytest.fixture(scope="session")
def images(dataset: Sprites) -> Tensor:
    return dataset.render(dataset.index_to_factors(torch.arange(len(dataset))))


@pytest.fixture
def loader(dataset: Sprites) -> DataLoader:
    return DataLoader(dataset, 32, shuffle=True)
