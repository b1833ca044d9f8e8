"""Tables of results over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from verdicts import over_seeds

Run = TypeVar("Run")


def table(columns: Mapping[str, Sequence[Run]], quantities: Mapping[str, tuple[int, Callable[[Run], float]]]) -> str:
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
