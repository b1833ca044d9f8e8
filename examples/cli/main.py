"""A module of one's own, with every callback added by a YAML file.

Run ``python examples/cli/main.py fit --config examples/cli/config.yaml``, which is also what happens without any
arguments. Nothing here knows of disentanglement: the module encodes and decodes, and ``config.yaml`` says what is
watched. Logs to Weights & Biases, offline, and to CSV and PNG files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.cli import LightningCLI
from torch import Tensor, nn


class Autoencoder(L.LightningModule):
    """A small variational autoencoder, as one might have it.

    Args:
        size: side of the square images.
        latent_dim: number of latents.
        hidden: width of the hidden layers.
        beta: weight of the KL divergence.
    """

    def __init__(self, size: int = 16, latent_dim: int = 5, hidden: int = 128, beta: float = 2.0) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.latent_dim, self.beta = latent_dim, beta
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(size**2, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden), nn.SiLU(), nn.Linear(hidden, size**2), nn.Unflatten(1, (1, size, size))
        )

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """Mean and log-variance."""
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """Images in [0, 1]."""
        return self.decoder(z).sigmoid()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(batch[0])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/loss", self._loss(batch[0]), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def _loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        error = nn.functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return error + self.beta * kl


if __name__ == "__main__":
    torch.set_num_threads(1)
    LightningCLI(
        Autoencoder,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        args=sys.argv[1:] or ["fit", "--config", str(Path(__file__).with_name("config.yaml"))],
    )
