"""``torchdisentangle table``: one row for each run."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from torchdisentangle.cli.compare import run_names
from torchdisentangle.cli.options import counted, flat, words
from torchdisentangle.cli.output import number, without_nan
from torchdisentangle.cli.runs import runs_of
from torchdisentangle.cli.wandb_file import read_wandb
from torchdisentangle.evaluation.report import Report
from torchdisentangle.plots.runs import plot_runs

Values = Mapping[str, float]


def add_command(commands: Any) -> None:
    """Add the parser of ``table`` to those of the other commands."""
    parser = commands.add_parser(
        "table",
        help="make a table of runs",
        description="A table with one row for each run, of its saved report (report.npz, report.json), its CSV log "
        "(metrics.csv), or its offline W&B file. Of a log the last value of each column is taken.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a file, or a folder of a run: its latest file; or a study"
    )
    parser.add_argument(
        "--columns", type=words, nargs="+", metavar="PATTERN", help="values, such as mig or 'val/elbo/*' (those of all)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=tuple(FORMATS), default="markdown", help="of the table")
    for name in ("json", "csv"):
        form.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, help=f"the same as --format {name}"
        )
    parser.add_argument("--sort", metavar="COLUMN", help="the value by which rows descend (as they are given)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write the table (the standard output)")
    parser.add_argument(
        "--figure",
        type=Path,
        metavar="FILE",
        help="also draw the values with their intervals, to .png, .pdf or .svg (none)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make the table of the runs that the arguments name."""
    paths = runs_of(arguments.runs)
    files = [find_values(Path(path)) for path in paths]
    names = names_of(files) if len(files) > 1 else paths
    reports = dict(zip(names, map(read_run, counted(files, "reading runs")), strict=True))
    runs: dict[str, Values] = {name: report.scalars for name, report in reports.items()}
    columns = chosen_columns(list(runs.values()), flat(arguments.columns))
    if arguments.sort is not None:
        by = chosen_columns(list(runs.values()), [arguments.sort])[0]
        runs = dict(sorted(runs.items(), key=lambda item: -_sortable(item[1].get(by, math.nan))))
    if arguments.figure is not None:
        figure, _ = plot_runs(runs, columns, {name: report.intervals for name, report in reports.items()})
        arguments.figure.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(arguments.figure)
    text = FORMATS[arguments.format](runs, columns)
    if arguments.out is None:
        print(text)
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")


def names_of(files: Sequence[Path]) -> list[str]:
    """Short distinct names of runs: those of their folders, where the files are called as always.

    Example:
        >>> names_of([Path("runs/beta_0.5/report.npz"), Path("runs/beta_4/metrics.csv")])
        ['beta_0.5', 'beta_4']
        >>> names_of([Path("run/report.npz"), Path("run/metrics.csv")])
        ['report', 'metrics']
    """
    folders = [file.with_name("values") if file.name in FILES else file for file in files]
    return run_names(folders if len(set(folders)) == len(files) else files)


def find_values(run: Path) -> Path:
    """The file with the values of a run.

    Args:
        run: the file, or a folder with it: the latest report, else the latest log.

    Raises:
        ValueError: if there is none.
    """
    if run.is_file():
        return run
    for pattern in FILES:
        found = sorted(run.rglob(pattern), key=lambda path: (path.stat().st_mtime, path))
        if found:
            return found[-1]
    raise ValueError(f"{run} has no values: a file {', '.join(FILES)}, or a folder with one, is needed")


