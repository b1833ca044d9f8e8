"""What is wrong with a trainer, said before it trains."""

from __future__ import annotations

from typing import Any

import lightning as L
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


def warn_of_silence(trainer: L.Trainer, name: str, epochs: range | None, every_n_epochs: int) -> None:
    """Warn if a fit will log nothing.

    Args:
        trainer: the trainer.
        name: of the callback.
        epochs: in which the callback is due; ``None``: unknown.
        every_n_epochs: the callback's setting.
    """
    if not trainer.enable_validation:
        rank_zero_warn(
            f"{name} evaluates in validation epochs, but this trainer has none, so it logs nothing: give it validation "
            "data, a validation_step, and limit_val_batches above 0",
            UserWarning,
        )
    elif epochs is not None and not epochs:
        rank_zero_warn(
            f"{name} logs nothing: with every_n_epochs={every_n_epochs}, no validation of this fit is due", UserWarning
        )


def validated_epochs(trainer: L.Trainer, every_n_epochs: int) -> range | None:
    """The epochs of a fit that are validated and due; ``None`` if their number is unknown."""
    last, validated = trainer.max_epochs, trainer.check_val_every_n_epoch
    if last is None or last < 0 or validated is None:
        return None
    due = [
        epoch
        for epoch in range(trainer.current_epoch, last)
        if (epoch + 1) % every_n_epochs == 0 and (epoch + 1) % validated == 0
    ]
    return range(due[0], due[-1] + 1) if due else range(0)
