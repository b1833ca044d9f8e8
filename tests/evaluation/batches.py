"""Batches of data loaders, and how one says where things are: tests evaluate it, and the documentation shows it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

IMAGES = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
SHAPE, SIZE = torch.arange(12) % 3, torch.arange(12) // 3
FACTORS = torch.stack([SHAPE, SIZE], 1)


class Item(NamedTuple):
    image: Tensor
    factors: Tensor


class Batch(NamedTuple):
    """A batch, and where its images and factors are.

    Args:
        name: what kind of batch it is.
        batch: code that makes it.
        input_key: code of the argument; empty: the default.
        factors: likewise; empty: the default.
    """

    name: str
    batch: str
    input_key: str = ""
    factors: str = ""

    @property
    def made(self) -> Any:
        return _evaluated(self.batch)

    @property
    def images(self) -> Any:
        """The argument ``input_key``."""
        return _evaluated(self.input_key) if self.input_key else None

    @property
    def columns(self) -> Any:
        """The argument ``factors``."""
        return _evaluated(self.factors) if self.factors else 1


_NAMES = {
    "Item": Item,
    "SimpleNamespace": SimpleNamespace,
    "factors": FACTORS,
    "flat": IMAGES.flatten(1),
    "images": IMAGES,
    "integers": (255 * IMAGES).byte(),
    "mask": torch.zeros(12),
    "shape": SHAPE,
    "size": SIZE,
    "torch": torch,
}


def _evaluated(code: str) -> Any:
    return eval(code, dict(_NAMES))


BATCHES = [
    Batch("a pair", "(images, factors)"),
    Batch("positions", "[mask, images, factors]", "1", "-1"),
    Batch("keys", "{'image': images, 'factors': factors}", "'image'", "'factors'"),
    Batch("keys inside of others", "{'data': {'x': images}, 'meta': {'y': factors}}", "'data.x'", "'meta.y'"),
    Batch("positions inside of others", "{'pair': [images, factors]}", "'pair.0'", "'pair.1'"),
    Batch("keys with dots", "{'image.png': images, 'meta.y': factors}", "'image.png'", "'meta.y'"),
    Batch("attributes", "SimpleNamespace(x=images, meta=SimpleNamespace(y=factors))", "'x'", "'meta.y'"),
    Batch("a named tuple", "Item(image=images, factors=factors)", "'image'", "'factors'"),
    Batch("a mapping of factors", "(images, {'shape': shape, 'size': size})"),
    Batch("a mapping of factors, inside", "{'x': images, 'meta': {'shape': shape, 'size': size}}", "'x'", "'meta'"),
    Batch(
        "one tensor a factor",
        "{'x': images, 'shape': shape, 'meta': {'size': size}}",
        "'x'",
        "['shape', 'meta.size']",
    ),
    Batch("several columns of factors", "[images, shape, size]", "", "[1, 2]"),
    Batch("columns among others", "[images, torch.stack([mask, shape, size], 1)]", "", "lambda batch: batch[1][:, 1:]"),
    Batch("images of `uint8`", "(integers, factors)", "lambda batch: batch[0].float() / 255"),
    Batch("any transform", "[{'x': flat}, factors]", "lambda batch: batch[0]['x'].reshape(-1, 1, 4, 4)"),
    Batch("arrays of NumPy", "(images.numpy(), factors.numpy())"),
]
"""All kinds of batches."""


def table() -> str:
    """The batches as a table in Markdown.

    Example:
        >>> print(table().splitlines()[4])
        | keys | `{'image': images, 'factors': factors}` | `'image'` | `'factors'` |
    """
    rows = [["batch", "for instance", "`input_key=`", "`factors=`"], ["---"] * 4]
    for batch in BATCHES:
        said = [f"`{code}`" if code else "default" for code in (batch.input_key, batch.factors)]
        rows.append([batch.name, f"`{batch.batch}`", *said])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
