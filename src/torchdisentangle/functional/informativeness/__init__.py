"""Informativeness and separability of latents."""

from torchdisentangle.functional.informativeness.quantization import binned_informativeness, misjed, quantize_posterior
from torchdisentangle.functional.informativeness.separation import (
    LatentInformation,
    SeparabilityScores,
    latent_information,
    pairwise_information,
    separability,
)

__all__ = [
    "LatentInformation",
    "SeparabilityScores",
    "binned_informativeness",
    "latent_information",
    "misjed",
    "pairwise_information",
    "quantize_posterior",
    "separability",
]
