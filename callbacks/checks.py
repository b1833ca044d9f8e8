"""What is wrong with a trainer, said before it trains."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torchmetrics.utilities import rank_zero_warn

_SHARDED = {"FSDPStrategy", "XLAFSDPStrategy", "ModelParallelStrategy"}


def check_strategy(trainer: L.Trainer) -> None:
    """Refuse strategies that split the parameters between processes.

    Processes call the model different numbers of times in an evaluation, and each call waits for all of them.

    Raises:
        ValueError: for such a strategy.
    """
    strategy: Any = trainer.strategy
    names = {base.__name__ for base in type(strategy).__mro__}
    if names & _SHARDED or ("DeepSpeedStrategy" in names and strategy.zero_stage_3):
        raise ValueError(
            f"{type(strategy).__name__} splits the parameters between processes, which an evaluation in training does "
            "not support: train with strategy='ddp', or evaluate a checkpoint with torchdisentangle.evaluate"
        )


def check_keys(key: str, others: Sequence[str], name: str) -> None:
    """Refuse a second callback of the same keys, of which Lightning would log averages.

    Raises:
        ValueError: if the key is among the others.
    """
    if key in others:
        raise ValueError(
            f"two callbacks log {key}/...: give one of them another prefix, such as {name}(prefix='second')"
        )


def quieten_advice(trainer: L.Trainer, key: str) -> None:
    """Filter Lightning's advice to set ``sync_dist=True``, for values that are reduced already.

    Lightning gives it where it computes the values of an epoch, in a frame of its own, so the filter is the process's
    until :func:`heed_advice`.
    """
    if trainer.world_size > 1:
        warnings.filterwarnings("ignore", message=_advice(key))


def heed_advice(*keys: str) -> None:
    """Take the filters of :func:`quieten_advice` away again."""
    filters: Any = warnings.filters
    patterns = {_advice(key) for key in keys}
    for one in [one for one in filters if one[1] is not None and one[1].pattern in patterns]:
        filters.remove(one)


def _advice(key: str) -> str:
    return rf".*recommended to use `self\.log\('{key}/"


def warn_of_silence(trainer: L.Trainer, name: str) -> None:
    """Warn if a fit will log nothing, for want of validation data.

    Args:
        trainer: the trainer.
        name: of the callback.
    """
    if not trainer.enable_validation:
        rank_zero_warn(
            f"{name} evaluates on validation data, but this trainer has none, so it logs nothing: give it validation "
            "data, a validation_step, and limit_val_batches above 0",
            UserWarning,
        )


@contextmanager
def misconfiguration(who: object = None) -> Iterator[None]:
    """Turn whatever is raised into Lightning's exception for wrong settings, which names the callback.

    Args:
        who: the callback; ``None``: it is known from the traceback, as in its ``__init__``.
    """
    try:
        yield
    except Exception as error:  # whatever a model raises
        name = "" if who is None else f"{type(who).__name__}: "
        raise MisconfigurationException(f"{name}{error}") from error
