"""How commands declare their options and report their progress."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

STATUS = (
    "The exit status is 0, 1 if the input is bad or the command fails (the standard error says why), and 2 if the "
    "command line is wrong."
)


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every default; an option without one says in its own words what happens then."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """A parser whose help shows defaults; those of its commands are of the same class."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": Help, "epilog": STATUS, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, or show the usage of the command that an argument is wrong for."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


def words(text: str) -> list[str]:
    """Words of a list that commas separate.

    Example:
        >>> words("mig, sap")
        ['mig', 'sap']
    """
    return [word.strip() for word in text.split(",") if word.strip()]


def flat(lists: list[list[str]] | None) -> list[str] | None:
    """The words of an option that was given several lists, or ``None`` if it was given none.

    Example:
        >>> flat([["mig", "sap"], ["dci"]])
        ['mig', 'sap', 'dci']
    """
    return None if lists is None else [word for one in lists for word in one]


def say(message: str) -> None:
    """Tell the user of progress, on the standard error."""
    print(message, file=sys.stderr, flush=True)


def counted(items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a progress bar while they are gone through, if the standard error is a terminal."""
    return tqdm(items, desc=what, leave=False, disable=None)


def add_print_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how results are printed."""
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print JSON")
    printed.add_argument("--csv", action="store_true", help="print CSV")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where results go."""
    add_print_options(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="also write JSON, figures and a page to read (nothing is written)"
    )


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """A list of the warnings inside of this context, which are printed as always."""
    said: list[str] = []
    show = warnings.showwarning

    def keep(message: Warning | str, *others: Any, **options: Any) -> None:
        if str(message) not in said:
            said.append(str(message))
            show(message, *others, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = keep
        yield said
