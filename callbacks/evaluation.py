"""What all callbacks have in common: when they evaluate, on which model, and how the report is logged.

Long because it holds every hook of a trainer that an evaluation needs, in the order in which a trainer calls them.
"""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.callbacks import checks
from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.figures import log_figures
from torchdisentangle.callbacks.logged import Logged
from torchdisentangle.callbacks.monitors import Monitor, monitors_of, stand_in
from torchdisentangle.callbacks.namespaces import Callback
from torchdisentangle.callbacks.watch import Watch, agreeing, loader_of, on_any, place_of
from torchdisentangle.evaluation import Context, Evaluation, Pass, Report, RowPositions, Session, undisturbed
from torchdisentangle.evaluation.rows import Key
from torchdisentangle.evaluation.sharded import check_unsharded
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import as_latent_model
from torchdisentangle.settings import described


class EvaluationCallback(Callback):
    """Runs an evaluation in every validation or test epoch, and logs its report.

    Before training, the model is checked and rehearsed: errors are raised. After that an error never ends a training:
    it is warned of, on all processes, and the epoch has no values. The attribute ``report`` keeps the last report.

    What a checkpoint, an early stopping or a scheduler monitors is never the value of another epoch: an epoch in which
    one looks (a checkpoint has its own ``every_n_epochs``; ``strict=False`` needs no value) is evaluated whatever
    ``every_n_epochs`` is here, and a failed evaluation counts as the worst value, so as no improvement. Values that are
    infinite in float32, which loggers hold, are counted in ``num_unlogged`` instead of logged.

    Args:
        evaluation: what to evaluate.
        prefix: first part of the logged keys; by default ``val`` in fit and validate, ``test`` in test. Two callbacks
            of one family need different ones.
        every_n_epochs: how often to evaluate in a fit (validate and test always evaluate).
        figures: draw figures at every ``figures``-th evaluation of a fit; ``True``: at each, ``False``: never.
        dataloader_idx: which validation data loader to use where there are several.
        input_key: where the data are in a batch: a position, a key or an attribute (dotted: ``"meta.image"``), or a
            function of the batch; ``None``: the batch itself if it is a tensor, else its first element.
        label_key: where the labels are in a batch, likewise.
        latent_dim: number of latents, if the model does not tell.
        num_classes: number of classes of a conditional model, if it does not tell.

    Raises:
        MisconfigurationException: for wrong settings; before training if the model lacks what is needed.

    Example:
        >>> from torchdisentangle.evaluation import ManifoldEvaluation
        >>> callback = EvaluationCallback(ManifoldEvaluation(num_samples=256), every_n_epochs=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    later: tuple[str, ...] = ()  # values that the first evaluation lacks

    def __init__(
        self,
        evaluation: Evaluation,
        *,
        prefix: str | None = None,
        every_n_epochs: int = 1,
        figures: bool | int = True,
        dataloader_idx: int = 0,
        input_key: Key = None,
        label_key: Key = 1,
        latent_dim: int | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if every_n_epochs < 1:
            raise MisconfigurationException(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        if int(figures) < 0:
            raise MisconfigurationException(f"figures must be a bool or a positive number, got {figures}")
        self.evaluation = evaluation
        self.prefix, self.every_n_epochs, self.figures = prefix, every_n_epochs, figures
        self.dataloader_idx, self.input_key, self.label_key = dataloader_idx, input_key, label_key
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.num_evaluations = 0
        self.report: Report | None = None
        self._model: LatentModel | None = None
        self._settled: Evaluation | None = None
        self._trainer: Any = None
        self._logged = Logged()

    @property
    def family(self) -> str:
        """The second part of the logged keys."""
        return self.evaluation.family

    @property
    def adapted(self) -> LatentModel:
        """The model that is evaluated, known from the start of a fit, validation or test."""
        if self._model is None:
            raise RuntimeError("no model has been attached yet")
        return self._model

    @property
    def reading(self) -> tuple[object, ...]:
        """Equal for callbacks that read the same rows of the same model."""
        return (self.dataloader_idx, self.input_key, self.label_key, self.latent_dim, self.num_classes)

    def evaluation_now(self, trainer: L.Trainer, evaluation: Evaluation) -> Evaluation:
        """The evaluation of this epoch; a subclass may give another one than in the epoch before.

        Args:
            trainer: the trainer.
            evaluation: the callback's evaluation, settled.
        """
        return evaluation

    def keep(self, trainer: L.Trainer, report: Report) -> None:
        """Do more with a report than logging it; called on all processes."""

    def begin(self, trainer: L.Trainer) -> Pass:
        """Begin this epoch's pass."""
        evaluation = self.evaluation_now(trainer, self._settled or self.evaluation)
        progress = trainer.is_global_zero and trainer.progress_bar_callback is not None
        context = Context(self.loader(trainer), self.figures_due(trainer), progress, training=trainer.state.fn == "fit")
        return evaluation.begin(self.adapted, place_of(trainer), context)

    def loader(self, trainer: L.Trainer) -> Any:
        """The data loader that this callback reads.

        Raises:
            ValueError: if there is none of that number.
        """
        return loader_of(trainer, self.dataloader_idx)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        with misconfiguration():
            checks.check_strategy(trainer)
        if stage == "fit" or self._trainer is None or self._trainer() is not trainer:
            self.forget()  # a checkpoint restores what it holds afterwards
        self._trainer = weakref.ref(trainer)

    def forget(self) -> None:
        """Forget earlier runs."""
        self.num_evaluations, self._settled, self._logged = 0, None, Logged(self.later)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._attach(trainer, pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        checks.warn_of_silence(trainer, type(self).__name__, self.every_n_epochs, self._monitors(trainer))
        if trainer.enable_validation and trainer.val_dataloaders is not None:
            self._check_loader(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._attach(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._attach(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        callbacks = evaluation_callbacks(trainer)
        if self is callbacks[0]:
            Watch.begin(trainer, [] if trainer.sanity_checking else [one for one in callbacks if one.due(trainer)])
        if trainer.sanity_checking or trainer.state.fn != "fit":
            self._check_loader(trainer, pl_module)
        self._logged.forget(trainer.callback_metrics)
        agreeing(trainer)
        if self in Watch.of(trainer).callbacks and self._settled is None:
            self._settle(trainer, pl_module)

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
            if batch_idx == 0 and dataloader_idx == self.dataloader_idx and self.adapted.ready:
                self._rehearse_batch(trainer, pl_module, batch)
        elif self is evaluation_callbacks(trainer)[0]:
            Watch.of(trainer).advance(trainer, pl_module, batch, dataloader_idx)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        watch = Watch.of(trainer)
        if self not in watch.callbacks:
            return
        place = agreeing(trainer)
        watch.advance(trainer, pl_module)  # a process that had no batch starts here
        report = watch.finish(self, place)
        if on_any(place, report is None) or report is None:
            rank_zero_warn(f"{type(self).__name__} has no values for epoch {trainer.current_epoch}", UserWarning)
            stand_in(self._logged.metrics, self._monitors(trainer), pl_module.device)
            return
        self._log(trainer, pl_module, report)
        self.num_evaluations += trainer.state.fn == "fit"

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._logged.warn_of_others(trainer.callback_metrics)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
    on_test_end = on_validation_end

    @property
    def state_key(self) -> str:
        """Tells several callbacks of one trainer apart in its checkpoints."""
        return self._generate_state_key(family=self.family, prefix=self.prefix, dataloader_idx=self.dataloader_idx)

    def state_dict(self) -> dict[str, Any]:
        """The number of evaluations, so that a resumed run keeps its schedule."""
        return {"num_evaluations": self.num_evaluations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of evaluations."""
        self.num_evaluations = state_dict["num_evaluations"]

    def due(self, trainer: L.Trainer) -> bool:
        """Whether to evaluate in this epoch."""
        scheduled = trainer.state.fn != "fit" or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return scheduled or any(monitor.looks(trainer.current_epoch) for monitor in self._monitors(trainer))

    def figures_due(self, trainer: L.Trainer) -> bool:
        """Whether to draw figures in this epoch."""
        return bool(self.figures) and (trainer.state.fn != "fit" or self.num_evaluations % int(self.figures) == 0)

    def stage(self, trainer: L.Trainer) -> str:
        """The first part of the logged keys."""
        return self.prefix or ("test" if trainer.testing else "val")

    def __repr__(self) -> str:
        return described(self)

    def _attach(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        key = f"{self.stage(trainer)}/{self.family}"
        checks.quieten_advice(trainer, key)
        others = [one for one in evaluation_callbacks(trainer) if one is not self]
        with misconfiguration(self):
            checks.check_keys(key, [f"{one.stage(trainer)}/{one.family}" for one in others], type(self).__name__)
            check_unsharded(pl_module)
            self._model = as_latent_model(pl_module, latent_dim=self.latent_dim, num_classes=self.num_classes)
            self.evaluation.check(self._model)
            if self._model.ready:
                with undisturbed(pl_module, rehearsal=True):
                    self.evaluation.rehearse(self._model, place_of(trainer))

    def _rehearse_batch(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any) -> None:
        place = place_of(trainer)
        with misconfiguration(self), undisturbed(pl_module, rehearsal=True):
            context = Context(self.loader(trainer), figures=False)
            one = self.evaluation.begin(self.adapted, place.alone, context)
            Session(self.adapted, place, context.loader, [one], self.input_key, self.label_key).rehearse(batch)

    def _check_loader(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse a data loader whose rows several processes could not tell apart."""
        place = place_of(trainer)
        with misconfiguration(self), undisturbed(pl_module):
            loader = self.loader(trainer)
            if self.adapted.ready and not self.evaluation.begin(self.adapted, place.alone, Context(loader)).done:
                RowPositions(loader, place.rank, place.world_size)

    def _monitors(self, trainer: L.Trainer) -> list[Monitor]:
        return monitors_of(trainer, f"{self.stage(trainer)}/{self.family}/")

    def _settle(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        def say(message: str) -> None:
            rank_zero_info(f"{type(self).__name__}: {message}")

        try:
            with undisturbed(pl_module):
                self._settled = self.evaluation.settle(self.adapted, place_of(trainer), say)
        except Exception as error:  # whatever a model raises
            Watch.of(trainer).errors[self] = error

    def _log(self, trainer: L.Trainer, pl_module: L.LightningModule, report: Report) -> None:
        key = f"{self.stage(trainer)}/{self.family}"
        self._logged.values(pl_module, key, report.to_log(), taken=getattr(trainer, "_results", None) or ())
        missing = [one for one in self._monitors(trainer) if self._logged.lacks(one.key)]
        stand_in(self._logged.metrics, missing, pl_module.device)
        self.report = report.kept()
        try:
            self.keep(trainer, report)
        except Exception as error:  # a full disk, say
            warnings.warn(f"{type(self).__name__} could not save its results: {error}", UserWarning, stacklevel=2)
        if not report.scalars and not report.figures:
            rank_zero_warn(f"{type(self).__name__} logs nothing: no rows came from its data loader", UserWarning)
        if self.figures_due(trainer) and trainer.is_global_zero:
            log_figures(trainer, key, report.figures)


def evaluation_callbacks(trainer: L.Trainer) -> list[EvaluationCallback]:
    """The evaluation callbacks of a trainer, in order."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [one for one in callbacks if isinstance(one, EvaluationCallback)]
