"""Small models and trainers for the callbacks' tests."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class TinyVAE(L.LightningModule):
    """An autoencoder with everything that a careless callback disturbs: dropout, batch normalisation, noise."""

    def __init__(self, latent_dim: int = 3, data_shape: tuple[int, ...] = (1, 4, 4)) -> None:
        super().__init__()
        size = torch.Size(data_shape).numel()
        self.latent_dim, self.data_shape = latent_dim, data_shape
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2))
        self.heads = nn.Linear(16, 2 * latent_dim)
        self.body = nn.Sequential(
            nn.Linear(latent_dim, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, size)
        )
        self.losses: list[float] = []

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.heads(self.encoder(x)).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return self.body(z).reshape(-1, *self.data_shape)

    def _loss(self, batch: Any) -> Tensor:
        x = batch[0]
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return (self.decode(z) - x).square().mean() + 0.01 * (mean.square() + log_variance.exp() - log_variance).mean()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._loss(batch)
        self.losses.append(loss.item())
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val/loss", self._loss(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def tiny_data(num_samples: int = 37, data_shape: tuple[int, ...] = (1, 4, 4)) -> TensorDataset:
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.randn(num_samples, *data_shape, generator=generator), torch.arange(num_samples) % 3)


@pytest.fixture
def tiny_vae() -> TinyVAE:
    torch.manual_seed(0)
    return TinyVAE()


@pytest.fixture
def loader() -> DataLoader:
    return DataLoader(tiny_data(), batch_size=10)
