"""Passes over the same rows, which are encoded once for all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.evaluation.base import Pass
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.positions import RowPositions
from torchdisentangle.evaluation.rows import Key, encode, take
from torchdisentangle.latent_model import LatentModel

ROWS_DIFFER = (
    "on other processes the items of the data set hold other numbers of rows, or the sampler draws another order, "
    "so rows would be missing or counted twice"
)


class Session:
    """Feeds passes that look at the same rows of the same model, and keeps their errors apart.

    If a pass raises an error, it gets no more rows, and ``errors`` keeps the error; the other passes go on. ``seconds``
    says how long each pass has taken, without the encoding that all share.

    Args:
        model: the model that encodes.
        place: where this process stands.
        loader: the data loader that the batches come from.
        passes: what to feed.
        input_key: where the data are in a batch.
        label_key: where the labels are, for a conditional model.
        positions: of the rows that come; by default as the loader's sampler deals them out.
    """

    def __init__(
        self,
        model: LatentModel,
        place: Place,
        loader: Any,
        passes: Sequence[Pass],
        input_key: Key = None,
        label_key: Key = 1,
        positions: RowPositions | None = None,
    ) -> None:
        self.model = model
        self.place = place
        self.loader = loader
        self.passes: list[Pass] = list(passes)
        self.input_key = input_key
        self.label_key = label_key
        self.errors: dict[Pass, Exception] = {}
        self.seconds: dict[Pass, float] = {}
        self._positions = positions
        self._started = False

    @property
    def active(self) -> list[Pass]:
        """The passes that still want rows."""
        return [one for one in self.passes if one not in self.errors and not one.done]

    def start(self) -> None:
        """Let every pass do what needs no rows; once."""
        if not self._started:
            self._started = True
            for one in self.passes:
                self._try(one, one.start)

    def feed(self, batch: Any) -> None:
        """Encode the rows of a batch that any pass wants, and hand them out."""
        self.start()
        active = self.active
        if not active:
            return
        try:
            index = self._next(batch)
            wanted = {one: (index >= 0) & one.wants(index).to(index.device) for one in active}
            chosen = torch.stack(list(wanted.values())).any(0).nonzero()[:, 0]
            if not len(chosen):
                return
            rows = encode(self.model, batch, chosen, index[chosen], self.input_key, self.label_key)
        except Exception as error:  # whatever a model or a loader raises
            self.errors |= dict.fromkeys(active, error)
            return
        for one in active:
            places = wanted[one][chosen]
            if places.any():
                self._try(one, one.add, rows.at(places))

    def rehearse(self, batch: Any) -> None:
        """Try a first batch; the first error is raised."""
        if self.active:
            self._next(batch)
        size = torch.arange(len(take(batch, self.input_key)))
        for one in self.active:
            chosen = one.wants(size).nonzero()[:, 0]
            if len(chosen):
                one.rehearse(encode(self.model, batch, chosen, chosen, self.input_key, self.label_key))

    def skip(self, batch: Any) -> None:
        """Pass over a batch that another process evaluates; all processes read the same batches."""
        try:
            self._next(batch)
        except Exception as error:  # whatever is wrong with a batch
            self.errors |= dict.fromkeys(self.active, error)

    @property
    def signature(self) -> int:
        """What all processes must agree on in the end, so that no row is missing or counted twice; -1 without rows."""
        return -1 if self._positions is None else self._positions.signature

    def _next(self, batch: Any) -> Tensor:
        if self._positions is None:
            self._positions = RowPositions(self.loader, self.place.rank, self.place.world_size)
        return self._positions.next(len(take(batch, self.input_key)))

    def _try(self, one: Pass, act: Any, *arguments: Any) -> None:
        started = time.perf_counter()
        try:
            act(*arguments)
        except Exception as error:  # whatever a model raises: one evaluation must not take the others with it
            self.errors[one] = error
        self.seconds[one] = self.seconds.get(one, 0.0) + time.perf_counter() - started
