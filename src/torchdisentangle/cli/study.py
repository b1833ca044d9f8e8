"""``torchdisentangle study``: runs of one function for many configurations."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from torchdisentangle.cli.loading import import_object
from torchdisentangle.cli.options import add_print_options, say
from torchdisentangle.cli.table import FORMATS
from torchdisentangle.study import Study
from torchdisentangle.study.run import REPORT


def add_command(commands: Any) -> None:
    """Add the parser of ``study`` to those of the other commands."""
    parser = commands.add_parser(
        "study",
        help="do many runs of a function",
        description="Calls a function with each of many configurations, on the cores of this machine or on a cluster, "
        "and keeps each run in a folder. Runs that are finished are not done again. Prints the table of their reports.",
    )
    parser.add_argument(
        "function", metavar="FUNCTION", help="dotted path of a function of a configuration and a folder"
    )
    parser.add_argument(
        "--configurations",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON with a list of configurations, or an object with their names",
    )
    parser.add_argument("--folder", type=Path, required=True, help="of the study: where runs are kept")
    parser.add_argument("--workers", type=int, help="how many runs at once; 0: in this process (all there is room for)")
    parser.add_argument("--engine", choices=("processes", "ray"), default="processes", help="where runs are done")
    parser.add_argument("--retries", type=int, default=1, help="how often a run that fails is begun anew")
    parser.add_argument("--num-cpus", type=int, default=1, help="cores of a run")
    parser.add_argument("--num-gpus", type=float, default=0.0, help="GPUs of a run, also a fraction of one")
    parser.add_argument("--address", help="of a cluster of Ray (that of this machine, or else a new one)")
    add_print_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Execute the study that the arguments describe."""
    configurations = json.loads(arguments.configurations.read_text(encoding="utf-8"))
    study = Study(arguments.folder, import_object(arguments.function), configurations)
    names = ("workers", "engine", "retries", "num_cpus", "num_gpus", "address")
    try:
        with redirect_stdout(sys.stderr):  # Ray prints that a worker has died
            runs = study.execute(**{name: getattr(arguments, name) for name in names})
    except RuntimeError as error:  # some runs have failed
        raise ValueError(str(error)) from error
    values = {run.name: run.report.scalars if (run.folder / REPORT).exists() else {} for run in runs}
    shared = [name for name in next(iter(values.values()), {}) if all(name in one for one in values.values())]
    form = "json" if arguments.json else "csv" if arguments.csv else "markdown"
    print(FORMATS[form](values, shared))
    say(f"{len(runs)} runs are finished in {study.folder}")
