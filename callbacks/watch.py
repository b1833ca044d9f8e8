"""One validation epoch of a trainer, watched by all of its evaluation callbacks together."""

from __future__ import annotations

import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import lightning as L
import torch
import torch.distributed as dist
from torch.distributed.constants import default_pg_timeout
from tqdm import tqdm

from torchdisentangle.evaluation import Pass, Place, Report, Session, undisturbed
from torchdisentangle.evaluation.rows import Key
from torchdisentangle.evaluation.session import ROWS_DIFFER
from torchdisentangle.latent_model import LatentModel

_WATCHES: WeakKeyDictionary[L.Trainer, Watch] = WeakKeyDictionary()
_GROUPS: WeakKeyDictionary[L.Trainer, Any] = WeakKeyDictionary()


class Watching(Protocol):
    """What a watch asks of a callback."""

    dataloader_idx: int
    input_key: Key
    label_key: Key
    num_evaluations: int

    @property
    def family(self) -> str:
        """What is evaluated."""

    @property
    def reading(self) -> tuple[object, ...]:
        """Equal for callbacks that read the same rows of the same model."""

    @property
    def adapted(self) -> LatentModel:
        """The model that is evaluated."""

    def begin(self, trainer: L.Trainer) -> Pass:
        """Begin this epoch's pass."""

    def loader(self, trainer: L.Trainer) -> Any:
        """The data loader that the callback reads."""


class Watch:
    """The passes of all callbacks of one trainer in one epoch.

    The first callback of a trainer drives the others. So the context that leaves the model undisturbed is entered once
    for each batch, and each row is encoded once, however many callbacks look at it.

    Args:
        callbacks: those whose evaluation is due in this epoch.
    """

    def __init__(self, callbacks: list[Watching]) -> None:
        self.callbacks = callbacks
        self.passes: dict[Watching, Pass] = {}
        self.errors: dict[Watching, Exception] = {}
        self.seconds: dict[Watching, float] = {}
        self.sessions: list[Session] = []
        self._dataloader_idx: dict[Session, int] = {}
        self._begun = False

    @classmethod
    def of(cls, trainer: L.Trainer) -> Watch:
        """The watch over the current epoch."""
        return _WATCHES.setdefault(trainer, cls([]))

    @classmethod
    def begin(cls, trainer: L.Trainer, callbacks: list[Watching]) -> None:
        """Begin a new epoch."""
        _WATCHES[trainer] = cls(callbacks)

    def advance(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any = None, idx: int = -1) -> None:
        """Feed a batch of a data loader to all passes that want it; without a batch, only start what has not started.

        Args:
            trainer: the trainer.
            pl_module: the module that is evaluated.
            batch: a batch.
            idx: number of its data loader.
        """
        reading = [session for session in self.sessions if self._dataloader_idx[session] == idx and session.active]
        if self._begun and not reading:
            return
        first = not self._begun and any(callback.num_evaluations == 0 for callback in self.callbacks)
        with undisturbed(pl_module, rehearsal=first):
            if not self._begun:
                self._begun = True
                with shown(trainer, ", ".join(callback.family for callback in self.callbacks)):
                    self._begin_passes(trainer)
                reading = [session for session in self.sessions if self._dataloader_idx[session] == idx]
            for session in reading:
                session.feed(batch)

    def fail(self, error: Exception) -> None:
        """Keep an error that all evaluations have in common."""
        self.errors |= {callback: error for callback in self.callbacks if callback not in self.errors}

    def reads(self, idx: int) -> bool:
        """Whether any pass still wants batches of a data loader."""
        return any(session.active for session in self.sessions if self._dataloader_idx[session] == idx)

    def finish(self, trainer: L.Trainer, callback: Watching, place: Place) -> Report | None:
        """The report of a callback's evaluation; ``None``, with a warning, if it failed here or before on any process.

        Args:
            trainer: the trainer.
            callback: whose.
            place: where processes agree.
        """
        error, report = self._error_of(callback), None
        if not on_any(place, error is not None):
            try:
                one = self.passes[callback]
                signature = next(session.signature for session in self.sessions if one in session.passes)
                if not place.same(signature):
                    raise ValueError(ROWS_DIFFER)
                started = time.perf_counter()
                with shown(trainer, callback.family):
                    report = one.finish()
                self.seconds[callback] = time.perf_counter() - started + self._seconds_of(one)
            except Exception as raised:  # whatever a metric raises
                error = raised
        if error is not None:
            warnings.warn(f"{type(callback).__name__} could not be evaluated: {error}", UserWarning, stacklevel=3)
        return report

    def _seconds_of(self, one: Pass) -> float:
        return sum(session.seconds.get(one, 0.0) for session in self.sessions)

    def _error_of(self, callback: Watching) -> Exception | None:
        if callback in self.errors:
            return self.errors[callback]
        found = (session.errors.get(self.passes[callback]) for session in self.sessions if callback in self.passes)
        return next((error for error in found if error is not None), None)

    def _begin_passes(self, trainer: L.Trainer) -> None:
        groups: dict[object, list[Watching]] = {}
        for callback in self.callbacks:
            try:
                self.passes[callback] = callback.begin(trainer)
            except Exception as error:  # whatever a model raises: a metric must not end a training that has begun
                self.errors[callback] = error
            else:
                groups.setdefault(callback.reading, []).append(callback)
        for callbacks in groups.values():
            first = callbacks[0]
            session = Session(
                first.adapted,
                place_of(trainer),
                first.loader(trainer),
                [self.passes[callback] for callback in callbacks],
                first.input_key,
                first.label_key,
            )
            self.sessions.append(session)
            self._dataloader_idx[session] = first.dataloader_idx
            session.start()


def shows_progress(trainer: L.Trainer) -> bool:
    """Whether this process has a progress bar."""
    return trainer.is_global_zero and trainer.progress_bar_callback is not None


def shown(trainer: L.Trainer, what: str) -> AbstractContextManager[Any]:
    """Say what is being evaluated, in a line below the trainer's progress bar, if it has one; see ``with_bar``."""
    if not shows_progress(trainer):
        return nullcontext()
    return tqdm(desc=f"evaluating {what}", bar_format="{desc}", leave=False)


def place_of(trainer: L.Trainer) -> Place:
    """Where this process of a trainer stands."""
    return Place(trainer.strategy.root_device, trainer.global_rank, trainer.world_size)


def agreeing(trainer: L.Trainer) -> Place:
    """Where the processes of a trainer agree on what went wrong; first called at a place that all of them pass.

    They do so in a group of their own. A process that fails in the middle of a reduction comes here while others still
    wait there; in one group, their messages would be taken for each other.
    """
    place = place_of(trainer)
    if place.world_size == 1:
        return place
    if trainer not in _GROUPS:
        patience = getattr(trainer.strategy, "_timeout", None) or default_pg_timeout
        _GROUPS[trainer] = dist.new_group(backend="gloo", timeout=2 * patience)  # longer than others wait there
    return replace(place, device=torch.device("cpu"), group=_GROUPS[trainer])


def on_any(place: Place, flag: bool) -> bool:
    """Whether the flag is set on any process; also if they cannot be asked any more."""
    try:
        return place.any(flag)
    except RuntimeError:  # another process is gone
        return True
