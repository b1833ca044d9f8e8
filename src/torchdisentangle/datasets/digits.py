"""scikit-learn's handwritten digits: 1,797 real images that need no download."""

from __future__ import annotations

from typing import Literal

import torch
from torch.utils.data import TensorDataset

_TRAIN_SHARE = 0.8


def handwritten_digits(split: Literal["all", "train", "validation"] = "all", seed: int = 0) -> TensorDataset:
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
    if split not in ("all", "train", "validation"):
        raise ValueError(f"split must be 'all', 'train' or 'validation', got {split!r}")
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
