"""Pairs of data that differ in few factors: the weak supervision of models that are told nothing else."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from torchdisentangle.datasets.factors import FactorDataset


class FactorPairs(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of images of a data set with known factors, of which a few factors differ and all others are shared.

    The first of a pair has uniform factors; of the second some factors, chosen uniformly, are drawn anew among their
    other values. Items are ``(image, other image)``; which factors differ is not told, and is kept in ``factors``.

    Args:
        dataset: where the images come from.
        num_pairs: how many pairs there are.
        num_changed: how many factors differ; ``None``: in each pair another number, uniform between 1 and all but one.
        seed: of the pairs, which are always the same.

    Raises:
        ValueError: for fewer than one pair, or if so many factors cannot differ.

    Reference:
        Locatello et al., *Weakly-Supervised Disentanglement Without Compromises*, ICML 2020.

    Example:
        >>> from torchdisentangle.datasets.sprites import Sprites
        >>> pairs = FactorPairs(Sprites(image_size=16), num_pairs=100, num_changed=1)
        >>> image, other = pairs[0]
        >>> image.shape, (pairs.factors[:, 0] != pairs.factors[:, 1]).sum(1).unique()
        (torch.Size([1, 16, 16]), tensor([1]))
    """

    def __init__(self, dataset: FactorDataset, num_pairs: int, num_changed: int | None = None, seed: int = 0) -> None:
        moving = torch.tensor(dataset.factor_sizes) > 1
        most = int(moving.sum())
        if num_pairs < 1 or not 1 <= (1 if num_changed is None else num_changed) <= most:
            raise ValueError(f"{num_pairs} pairs in which {num_changed} of {most} factors differ cannot be made")
        self.dataset: FactorDataset = dataset
        self.num_pairs: int = num_pairs
        self.num_changed: int | None = num_changed
        self.seed: int = seed
        generator = torch.Generator().manual_seed(seed)
        first = dataset.sample_factors(num_pairs, generator)
        number = torch.full((num_pairs,), num_changed or 0)
        if num_changed is None:
            number = torch.randint(1, max(most, 2), (num_pairs,), generator=generator)
        order = torch.rand(first.shape, generator=generator).masked_fill(~moving, 2.0).argsort(1).argsort(1)
        sizes = torch.tensor(dataset.factor_sizes)
        step = 1 + (torch.rand(first.shape, generator=generator) * (sizes - 1)).long()  # to another value, uniformly
        second = torch.where(order < number[:, None], (first + step) % sizes, first)
        self.factors: Tensor = torch.stack([first, second], dim=1)
        """Factors of both images of each pair, ``(num_pairs, 2, K)``."""

    def __len__(self) -> int:
        return self.num_pairs

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside a data set of {len(self)} pairs")
        image, other = self.dataset.render(self.factors[index])
        return image, other

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        """Items of a whole batch, rendered at once; PyTorch's ``DataLoader`` uses it where it is defined."""
        images = self.dataset.render(self.factors[indices].flatten(0, 1))
        return list(zip(images[::2], images[1::2], strict=True))
