"""Evaluations outside of Lightning's validation: before training, between two steps, and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import lightning as L
from torch import Tensor

from torchdisentangle.callbacks.figures import curve_step
from torchdisentangle.callbacks.loaders import Loaders
from torchdisentangle.callbacks.watch import Watch, Watching
from torchdisentangle.evaluation import undisturbed


class Concluding(Watching, Protocol):
    """What an evaluation outside of validation asks of a callback."""

    def prepare(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the values of the last evaluation, and make choices that depend on the machine."""

    def conclude(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Finish the evaluation, together with all processes, and log its report."""


def evaluate_between(trainer: L.Trainer, pl_module: L.LightningModule, callbacks: Sequence[Concluding]) -> None:
    """Evaluate now, on the validation data.

    All processes call this in the same place. The model has the weights with which it trains, and the state of the
    loaders, the samplers and the random number generators stays as it is.

    Args:
        trainer: of a fit with validation data.
        pl_module: the module that trains.
        callbacks: those whose evaluation is due.
    """
    set_up_validation(trainer)
    Watch.begin(trainer, list(callbacks))
    watch = Watch.of(trainer)
    for callback in callbacks:
        callback.prepare(trainer, pl_module)
    watch.advance(trainer, pl_module)
    for idx in sorted({callback.dataloader_idx for callback in callbacks}):
        if watch.reads(idx):
            _read(trainer, pl_module, watch, idx)
    for callback in callbacks:
        callback.conclude(trainer, pl_module)


def set_up_validation(trainer: L.Trainer) -> None:
    """Make the validation loaders, which Lightning does before the first validation."""
    if trainer.val_dataloaders is None and trainer.enable_validation:
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.setup_data()
        trainer.training = True


def log_between(trainer: L.Trainer, values: dict[str, Tensor]) -> None:
    """Log values at the current step: ``self.log`` would wait for the end of an epoch, and is refused after the last.

    Args:
        trainer: whose loggers to use.
        values: by key.
    """
    trainer.callback_metrics.update(values)
    numbers = {key: float(value) for key, value in values.items()} | {"epoch": float(trainer.current_epoch)}
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=curve_step(trainer))
            logger.save()


def _read(trainer: L.Trainer, pl_module: L.LightningModule, watch: Watch, idx: int) -> None:
    limit = trainer.num_val_batches[idx]
    with undisturbed(pl_module):  # an iterator over a loader draws random numbers
        for batch in islice(Loaders.of(trainer)[idx], None if limit == float("inf") else int(limit)):
            on_device = trainer.strategy.batch_to_device(batch, dataloader_idx=idx)
            watch.advance(trainer, pl_module, on_device, idx)
            if not watch.reads(idx):
                return
