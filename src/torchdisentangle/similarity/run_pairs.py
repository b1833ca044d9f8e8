"""All pairs of many runs, a block of them at a time: fingerprints that lie in files are read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.similarity.alignment import SharedPoints
from torchdisentangle.similarity.fingerprint import Fingerprint

Prepare = Callable[[Fingerprint], tuple[Tensor, ...]]


class FingerprintFiles(Mapping[str, Fingerprint]):
    """Fingerprints by name, each read from its file when it is asked for, and kept by nobody.

    Args:
        files: that :meth:`Fingerprint.save` wrote, by the runs' names.

    Example:
        >>> import tempfile, torch
        >>> path = Fingerprint(torch.eye(2), torch.zeros(2, 2), torch.arange(2)).save(f"{tempfile.mkdtemp()}/run")
        >>> FingerprintFiles({"run": path})["run"]
        Fingerprint(2 points, 2 channels)
    """

    def __init__(self, files: Mapping[str, str | os.PathLike[str]]) -> None:
        self.files: dict[str, Path] = {name: Path(file) for name, file in files.items()}

    def __getitem__(self, name: str) -> Fingerprint:
        return Fingerprint.load(self.files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


class RunPair(NamedTuple):
    """Two runs by their places, ``first`` not after ``second``, and what was prepared of each."""

    first: int
    second: int
    of_first: tuple[Tensor, ...]
    of_second: tuple[Tensor, ...]


class RunPairs:
    """All pairs of runs, block by block: what is held at a time is what two blocks of runs need.

    Fingerprints are asked for one by one, twice and then once more for each block before their own. Those of
    :class:`FingerprintFiles` need to fit in memory no more than the pairs do.

    Args:
        fingerprints: of at least one run, by name.
        prepare: what pairs need of a run, tensors, from its fingerprint at the shared points on the CPU.
        runs_at_once: how many runs are in a block; what a pair yields does not depend on it. ``None``: as many as fit
            in the memory that a CPU may use.

    Raises:
        ValueError: if the fingerprints are not of the same data points, or a block has no run.
    """

    def __init__(
        self, fingerprints: Mapping[str, Fingerprint], prepare: Prepare, runs_at_once: int | None = None
    ) -> None:
        if runs_at_once is not None and runs_at_once < 1:
            raise ValueError(f"runs_at_once must be at least 1, got {runs_at_once}")
        self.names: list[str] = list(fingerprints)
        self.points: SharedPoints = SharedPoints(fingerprints[name].to("cpu") for name in self.names)
        self._fingerprints, self._prepare, self._runs_at_once = fingerprints, prepare, runs_at_once

    @property
    def num_points(self) -> int:
        """Data points at which the runs are compared."""
        return len(self.points.index)

    def __iter__(self) -> Iterator[RunPair]:
        blocks = [range(rows.start, rows.stop) for rows in self._blocks()]
        for place, block in enumerate(blocks):
            held = [(run, self._prepared(run)) for run in block]
            for (i, one), (j, other) in combinations_with_replacement(held, 2):
                yield RunPair(i, j, one, other)
            for later in blocks[place + 1 :]:
                yield from self._between(held, later)

    def _between(self, held: list[tuple[int, tuple[Tensor, ...]]], later: range) -> Iterator[RunPair]:
        others = [(run, self._prepared(run)) for run in later]
        for (i, one), (j, other) in product(held, others):
            yield RunPair(i, j, one, other)

    def _prepared(self, run: int) -> tuple[Tensor, ...]:
        return self._prepare(self.points.of(self._fingerprints[self.names[run]].to("cpu")))

    def _blocks(self) -> Iterator[slice]:
        if self._runs_at_once is not None:
            return row_blocks(len(self.names), 1, self._runs_at_once)
        of_a_run = sum(part.nbytes for part in self._prepared(0))
        return row_blocks(len(self.names), of_a_run, sizes_of("cpu").memory_budget // 2)
