"""A model whose decodings are known, and pages of it."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from torchdisentangle import Report


class Tiles(nn.Module):
    """Each latent lights a tile of its own, and the last one also dims that of the first."""

    def __init__(self, latent_dim: int = 4, side: int = 8, channels: int = 1, scale: float = 0.1) -> None:
        super().__init__()
        self.latent_dim, self.side, self.channels, self.scale = latent_dim, side, channels, scale
        pattern = torch.zeros(latent_dim, side * side)
        for latent, tile in enumerate(torch.arange(side * side).chunk(latent_dim)):
            pattern[latent, tile] = 1.0 / (latent + 1)
        pattern[-1] -= 0.5 * pattern[0]
        self.pattern = nn.Parameter(pattern.repeat(1, channels))

    def decode(self, z: Tensor) -> Tensor:
        return (0.5 + self.scale * z @ self.pattern).reshape(-1, self.channels, self.side, self.side)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x.flatten(1)[:, : self.latent_dim]
        return mean, torch.full_like(mean, -2.0)


def content_of(html: str) -> dict[str, Any]:
    """What a page knows."""
    (found,) = re.findall(r'<script id="content" type="application/json">(.*?)</script>', html, flags=re.DOTALL)
    return json.loads(found)


def page_of(report: Report) -> str:
    (make,) = report.pages.values()
    return make(report)


def pixels(address: str) -> np.ndarray:
    """A PNG file in an address, ``(H, W)`` or ``(H, W, 3)``."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))))


def eight_bits(images: Tensor) -> np.ndarray:
    """Images ``(channels, H, W)`` in [0, 1] as ``(H, W)`` or ``(H, W, channels)`` bytes."""
    return (images * 255).round().clamp(0, 255).byte().movedim(0, -1).squeeze(-1).numpy()
