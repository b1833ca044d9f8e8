"""The data of two examples: small images of a heart, of which only scale and position vary."""

from __future__ import annotations

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler, TensorDataset

from torchdisentangle.datasets import FactorDataset, Sprites

FACTORS = ("scale", "x", "y")


def hearts(scales: int = 6, positions: int = 16, columns: range | None = None) -> FactorDataset:
    """Upright hearts of 16x16 pixels: with the default settings 1,536 of them; with ``columns`` only these x."""
    dataset = Sprites(16, antialias=True, factor_sizes=(scales, 1, positions, positions))
    return dataset.sub_grid(shape=2, x=range(positions) if columns is None else columns)


def loaders(dataset: FactorDataset, batch_size: int = 128, passes: int = 1) -> dict[str, DataLoader]:
    """All images with the factors that vary, rendered once; for training in full shuffled batches.

    They are few and known completely, so that training and validation data are the same; and so few that an epoch may
    well be several passes over them.
    """
    factors = dataset.index_to_factors(torch.arange(len(dataset)))
    varying = [dataset.factor_index(name) for name in FACTORS]
    rows = TensorDataset(dataset.render(factors), factors[:, varying])

    def batches(order: Sampler[int], size: int, drop_last: bool) -> DataLoader:
        return DataLoader(rows, batch_size=None, sampler=BatchSampler(order, size, drop_last))  # a slice at once

    return {
        "train_dataloaders": batches(RandomSampler(rows, num_samples=passes * len(rows)), batch_size, drop_last=True),
        "val_dataloaders": batches(SequentialSampler(rows), 512, drop_last=False),
    }