def read_run(path: Path) -> Report:
    """The values of a run, with their intervals where the file has some; a report's matrices are not kept.

    Raises:
        ValueError: if the file is of no known kind, or broken.
    """
    if path.suffix not in READERS:
        raise ValueError(f"{path} is of no known kind: it must end in {', '.join(READERS)}")
    try:
        report = READERS[path.suffix](path)
    except (ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return Report(report.scalars, intervals=report.intervals)


def chosen_columns(runs: Sequence[Values], patterns: Sequence[str] | None) -> list[str]:
    """Names of values, in the order of the patterns and then of the runs.

    Args:
        runs: their values.
        patterns: names with ``*`` and ``?``, which also stand for the last part of a name; ``None``: the values that
            all runs have.

    Raises:
        ValueError: if a pattern finds nothing, or the runs have nothing in common.

    Example:
        >>> chosen_columns([{"val/elbo/kl": 1.0, "val/mig": 0.5}, {"val/mig": 0.4}], None)
        ['val/mig']
        >>> chosen_columns([{"val/elbo/kl": 1.0, "val/mig": 0.5}], ["mig", "*/kl"])
        ['val/mig', 'val/elbo/kl']
    """
    names = list(dict.fromkeys(name for run in runs for name in run))
    if patterns is None:
        shared = [name for name in names if all(name in run for run in runs)]
        if not shared:
            raise ValueError("these runs have no value in common: choose some with --columns")
        return shared
    chosen: list[str] = []
    for pattern in patterns:
        found = [name for name in names if fnmatch(name, pattern) or fnmatch(name, f"*/{pattern}")]
        if not found:
            raise ValueError(f"no run has a value {pattern!r}; there are {', '.join(names)}")
        chosen += [name for name in found if name not in chosen]
    return chosen


def as_csv(runs: Mapping[str, Values], columns: Sequence[str]) -> str:
    """CSV, with all digits.

    Example:
        >>> as_csv({"a": {"mig": 0.25}, "b": {}}, ["mig"])
        'run,mig\\na,0.25\\nb,'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *columns])
    writer.writerows([name, *(values.get(column, "") for column in columns)] for name, values in runs.items())
    return text.getvalue().rstrip("\n")


def as_json(runs: Mapping[str, Values], columns: Sequence[str]) -> str:
    """JSON with a list ``runs``; a number that is missing or cannot be known is ``null``.

    Example:
        >>> print(as_json({"a": {"mig": 0.25}}, ["mig", "sap"]))
        {
          "runs": [
            {
              "run": "a",
              "mig": 0.25,
              "sap": null
            }
          ]
        }
    """
    rows = [{"run": name, **{column: values.get(column) for column in columns}} for name, values in runs.items()]
    return json.dumps(without_nan({"runs": rows}), indent=2, allow_nan=False)


def as_markdown(runs: Mapping[str, Values], columns: Sequence[str]) -> str:
    """A Markdown table.

    Example:
        >>> print(as_markdown({"a": {"mig": 0.25}, "b": {}}, ["mig"]))
        | run | mig   |
        | --- | ----: |
        | a   | 0.250 |
        | b   |       |
    """
    rows = [["run", *columns], *([name, *cells(values, columns)] for name, values in runs.items())]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [map(str.ljust, row, widths) for row in (rows[0], rule, *rows[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_latex(runs: Mapping[str, Values], columns: Sequence[str]) -> str:
    r"""A LaTeX table, for the package ``booktabs``.

    Example:
        >>> print(as_latex({"run_1": {"mig": 0.25}}, ["mig"]))
        \begin{tabular}{lr}
        \toprule
        run & mig \\
        \midrule
        run\_1 & 0.250 \\
        \bottomrule
        \end{tabular}
    """
    rows = [["run", *columns], *([name, *cells(values, columns)] for name, values in runs.items())]
    head, *body = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    begin = rf"\begin{{tabular}}{{l{'r' * len(columns)}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"])


def cells(values: Values, columns: Sequence[str]) -> list[str]:
    """The numbers of a row to read; nothing for one that is missing."""
    return [number(values[column]) if column in values else "" for column in columns]


def escaped(text: str) -> str:
    r"""Text with the characters escaped that LaTeX would act on.

    Example:
        >>> print(escaped("beta_4 & 5%"))
        beta\_4 \& 5\%
    """
    special = {**{char: f"\\{char}" for char in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
    special |= {"^": r"\textasciicircum{}", "–": "--"}
    return "".join(special.get(char, char) for char in text)


def _sortable(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _read_json(path: Path) -> Report:
    scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
    values = {name: math.nan if score["value"] is None else float(score["value"]) for name, score in scores.items()}
    known = {name: score for name, score in scores.items() if score.get("low") is not None}
    return Report(values, intervals={name: (score["low"], score["high"]) for name, score in known.items()})


def _read_log(path: Path) -> Report:
    """The last value of each column but the counters of epochs and steps."""
    last: dict[str, float] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            last |= {name: float(cell) for name, cell in row.items() if cell and name not in ("epoch", "step")}
    return with_intervals(last)


def with_intervals(values: Values) -> Report:
    """A report of logged values, of which ``<name>_low`` and ``<name>_high`` are the ends of an interval.

    Example:
        >>> with_intervals({"mig": 0.5, "mig_low": 0.4, "mig_high": 0.6}).intervals
        {'mig': (0.4, 0.6)}
    """
    ends = [name for name in values if {f"{name}_low", f"{name}_high"} <= values.keys()]
    intervals = {name: (values[f"{name}_low"], values[f"{name}_high"]) for name in ends}
    taken = {f"{name}_{end}" for name in ends for end in ("low", "high")}
    return Report({name: value for name, value in values.items() if name not in taken}, intervals=intervals)


FILES = ("report.npz", "report.json", "metrics.csv", "*.wandb")
"""Names of the files with the values of a run, those first that are preferred."""

READERS: Mapping[str, Callable[[Path], Report]] = {
    ".npz": Report.load,
    ".json": _read_json,
    ".csv": _read_log,
    ".wandb": lambda path: with_intervals(read_wandb(path)),
}
"""Functions that read the values of a run, by how the file's name ends."""

FORMATS: Mapping[str, Callable[[Mapping[str, Values], Sequence[str]], str]] = {
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
}
