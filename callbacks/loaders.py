"""The data loaders of a validation or test, and what each of them has given to a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.utilities import CombinedLoader


class Loaders:
    """The data loaders of a validation or test.

    Lightning reads several loaders one after the other, or together in a mode of its ``CombinedLoader``. A batch that
    they give together has a part from each, or none from one that has ended; ``"max_size_cycle"`` begins that one anew,
    so that its rows come again.

    Args:
        combined: all of them.

    Example:
        >>> loaders = Loaders(CombinedLoader({"a": range(1), "b": range(2)}, "max_size_cycle"))
        >>> [loaders.parts(batch, number) for batch, number, _ in loaders.combined]
        [{0: 0, 1: 0}, {1: 1}]
    """

    def __init__(self, combined: CombinedLoader) -> None:
        self.combined: CombinedLoader = combined
        self.mode: str = combined._mode

    @classmethod
    def of(cls, trainer: L.Trainer) -> Loaders:
        """Those that a trainer evaluates on now; a trainer that fits and validates has two kinds."""
        loop: Any = trainer.fit_loop.epoch_loop.val_loop
        if trainer.testing:
            loop = trainer.test_loop
        elif trainer.state.fn == "validate":
            loop = trainer.validate_loop
        combined = loop._combined_loader
        if combined is None:  # not set up yet
            combined = CombinedLoader(
                trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders, "sequential"
            )
        return cls(combined)

    def __getitem__(self, idx: int) -> Any:
        """The data loader of a number.

        Raises:
            ValueError: if there is none.
        """
        if not 0 <= idx < len(self.combined.flattened):
            raise ValueError(f"dataloader_idx={idx}, but data loaders: {len(self.combined.flattened)}")
        return self.combined.flattened[idx]

    def check(self, idx: int, num_processes: int) -> None:
        """Refuse a loader of which batches do not tell how many rows are new, or hold other rows on several processes.

        Args:
            idx: its number.
            num_processes: that read it.

        Raises:
            ValueError: for such a loader.
        """
        lengths = [_length(loader) for loader in self.combined.flattened]
        if len(lengths) == 1:
            return
        if self.mode == "max_size_cycle" and lengths[idx] is None:
            raise ValueError(
                f"in mode 'max_size_cycle' the data loader dataloader_idx={idx} needs a length, to tell which rows "
                "come again: use mode 'max_size' or 'sequential'"
            )
        shortest = min((length for length in lengths if length is not None), default=None)
        if self.mode == "min_size" and num_processes > 1 and (None in lengths or lengths[idx] != shortest):
            raise ValueError(
                f"in mode 'min_size' the data loader dataloader_idx={idx} may be left before it ends, by "
                f"{num_processes} processes at other rows than by one: use mode 'max_size' or 'sequential'"
            )

    def parts(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[int, Any]:
        """What each loader has given to a batch that is new, by the number of the loader.

        Args:
            batch: as Lightning's hooks get it.
            batch_idx: likewise.
            dataloader_idx: likewise.
        """
        if self.mode == "sequential":
            return {dataloader_idx: batch}
        parts = dict(enumerate(self._flat(self.combined.iterables, batch)))
        if self.mode == "max_size_cycle":
            lengths = {idx: _length(self[idx]) for idx in parts}
            parts = {idx: part for idx, part in parts.items() if batch_idx < (lengths[idx] or 0)}
        return {idx: part for idx, part in parts.items() if part is not None}

    def _flat(self, loaders: Any, batch: Any) -> Iterator[Any]:
        if any(loaders is one for one in self.combined.flattened):
            yield batch
        elif isinstance(loaders, Mapping):
            for name, loader in loaders.items():
                yield from self._flat(loader, batch[name])
        else:
            for loader, part in zip(loaders, batch, strict=True):
                yield from self._flat(loader, part)


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):  # a stream
        return None
