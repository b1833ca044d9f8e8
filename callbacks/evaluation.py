"""What all metric callbacks have in common: when they run, on which model, and how results are logged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning as L
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.callbacks.figures import log_figure
from torchdisentangle.evaluation.undisturbed import undisturbed
from torchdisentangle.models import LatentModel, Posterior, as_latent_model


class EvaluationCallback(L.Callback):
    """Base of callbacks that evaluate the latent model once in every validation or test epoch.

    Subclasses say which ``abilities`` the model needs, and define :meth:`start`, :meth:`on_batch`, :meth:`finish`, all
    of which are called with the module undisturbed (eval mode, full precision, no gradients, generators restored).

    Before training the model is asked for its abilities, and :meth:`rehearse` may try them: errors are raised. After
    that an error never ends a training: it is warned of, on all processes, and the epoch has no values.

    Args:
        prefix: first part of the logged keys; by default ``val`` in fit and validate, ``test`` in test. Two callbacks
            of one kind need different ones.
        every_n_epochs: evaluate in every so many epochs of a fit (validate and test always evaluate).
        figures: draw figures at every so many evaluations; ``True``: at each, ``False``: never.
        seed: of the callback's own random numbers.
        dataloader_idx: which validation data loader to use where there are several.
        input_key: where the data are in a batch: a position or a key; ``None``: the batch itself if it is a tensor,
            else its first element.
        label_key: where the labels are in a batch.
        latent_dim: number of latents, if the model does not tell.
        num_classes: number of classes of a conditional model, if it does not tell.
    """

    family: ClassVar[str]

    def __init__(
        self,
        *,
        prefix: str | None = None,
        every_n_epochs: int = 1,
        figures: bool | int = True,
        seed: int = 0,
        dataloader_idx: int = 0,
        input_key: int | str | None = None,
        label_key: int | str = 1,
        latent_dim: int | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if every_n_epochs < 1:
            raise MisconfigurationException(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        if int(figures) < 0:
            raise MisconfigurationException(f"figures must be a bool or a positive number, got {figures}")
        self.prefix, self.every_n_epochs, self.figures = prefix, every_n_epochs, int(figures)
        self.seed, self.dataloader_idx = seed, dataloader_idx
        self.input_key, self.label_key = input_key, label_key
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.model: LatentModel | None = None
        self._started = self._failed = False
        self._evaluations = 0

    @property
    def abilities(self) -> tuple[str, ...]:
        """What the model must be able to do."""
        raise NotImplementedError

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Try what will be needed, before training; errors are raised."""

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Try a first batch, in Lightning's sanity check; errors are raised."""

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Begin an evaluation; called inside the first batch's hook, or at the epoch's end if there is no batch."""
        raise NotImplementedError

    @property
    def done(self) -> bool:
        """Whether no more batches are needed."""
        return False

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Use a batch of data."""

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Reduce over processes; return scalars and figures by name. Called on all processes."""
        raise NotImplementedError

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._attach(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._attach(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._attach(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._started = self._failed = False
        if trainer.sanity_checking or trainer.state.fn != "fit":
            with _misconfiguration():
                self.loader(trainer)

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
        if dataloader_idx != self.dataloader_idx or self.model is None:
            return
        if trainer.sanity_checking:
            if batch_idx == 0 and self.model.ready:
                with undisturbed(pl_module), _misconfiguration():
                    self.rehearse_batch(trainer, self.model, batch)
        elif self._due(trainer):
            self._advance(trainer, pl_module, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or not self._due(trainer) or self.model is None:
            return
        if not self._started:  # this process had no batch
            self._advance(trainer, pl_module)
        if trainer.strategy.reduce_boolean_decision(self._failed, all=False):
            rank_zero_warn(f"{type(self).__name__} has no values for epoch {trainer.current_epoch}", UserWarning)
            return
        scalars: Mapping[str, Tensor] = {}
        figures: Mapping[str, Callable[[], Figure]] = {}
        with self._forgiven():
            scalars, figures = self.finish(trainer)
        key = self._key(trainer)
        finite = {f"{key}/{name}": value.detach().float() for name, value in scalars.items() if value.isfinite()}
        pl_module.log_dict(finite, on_step=False, on_epoch=True, sync_dist=False)  # equal on all processes already
        if self.figures and self._evaluations % self.figures == 0 and trainer.is_global_zero:
            for name, draw in figures.items():
                with self._forgiven():
                    log_figure(trainer, f"{key}/{name}", draw())
        self._evaluations += 1

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def take(self, batch: Any, key: int | str | None) -> Tensor:
        """A tensor of a batch, by position or key.

        Raises:
            TypeError: if there is no such tensor.
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
            raise TypeError(f"the batch has no tensor at {key!r} ({has}): set input_key or label_key of the callback")
        return value

    def encode(self, model: LatentModel, batch: Any, rows: Tensor) -> Posterior:
        """Posteriors of some rows of a batch.

        Args:
            model: the model; a conditional one gets the batch's labels.
            batch: the batch.
            rows: which rows, ``(n,)`` integers.

        Returns:
            The posteriors of these rows.

        Raises:
            TypeError: if the batch has no data, or no labels where they are needed.
        """
        x = self.take(batch, self.input_key)
        x = x[rows.to(x.device)]
        if x.is_floating_point():
            x = x.to(next((p for p in model.module.parameters() if p.is_floating_point()), x))
        if model.num_classes is None:
            return model.encode(x)
        labels = self.take(batch, self.label_key)
        return model.encode(x, labels[rows.to(labels.device)])

    def loader(self, trainer: L.Trainer) -> Any:
        """The data loader that this callback reads.

        Raises:
            ValueError: if there is none of that number.
        """
        loaders = CombinedLoader(trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders, "sequential")
        if not 0 <= self.dataloader_idx < len(loaders.flattened):
            raise ValueError(f"dataloader_idx={self.dataloader_idx}, but data loaders: {len(loaders.flattened)}")
        return loaders.flattened[self.dataloader_idx]

    def _attach(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Lightning advises sync_dist=True for every value logged on several processes; these are reduced already
        warnings.filterwarnings("ignore", message=rf".*recommended to use `self\.log\('\w+/{self.family}/")
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        others = [other for other in callbacks if isinstance(other, EvaluationCallback) and other is not self]
        if self._key(trainer) in [other._key(trainer) for other in others]:  # Lightning would log averages of both
            raise MisconfigurationException(
                f"two callbacks log {self._key(trainer)}/...: give one of them another prefix, such as "
                f"{type(self).__name__}(prefix='second')"
            )
        with _misconfiguration():
            self.model = as_latent_model(pl_module, latent_dim=self.latent_dim, num_classes=self.num_classes)
            self.model.require(*self.abilities)
            if self.model.ready:
                with undisturbed(pl_module):
                    self.rehearse(trainer, self.model)

    def _key(self, trainer: L.Trainer) -> str:
        return f"{self.prefix or ('test' if trainer.testing else 'val')}/{self.family}"

    def _due(self, trainer: L.Trainer) -> bool:
        return trainer.state.fn != "fit" or (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _advance(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any = None) -> None:
        if self._failed or self.model is None or (self._started and self.done):
            return
        with self._forgiven(), undisturbed(pl_module):
            if not self._started:
                self._started = True
                self.start(trainer, self.model)
            if batch is not None and not self.done:
                self.on_batch(trainer, self.model, batch)

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a model raises: a metric must not end a training that has begun
            self._failed = True
            warnings.warn(f"{type(self).__name__} could not be evaluated: {error}", UserWarning, stacklevel=2)


@contextmanager
def _misconfiguration() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a model raises
        raise MisconfigurationException(str(error)) from error
