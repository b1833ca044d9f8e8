"""A small module whose posteriors tests can choose."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

FACTORS = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(4, 1)
DATA = torch.cat([FACTORS.double(), FACTORS.double().sum(1, keepdim=True), torch.zeros(48, 1)], dim=1)
DATA = DATA + 0.3 * torch.randn(DATA.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Splitting(L.LightningModule):
    """The first two numbers of a row are the means, the others the log-variances, in float64 and for each row alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.latent_dim = 2
        self.decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 4)).double()

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :2], 0.1 * x[:, 2:] - 2

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return (self.decode(self.encode(batch[0])[0]) - batch[0]).square().mean()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


@pytest.fixture
def module() -> Splitting:
    return Splitting()


@pytest.fixture
def table() -> TensorDataset:
    return TensorDataset(DATA, FACTORS)


@pytest.fixture
def loader(table: TensorDataset) -> DataLoader:
    return DataLoader(table, 7)
