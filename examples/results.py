"""Small tables of results, with what made them beside them."""

from __future__ import annotations

import csv
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch
from verdicts import over_seeds

Run = TypeVar("Run")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], seconds: float) -> None:
    """A row for each run, under comments that tell the command, the machine and the versions.

    Args:
        path: of the file.
        rows: values by column; floats are written with six digits.
        seconds: of processor time that all of them took.
    """
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "normflows"))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    story = Path(sys.argv[0]).resolve().parent.name
    with path.open("w", newline="") as file:
        file.write(f"# python examples/{story}/main.py {' '.join(sys.argv[1:])}\n")
        file.write(f"# {device}, one thread, {seconds:.0f} s; Python {platform.python_version()}, {packages}\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )


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
            value, low, high = over_seeds(values) if len(values) > 1 else (values[0],) * 3
            spread = f" ± {(high - low) / 2:.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{round(value, digits) + 0.0:.{digits}f}{spread}")  # + 0.0: no negative zero
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
