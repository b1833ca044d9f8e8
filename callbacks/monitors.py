"""Callbacks and schedulers that monitor a logged value, such as checkpoints and early stopping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor

_LARGEST = torch.finfo(torch.float32).max


class Monitor(NamedTuple):
    """What a callback or a learning rate scheduler looks at.

    Args:
        key: of the value.
        worst: a finite value that it takes for no improvement.
        every_n_epochs: how often it looks.
        strict: whether it ends the training if the value is missing.
    """

    key: str
    worst: float
    every_n_epochs: int = 1
    strict: bool = True

    def looks(self, epoch: int) -> bool:
        """Whether the value must exist in this epoch."""
        return self.strict and (epoch + 1) % self.every_n_epochs == 0


def monitors_of(trainer: L.Trainer, prefix: str) -> list[Monitor]:
    """The monitors of values whose key starts with a prefix."""
    found = []
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for one in callbacks:
        worst = _worst(one, getattr(one, "divergence_threshold", None))
        found.append((getattr(one, "monitor", None), worst, getattr(one, "every_n_epochs", 1), one))
    for config in trainer.lr_scheduler_configs:
        found.append((config.monitor, _worst(config.scheduler), config.frequency, config))
    return [
        Monitor(key, worst, every_n_epochs or 1, getattr(one, "strict", True))
        for key, worst, every_n_epochs, one in found
        if isinstance(key, str) and key.startswith(prefix)
    ]


def stand_in(metrics: dict[str, Tensor], monitors: Iterable[Monitor], device: torch.device) -> None:
    """Give monitored keys without a value the worst one, which ends no training and is no other epoch's score."""
    for monitor in monitors:
        metrics.setdefault(monitor.key, torch.tensor(monitor.worst, device=device))


def _worst(one: Any, limit: float | None = None) -> float:
    if limit is not None:  # beyond which an early stopping ends the training
        return limit
    return -_LARGEST if getattr(one, "mode", "min") == "max" else _LARGEST
