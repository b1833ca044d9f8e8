"""Rows of a batch, encoded once for all evaluations that look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.latent_model import LatentModel, Posterior

Key = int | str | None
"""Where a tensor is in a batch: a position or a key; ``None``: the batch itself if it is a tensor, else its first."""


def take(batch: Any, key: Key) -> Tensor:
    """A tensor of a batch.

    Args:
        batch: a tensor, a sequence, or a mapping.
        key: where the tensor is.

    Returns:
        The tensor.

    Raises:
        TypeError: if there is no such tensor.

    Example:
        >>> take([torch.zeros(2), torch.ones(2)], 1)
        tensor([1., 1.])
    """
    if key is None:
        key = 0
        if isinstance(batch, Tensor):
            return batch
    try:
        value = batch[key]
    except (KeyError, IndexError, TypeError):
        value = None
    if not isinstance(value, Tensor) or isinstance(batch, Tensor):
        has = f"keys {list(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise TypeError(f"the batch has no tensor at {key!r} ({has}): set input_key, label_key or factors")
    return value


@dataclass(frozen=True)
class Rows:
    """Some rows of a batch, without padding, and their posteriors.

    Args:
        batch: the batch that they come from.
        chosen: which of its rows these are, ``(n,)`` integers.
        index: their positions in the data set, ``(n,)`` integers.
        input_key: where the data are in the batch.
        label_key: where the labels are.
        posterior: of the latents given each row; ``None`` if the model cannot encode.
    """

    batch: Any
    chosen: Tensor
    index: Tensor
    input_key: Key = None
    label_key: Key = 1
    posterior: Posterior | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, key: Key | Callable[[Any], Tensor]) -> Tensor:
        """Another tensor of the batch at these rows; or what a function makes of the batch."""
        values = key(self.batch) if callable(key) else take(self.batch, key)
        return values[self.chosen.to(values.device)]

    def at(self, places: Tensor) -> Rows:
        """Some of these rows.

        Args:
            places: which, ``(m,)`` integers or ``(n,)`` booleans.
        """
        if len(places) == len(self) and places.dtype == torch.bool and bool(places.all()):
            return self

        def of(values: Tensor | None) -> Any:
            return None if values is None else values[places.to(values.device)]

        posterior = None if self.posterior is None else Posterior(*map(of, self.posterior))
        return replace(self, chosen=of(self.chosen), index=of(self.index), posterior=posterior)

    @property
    def labels(self) -> Tensor:
        """The labels of the rows.

        Raises:
            TypeError: if the batch has none.
        """
        return self.take(self.label_key)

    @property
    def mean(self) -> Tensor:
        """Means of the posteriors, ``(n, d)``."""
        assert self.posterior is not None, "an evaluation of codes requires the ability to encode"
        return self.posterior.mean

    @property
    def log_variance(self) -> Tensor | None:
        """Log-variances of the posteriors, ``(n, d)``; ``None`` for a deterministic encoder."""
        return None if self.posterior is None else self.posterior.log_variance


def encode(model: LatentModel, batch: Any, chosen: Tensor, index: Tensor, input_key: Key, label_key: Key) -> Rows:
    """Encode some rows of a batch.

    Args:
        model: the model; a conditional one gets the batch's labels.
        batch: the batch.
        chosen: which of its rows, ``(n,)`` integers.
        index: their positions in the data set, ``(n,)`` integers.
        input_key: where the data are in the batch.
        label_key: where the labels are.

    Returns:
        The rows, with their posteriors if the model can encode.

    Raises:
        TypeError: if the batch has no data, or no labels where they are needed.
    """
    rows = Rows(batch, chosen, index, input_key, label_key)
    if not model.supports("encode"):
        return rows
    data = rows.take(input_key)
    labels = None if model.num_classes is None else rows.labels
    posterior = model.encode(data.to(model.like) if data.is_floating_point() else data, labels)
    return replace(rows, posterior=posterior)
