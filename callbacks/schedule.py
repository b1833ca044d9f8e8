"""When a callback evaluates in a fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import lightning as L
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from torchdisentangle.callbacks.monitors import Monitor


class Schedule(NamedTuple):
    """The epochs and the steps in which a callback evaluates.

    Args:
        every_n_epochs: in each of so many validation epochs, and in the last.
        every_n_steps: also after so many optimizer steps; ``None``: only in validation epochs.
        at_start: also before the first step.
    """

    every_n_epochs: int = 1
    every_n_steps: int | None = None
    at_start: bool = False

    def check(self) -> None:
        """Refuse what is no schedule."""
        for name in ("every_n_epochs", "every_n_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise MisconfigurationException(f"{name} must be at least 1, got {value}")

    def due_in_epoch(self, trainer: L.Trainer, monitors: Iterable[Monitor]) -> bool:
        """Whether to evaluate in this validation epoch: always in one in which a monitor looks."""
        epoch = trainer.current_epoch
        if trainer.state.fn != "fit" or (epoch + 1) % self.every_n_epochs == 0:
            return True
        return epoch == last_validated_epoch(trainer) or any(monitor.looks(epoch) for monitor in monitors)

    def due_at_step(self, trainer: L.Trainer) -> bool:
        """Whether to evaluate after this optimizer step."""
        step = trainer.global_step
        return self.every_n_steps is not None and step > 0 and step % self.every_n_steps == 0


def is_validated_next(trainer: L.Trainer) -> bool:
    """Whether Lightning validates after this batch, the last of an epoch, so that nothing need be evaluated before."""
    validated = trainer.check_val_every_n_epoch
    return trainer.is_last_batch and validated is not None and (trainer.current_epoch + 1) % validated == 0


def last_validated_epoch(trainer: L.Trainer) -> int | None:
    """The last epoch of a fit in which Lightning validates, if that is known: a fit may end by its steps or its time.

    Example:
        >>> quiet = {"logger": False, "accelerator": "cpu", "enable_progress_bar": False}
        >>> last_validated_epoch(L.Trainer(max_epochs=10, check_val_every_n_epoch=4, **quiet))
        7
    """
    last, validated = trainer.max_epochs, trainer.check_val_every_n_epoch
    if last is None or last < 0:
        return None
    return last // (validated or 1) * (validated or 1) - 1
