"""What is trained and on what: data sets, models with their strengths, seeds, and how large everything is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.datasets import FactorDataset, ShadedObjects, Sprites
from torchdisentangle.models import DIPVAE, VAE, AnnealedVAE, BetaTCVAE, BetaVAE, FactorVAE, TopDisVAE

STEPS, FAST_STEPS = 800, 60
SEEDS = range(4)
BATCH = 128
LATENTS = 8

DATASETS: Mapping[str, Callable[[], FactorDataset]] = {
    # no symmetry of the square, so that all images differ
    "sprites": lambda: Sprites(16, antialias=True, factor_sizes=(4, 20, 10, 10)).sub_grid(orientation=range(5)),
    # half of the colour circle, so that a hue is a number and no angle
    "objects": lambda: ShadedObjects(16, factor_sizes=(10, 10, 10, 4, 5)).sub_grid(
        floor_hue=range(5), wall_hue=range(5), object_hue=range(5)
    ),
}
"""By their names in configurations; small enough that models are scored on all images."""


class Images(NamedTuple):
    """A data set as arrays: all combinations of its factors."""

    dataset: FactorDataset
    images: Tensor
    factors: Tensor


def images_of(name: str) -> Images:
    """All images of a data set with their factors."""
    dataset = DATASETS[name]()
    factors = dataset.index_to_factors(torch.arange(len(dataset)))
    return Images(dataset, dataset.render(factors), factors)


MODELS: Mapping[str, Callable[[float, int, dict[str, Any]], VAE]] = {
    "beta-VAE": lambda strength, steps, common: BetaVAE(beta=strength, **common),
    "beta-TCVAE": lambda strength, steps, common: BetaTCVAE(beta=strength, **common),
    "FactorVAE": lambda strength, steps, common: FactorVAE(
        gamma=strength, discriminator_hidden=(64, 64, 64), discriminator_learning_rate=1e-3, **common
    ),
    "DIP-VAE I": lambda strength, steps, common: DIPVAE(off_diagonal_weight=strength, version="i", **common),
    "DIP-VAE II": lambda strength, steps, common: DIPVAE(off_diagonal_weight=strength, version="ii", **common),
    "annealed VAE": lambda strength, steps, common: AnnealedVAE(
        gamma=30.0, max_capacity=strength, capacity_steps=steps, **common
    ),
    "TopDis": lambda strength, steps, common: TopDisVAE(beta=1.0, topdis_weight=strength, topdis_rows=12, **common),
}
"""Makers by names in configurations, of a strength, the number of steps and settings that all models share."""

STRENGTHS: Mapping[str, tuple[float, ...]] = {
    "beta-VAE": (0.25, 1.0, 4.0),
    "beta-TCVAE": (1.0, 3.0, 9.0),
    "FactorVAE": (2.0, 8.0, 32.0),
    "DIP-VAE I": (0.5, 4.0, 32.0),
    "DIP-VAE II": (0.5, 4.0, 32.0),
    "annealed VAE": (4.0, 8.0, 14.0),
    "TopDis": (0.5, 4.0, 32.0),
}


def new_model(config: Mapping[str, Any], shape: torch.Size, steps: int) -> VAE:
    """The model of a configuration, untrained."""
    common = {"data_shape": tuple(shape), "latent_dim": LATENTS, "hidden": (128, 128), "learning_rate": 3e-3}
    return MODELS[config["model"]](config["strength"], steps, common)


def configurations() -> list[dict[str, Any]]:
    """Of all runs, a seed at a time, so that a study that is stopped early lacks the last seeds alone."""
    return [
        {"data": data, "model": model, "strength": strength, "seed": seed}
        for seed in SEEDS
        for model, strengths in STRENGTHS.items()
        for strength in strengths
        for data in DATASETS
    ]


def fast_configurations() -> list[dict[str, Any]]:
    """Two runs that go through the same code."""
    return [{"data": "sprites", "model": "beta-VAE", "strength": 1.0, "seed": seed, "fast": True} for seed in SEEDS[:2]]
