"""What all callbacks have in common: the model that they evaluate, and how the report is logged."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import replace
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.callbacks import checks
from torchdisentangle.callbacks.between import log_between
from torchdisentangle.callbacks.figures import log_figures
from torchdisentangle.callbacks.hooks import EvaluationHooks, evaluation_callbacks
from torchdisentangle.callbacks.loaders import Loaders
from torchdisentangle.callbacks.logged import Logged
from torchdisentangle.callbacks.monitors import Monitor, monitors_of, stand_in
from torchdisentangle.callbacks.schedule import Schedule
from torchdisentangle.callbacks.watch import Watch, agreeing, on_any, place_of, shows_progress
from torchdisentangle.callbacks.weights_and_biases import introduce
from torchdisentangle.evaluation import Context, Evaluation, Pass, Report, RowPositions, Session, undisturbed
from torchdisentangle.evaluation.rows import Key
from torchdisentangle.evaluation.sharded import check_unsharded
from torchdisentangle.evaluation.tables import tables_of
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import as_latent_model
from torchdisentangle.settings import described, unknown_setting


class EvaluationCallback(EvaluationHooks):
    """Runs an evaluation in every validation or test epoch, and logs its report.

    Before training the callback checks the model and rehearses the evaluation, and errors are raised. Once training has
    begun, an error never ends it: all processes warn, and the epoch has no values. The attribute ``report`` keeps the
    last report.

    A checkpoint, an early stopping or a scheduler never sees the value of another epoch. If one of them needs a value
    in an epoch (those with ``strict=False`` need none), the callback evaluates in it, whatever its ``every_n_epochs``.
    If the evaluation fails, they see the worst value, which counts as no improvement. Values that are infinite in
    float32, the precision of loggers, are counted in ``num_unlogged`` instead of logged.

    Args:
        evaluation: what to evaluate.
        prefix: first part of the logged keys; by default ``val`` in fit and validate, ``test`` in test. Two callbacks
            of one family need different ones.
        every_n_epochs: evaluate in every ``every_n_epochs``-th validation epoch, in the last, and at the end of a fit
            that stops between two of them. Validate and test always evaluate.
        every_n_steps: also evaluate every so many optimizer steps, between two batches, with the weights in training.
        at_start: also evaluate before the first step.
        figures: draw figures at every ``figures``-th evaluation of a fit; ``True``: at each, ``False``: never.
        log_seconds: log ``seconds``, the time that the evaluation took on the first process, without encoding the rows.
        dataloader_idx: which validation data loader to use if there are several. If a ``CombinedLoader`` reads them
            together, the batch is this loader's part of it, without rows that it repeats.
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
        every_n_steps: int | None = None,
        at_start: bool = False,
        figures: bool | int = True,
        log_seconds: bool = False,
        dataloader_idx: int = 0,
        input_key: Key = None,
        label_key: Key = 1,
        latent_dim: int | None = None,
        num_classes: int | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        for name in unknown:
            raise unknown_setting(type(self), name)
        Schedule(every_n_epochs, every_n_steps, at_start).check()
        if int(figures) < 0:
            raise MisconfigurationException(f"figures must be a bool or a positive number, got {figures}")
        self.evaluation = evaluation
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self.at_start = at_start
        self.prefix = prefix
        self.figures = figures
        self.log_seconds = log_seconds
        self.dataloader_idx: int = dataloader_idx
        self.input_key = input_key
        self.label_key = label_key
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.num_evaluations: int = 0
        self.report: Report | None = None
        self._model: LatentModel | None = None
        self._settled: Evaluation | None = None
        self._trainer: Any = None
        self._logged = Logged()
        self.last_step: int | None = None  # of the last evaluation
        self.found_at: tuple[str, int] | None = None  # stage and step of the report

    @property
    def family(self) -> str:
        """The second part of the logged keys."""
        return self.evaluation.family

    @property
    def schedule(self) -> Schedule:
        """The epochs and the steps in which the callback evaluates."""
        return Schedule(self.every_n_epochs, self.every_n_steps, self.at_start)

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
        training = trainer.state.fn == "fit"
        context = Context(self.loader(trainer), self.figures_due(trainer), shows_progress(trainer), training=training)
        return evaluation.begin(self.adapted, place_of(trainer), context)

    def loader(self, trainer: L.Trainer) -> Any:
        """The data loader that this callback reads.

        Raises:
            ValueError: if there is none of that number.
        """
        return Loaders.of(trainer)[self.dataloader_idx]

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        with checks.misconfiguration():
            checks.check_strategy(trainer)
        if stage == "fit" or self._trainer is None or self._trainer() is not trainer:
            self.forget()  # a checkpoint restores what it holds afterwards
        self._trainer = weakref.ref(trainer)

    def forget(self) -> None:
        """Forget earlier runs."""
        self.num_evaluations, self._settled, self._logged = 0, None, Logged(self.later)
        self.last_step = self.found_at = None

    def prepare(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the values of the last evaluation, and make choices that depend on the machine."""
        self._logged.forget(trainer.callback_metrics)
        agreeing(trainer)
        if self in Watch.of(trainer).callbacks and self._settled is None:
            self._settle(trainer, pl_module)

    def conclude(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Finish the evaluation, together with all processes, and log its report."""
        watch, place = Watch.of(trainer), agreeing(trainer)
        watch.advance(trainer, pl_module)  # a process that had no batch starts here
        report = watch.finish(trainer, self, place)
        self.last_step = trainer.global_step
        if on_any(place, report is None) or report is None:
            rank_zero_warn(f"{type(self).__name__} has no values for epoch {trainer.current_epoch}", UserWarning)
            stand_in(self._logged.metrics, self._monitors(trainer), pl_module.device)
            return
        if self.log_seconds:
            report = replace(report, scalars={**report.scalars, "seconds": watch.seconds[self]})
        self._log(trainer, pl_module, report)
        self.num_evaluations += trainer.state.fn == "fit"

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        checks.heed_advice(*(f"{prefix}/{self.family}" for prefix in (self.prefix, "val", "test")))

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
        return self.schedule.due_in_epoch(trainer, self._monitors(trainer))

    def figures_due(self, trainer: L.Trainer) -> bool:
        """Whether to draw figures in this epoch."""
        return bool(self.figures) and (trainer.state.fn != "fit" or self.num_evaluations % int(self.figures) == 0)

    def stage(self, trainer: L.Trainer) -> str:
        """The first part of the logged keys."""
        return self.prefix or ("test" if trainer.testing else "val")

    def __repr__(self) -> str:
        return described(self)

    def attach(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        key = f"{self.stage(trainer)}/{self.family}"
        checks.quieten_advice(trainer, key)
        others = [one for one in evaluation_callbacks(trainer) if one is not self]
        introduce(trainer, key, repr(self), self.evaluation.headlines)
        with checks.misconfiguration(self):
            checks.check_keys(key, [f"{one.stage(trainer)}/{one.family}" for one in others], type(self).__name__)
            check_unsharded(pl_module)
            self._model = as_latent_model(pl_module, latent_dim=self.latent_dim, num_classes=self.num_classes)
            self.evaluation.check(self._model)
            if self._model.ready:
                with undisturbed(pl_module, rehearsal=True):
                    self.evaluation.rehearse(self._model, place_of(trainer))

    def rehearse_batch(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any) -> None:
        place = place_of(trainer)
        with checks.misconfiguration(self), undisturbed(pl_module, rehearsal=True):
            context = Context(self.loader(trainer), figures=False)
            one = self.evaluation.begin(self.adapted, place.alone, context)
            Session(self.adapted, place, context.loader, [one], self.input_key, self.label_key).rehearse(batch)

    def check_loader(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse a data loader whose rows several processes could not tell apart."""
        place = place_of(trainer)
        with checks.misconfiguration(self), undisturbed(pl_module):
            loader = self.loader(trainer)
            if self.adapted.ready and not self.evaluation.begin(self.adapted, place.alone, Context(loader)).done:
                Loaders.of(trainer).check(self.dataloader_idx, place.world_size)
                RowPositions(loader, place.rank, place.world_size)

    def compare(self, trainer: L.Trainer) -> None:
        """Warn if the trainer has logged other values than these."""
        self._logged.warn_of_others(trainer.callback_metrics)

    def _monitors(self, trainer: L.Trainer) -> list[Monitor]:
        return monitors_of(trainer, f"{self.stage(trainer)}/{self.family}/")

    def _settle(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        name = type(self).__name__
        try:
            with undisturbed(pl_module):
                self._settled = self.evaluation.settle(
                    self.adapted, place_of(trainer), lambda message: rank_zero_info(f"{name}: {message}")
                )
        except Exception as error:  # whatever a model raises
            Watch.of(trainer).errors[self] = error

    def _log(self, trainer: L.Trainer, pl_module: L.LightningModule, report: Report) -> None:
        key = f"{self.stage(trainer)}/{self.family}"
        in_epoch = trainer.validating or trainer.testing
        others = (getattr(trainer, "_results", None) if in_epoch else None) or ()
        values = self._logged.take(key, report.to_log(), others)
        if in_epoch:
            pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=False)  # equal on all processes
        else:
            log_between(trainer, values)
        missing = [one for one in self._monitors(trainer) if self._logged.lacks(one.key)]
        stand_in(self._logged.metrics, missing, pl_module.device)
        self.report, self.found_at = report.kept(), (self.stage(trainer), trainer.global_step)
        self._logged.warn_once(key, self.evaluation.caution(report))
        try:
            self.keep(trainer, report)
        except Exception as error:  # a full disk, say
            warnings.warn(f"{type(self).__name__} could not save its results: {error}", UserWarning, stacklevel=2)
        if not report.scalars and not report.figures:
            rank_zero_warn(f"{type(self).__name__} logs nothing: no rows came from its data loader", UserWarning)
        if self.figures_due(trainer) and trainer.is_global_zero:
            log_figures(trainer, key, report.figures, lambda: tables_of(report))
