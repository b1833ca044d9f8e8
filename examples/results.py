"""Tables of results over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from verdicts import over_seeds

Run = TypeVar("Run")
Quantities: TypeAlias = Mapping[str, tuple[int, Callable[[Run], float]]]


def rows(
    columns: Mapping[str, Sequence[Run]], quantities: Quantities[Run], seeds: Iterable[int], names: tuple[str, str]
) -> list[dict[str, object]]:
    """All values of each run, for a CSV file.

    Args:
        columns: the runs of the seeds that are done, by what differs between columns.
        quantities: decimals, and what it is of a run, by its name.
        seeds: of the runs.
        names: of what differs between columns, and of the seed.
    """
    return [
        {names[0]: name, names[1]: seed} | {what: of(run) for what, (_, of) in quantities.items()}
        for name, runs in columns.items()
        for seed, run in zip(seeds, runs, strict=False)
    ]


def table(columns: Mapping[str, Sequence[Run]], quantities: Quantities[Run]) -> str:
    """A Markdown table of means over seeds and half of their 95 % intervals.

    Args:
        columns: the runs of all seeds, by the column's name.
        quantities: decimals, and what it is of a run, by the row's name.
    """
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for what, (digits, of) in quantities.items():
        cells = []
        for runs in columns.values():
            values = [of(run) for run in runs]
            value, low, high = over_seeds(values)
            spread = f" ± {(high - low) / 2:.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{round(value, digits) + 0.0:.{digits}f}{spread}")  # + 0.0: no negative zero
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
