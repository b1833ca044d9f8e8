"""A fixed random map from images to vectors, in which distances are less about single pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class RandomConvEmbedding(nn.Module):
    """Untrained convolutional network with seeded weights.

    Topology is measured in its output rather than in pixels, as the published scores measure it in the features of an
    untrained network. Scores depend on the seed: repeat with several.

    Args:
        in_channels: channels of the images.
        out_features: length of the vectors.
        channels: of the strided convolutions.
        seed: of the weights.

    Reference:
        Zhou et al., *Evaluating the Disentanglement of Deep Generative Models through Manifold Topology*, ICLR 2021.

    Example:
        >>> RandomConvEmbedding(1)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 64])
    """

    def __init__(
        self, in_channels: int, out_features: int = 64, channels: Sequence[int] = (32, 64, 64), seed: int = 0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([in_channels, *channels]):
            layers += [nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1), nn.ReLU()]
        self.convolutions: nn.Sequential = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.linear: nn.Linear = nn.Linear(16 * channels[-1], out_features)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
                scale = (2 / fan_in) ** 0.5 if parameter.ndim > 1 else 0.0
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Vectors ``(N, out_features)`` of images ``(N, channels, H, W)``."""
        return self.linear(self.convolutions(images))
