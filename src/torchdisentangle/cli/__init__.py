"""The command line: ``torchdisentangle COMMAND ...``.

Every command is a module with a function ``add_command`` that adds its parser, and is listed in ``COMMANDS``. Results
go to the standard output, everything else to the standard error.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torchdisentangle
from torchdisentangle.cli import compare, evaluate, rank, score, study, table
from torchdisentangle.cli.options import Parser

__all__ = ["COMMANDS", "main"]

COMMANDS: tuple[Callable[[Any], None], ...] = tuple(
    command.add_command for command in (score, evaluate, table, compare, rank, study)
)
"""Functions that add the parser of a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; by default the process's own.

    Returns:
        The exit status: 0, or 1 after an error, which is printed. Wrong usage exits with 2.

    Example:
        >>> main(["compare", "nowhere"])
        1
    """
    parsed = make_parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        return _run(parsed)


def make_parser() -> Parser:
    """The parser of the command line, with a parser for each command."""
    parser = Parser(prog="torchdisentangle", description=torchdisentangle.__doc__)
    parser.add_argument("--version", action="version", version=torchdisentangle.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_command in COMMANDS:
        add_command(commands)
    return parser


def _run(parsed: argparse.Namespace) -> int:
    try:
        parsed.run(parsed)
    except (TypeError, ValueError, OSError, ImportError) as error:
        print(f"torchdisentangle: {error}", file=sys.stderr)
        return 1
    return 0


def _print_warning(message: Warning | str, *others: Any, **options: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)
