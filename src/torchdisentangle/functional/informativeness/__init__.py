"""Informativeness and separability of latents."""

from torchdisentangle.functional.informativeness.quantization import informativeness, misjed, quantize_posterior
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
    "informativeness",
    "latent_information",
    "misjed",
    "pairwise_information",
    "quantize_posterior",
    "separability",
]
