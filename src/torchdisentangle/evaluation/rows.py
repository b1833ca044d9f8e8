"""Rows of a batch, encoded once for all evaluations that look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchdisentangle.latent_model import LatentModel, Posterior

Key = int | str | Callable[[Any], Tensor] | None
"""Where a tensor is in a batch: a position; a key or an attribute, where a dot looks inside (``"meta.factors"``); a
function of the batch; ``None``: the batch itself if it is a tensor, else its first element."""

Columns = Key | list[int | str]
"""Where several columns are: as a :data:`Key`, or a list of positions and keys, one for each column."""


def take(batch: Any, key: Columns, argument: str = "input_key") -> Tensor:
    """A tensor of a batch.

    Args:
        batch: a tensor, a sequence, a mapping, or an object.
        key: where the tensor is. A mapping of tensors counts as their columns side by side.
        argument: what the user sets to say where it is, for errors.

    Returns:
        The tensor.

    Raises:
        TypeError: if there is no such tensor.

    Example:
        >>> batch = {"x": torch.zeros(2), "meta": {"shape": torch.ones(2), "size": torch.zeros(2)}}
        >>> take(batch, "meta.shape")
        tensor([1., 1.])
        >>> take(batch, "meta")
        tensor([[1., 0.],
                [1., 0.]])
        >>> take(batch, lambda batch: 1 - batch["x"])
        tensor([1., 1.])
    """
    if isinstance(key, (list, tuple)):
        return _side_by_side([take(batch, one, argument) for one in key])
    if callable(key):
        try:
            value: Any = key(batch)
        except Exception as error:  # whatever the user's function raises
            raise TypeError(f"the function {argument}= failed on {_content(batch)}: {error!r}") from error
    elif isinstance(batch, Tensor):
        value = batch if key is None else None
    else:
        value = _at(batch, 0 if key is None else key)
    tensor = _as_tensor(value)
    if tensor is None and callable(key):
        raise TypeError(f"the function {argument}= must return a tensor, got {type(value).__name__}")
    if tensor is None:
        raise TypeError(f"the batch has no tensor at {key!r} ({_content(batch)}): set {argument}")
    if tensor.ndim == 0:
        raise TypeError(f"{argument}={key!r} must give one row for each row of the batch, got a single number")
    return tensor


def _at(inside: Any, key: int | str) -> Any:
    """What is at a position or key; ``None`` if there is nothing. A key with dots may be a path."""
    if isinstance(inside, Tensor):
        return None
    try:
        return inside[key]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        pass
    if not isinstance(key, str):
        return None
    if hasattr(inside, key):
        return getattr(inside, key)
    first, dot, rest = key.partition(".")
    if not dot:
        return _at(inside, int(key)) if key.isdecimal() and isinstance(inside, (list, tuple)) else None
    return _at(_at(inside, first), rest)


def _as_tensor(value: Any) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value)
    if isinstance(value, Mapping) and value:
        columns = [_as_tensor(column) for column in value.values()]
        tensors = [column for column in columns if column is not None]
        fit = len(tensors) == len(columns) and all(1 <= tensor.ndim <= 2 for tensor in tensors)
        return _side_by_side(tensors) if fit else None
    return value if isinstance(value, Tensor) else None


def _side_by_side(columns: list[Tensor]) -> Tensor:
    return torch.cat([column[:, None] if column.ndim == 1 else column for column in columns], dim=1)


def _content(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a batch with keys {list(batch)}"
    if isinstance(batch, (list, tuple)):
        return f"a {type(batch).__name__} of {', '.join(type(part).__name__ for part in batch)}"
    return f"a batch of type {type(batch).__name__}"


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

    def take(self, key: Columns, argument: str = "factors") -> Tensor:
        """Another tensor of the batch at these rows.

        Args:
            key: where it is.
            argument: what the user sets to say where it is, for errors.
        """
        values = take(self.batch, key, argument)
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
        return self.take(self.label_key, "label_key")

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
    data = rows.take(input_key, "input_key")
    labels = None if model.num_classes is None else rows.labels
    if data.is_floating_point():
        return replace(rows, posterior=model.encode(data.to(model.like), labels))
    try:
        return replace(rows, posterior=model.encode(data.to(model.like.device), labels))
    except Exception as error:  # whatever a model raises that wants floating-point data
        raise TypeError(
            f"{type(model.module).__name__} cannot encode data of dtype {data.dtype} ({error}): scale them as in "
            "training, such as by input_key=lambda batch: batch[0].float() / 255"
        ) from error
