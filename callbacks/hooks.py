"""The hooks of a trainer in which callbacks evaluate, in the order in which a trainer calls them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import lightning as L

from torchdisentangle.callbacks.between import evaluate_between
from torchdisentangle.callbacks.checks import misconfiguration, warn_of_silence
from torchdisentangle.callbacks.loaders import Loaders
from torchdisentangle.callbacks.namespaces import Callback
from torchdisentangle.callbacks.schedule import Schedule, is_validated_next
from torchdisentangle.callbacks.watch import Watch
from torchdisentangle.latent_model import LatentModel


class EvaluationHooks(Callback):
    """Decides when a callback evaluates; :class:`EvaluationCallback` decides what that means.

    The callbacks of a trainer evaluate together, so that each row is encoded once: the first one drives the others
    through an epoch of validation or test, and the last one begins an evaluation outside of them.
    """

    dataloader_idx: int
    last_step: int | None
    """The step of the last evaluation in this run."""

    @property
    @abstractmethod
    def schedule(self) -> Schedule:
        """The epochs and the steps in which the callback evaluates."""

    @property
    @abstractmethod
    def adapted(self) -> LatentModel:
        """The model that is evaluated, known from the start of a fit, validation or test."""

    @abstractmethod
    def attach(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adapt the model and rehearse the evaluation; errors are raised."""

    @abstractmethod
    def check_loader(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse a data loader whose rows several processes could not tell apart."""

    @abstractmethod
    def rehearse_batch(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any) -> None:
        """Rehearse the evaluation with a batch; errors are raised."""

    @abstractmethod
    def due(self, trainer: L.Trainer) -> bool:
        """Whether to evaluate in this epoch."""

    @abstractmethod
    def prepare(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the values of the last evaluation, and make choices that depend on the machine."""

    @abstractmethod
    def conclude(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Finish the evaluation, together with all processes, and log its report."""

    @abstractmethod
    def compare(self, trainer: L.Trainer) -> None:
        """Warn if the trainer has logged other values than these."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.attach(trainer, pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        warn_of_silence(trainer, type(self).__name__)
        if trainer.enable_validation and trainer.val_dataloaders is not None:
            self.check_loader(trainer, pl_module)
        self._evaluate_due(trainer, pl_module, lambda one: one.schedule.at_start)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        def due(one: EvaluationHooks) -> bool:
            if not one.schedule.due_at_step(trainer) or one.last_step == trainer.global_step:
                return False
            return not (is_validated_next(trainer) and one.due(trainer))

        self._evaluate_due(trainer, pl_module, due)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        step = trainer.global_step
        self._evaluate_due(trainer, pl_module, lambda one: one.last_step != step)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self.attach(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.attach(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        callbacks = evaluation_callbacks(trainer)
        if self is callbacks[0]:
            Watch.begin(trainer, [] if trainer.sanity_checking else [one for one in callbacks if one.due(trainer)])
        if trainer.sanity_checking or trainer.state.fn != "fit":
            self.check_loader(trainer, pl_module)
        self.prepare(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        # the only hook in which the weights are the averaged ones, whatever the order of an averaging callback
        if trainer.sanity_checking:
            if batch_idx == 0 and self.adapted.ready:
                with misconfiguration(self):
                    parts = Loaders.of(trainer).parts(batch, batch_idx, dataloader_idx)
                if self.dataloader_idx in parts:
                    self.rehearse_batch(trainer, pl_module, parts[self.dataloader_idx])
        elif self is evaluation_callbacks(trainer)[0]:
            watch = Watch.of(trainer)
            try:
                parts = Loaders.of(trainer).parts(batch, batch_idx, dataloader_idx)
            except Exception as error:  # a module's hook has changed what a batch is
                watch.fail(error)
            else:
                for idx, part in parts.items():
                    watch.advance(trainer, pl_module, part, idx)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self in Watch.of(trainer).callbacks:
            self.conclude(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.compare(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "")

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
    on_test_end = on_validation_end

    def _evaluate_due(self, trainer: L.Trainer, pl_module: L.LightningModule, due: Callable[[Any], bool]) -> None:
        """Evaluate all callbacks that are due now; the last one does it, when the others have begun."""
        callbacks = evaluation_callbacks(trainer)
        wanted = [one for one in callbacks if due(one)] if self is callbacks[-1] and trainer.enable_validation else []
        if wanted:
            evaluate_between(trainer, pl_module, wanted)


def evaluation_callbacks(trainer: L.Trainer) -> list[Any]:
    """The evaluation callbacks of a trainer, in order."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [one for one in callbacks if isinstance(one, EvaluationHooks)]
