"""An evaluation: its settings, and one pass of it over a model and its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.latent_model import LatentModel

Say = Callable[[str], None]

Goal = Literal["max", "min", "none"]
"""Whether a value is best when it is large, when it is small, or has no best."""


def silent(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Context:
    """What a pass is told about its surroundings.

    Args:
        loader: the data loader that the rows come from, if there is one.
        figures: whether figures will be drawn from the report.
        progress: whether to show a progress bar.
        training: whether the model trains on this device, so that its peak of memory should not grow.
    """

    loader: Any = None
    figures: bool = True
    progress: bool = False
    training: bool = False

    @property
    def dataset(self) -> Any:
        """The data set of the loader, if it has one."""
        return getattr(self.loader, "dataset", None)


class Evaluation(ABC):
    """What to evaluate, and how: settings that do not change.

    :meth:`begin` starts a :class:`Pass`, an object that lives for one evaluation of one model. A subclass is a frozen
    dataclass.
    """

    family: ClassVar[str]
    """First part of the names of all values."""

    @property
    @abstractmethod
    def abilities(self) -> tuple[str, ...]:
        """Names of what the model must be able to do, such as ``"encode"`` and ``"decode"``."""

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The few values to look at first, and what is best; none if all are."""
        return {}

    def check(self, model: LatentModel) -> None:
        """Raise a TypeError or ValueError if the model lacks what is needed."""
        model.require(*self.abilities)

    def rehearse(self, model: LatentModel, place: Place) -> None:
        """Try the model on a few latents, before training; errors are raised."""

    def settle(self, model: LatentModel, place: Place, say: Say = silent) -> Evaluation:
        """Make the choices that depend on model and machine, together with all processes.

        All processes call it, in the same order, before the first pass. The result is used from then on.

        Args:
            model: the model, undisturbed.
            place: where this process stands.
            say: told of each choice, in a sentence.
        """
        return self

    def caution(self, report: Report) -> str | None:
        """What must be said of a report, once in a run: a value that is no finding but a limit of the data, say."""
        return None

    @abstractmethod
    def begin(self, model: LatentModel, place: Place, context: Context) -> Pass:
        """Begin a pass; cheap, and without communication."""


class Pass(ABC):
    """One evaluation of one model: it is started, given rows until it is done, and finishes with a report.

    The model is undisturbed (eval mode, full precision, no gradients) while it is started and given rows.
    """

    @property
    def done(self) -> bool:
        """Whether no more rows are needed."""
        return False

    def start(self) -> None:
        """Do what needs no rows."""

    def wants(self, index: Tensor) -> Tensor:
        """Which rows are needed, so that the others need not be encoded.

        Args:
            index: positions of the rows in the data set, ``(n,)`` integers.

        Returns:
            ``(n,)`` booleans.
        """
        return torch.ones_like(index, dtype=torch.bool)

    def add(self, rows: Rows) -> None:
        """Use rows that are wanted."""

    def rehearse(self, rows: Rows) -> None:
        """Try rows of a first batch; errors are raised."""
        self.add(rows)

    @abstractmethod
    def finish(self) -> Report:
        """Reduce over processes and report; called on all processes."""
