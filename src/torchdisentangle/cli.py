"""The command line: ``torchdisentangle COMMAND ...``.

Every command is a module with a function ``add_command`` that adds its parser, and is listed in ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torchdisentangle
from torchdisentangle.similarity import command as compare

COMMANDS: tuple[Callable[[Any], None], ...] = (compare.add_command,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; by default the process's own.

    Returns:
        The exit status: 0, or 1 after an error, which is printed.

    Example:
        >>> main(["compare", "nowhere"])
        1
    """
    parser = argparse.ArgumentParser(prog="torchdisentangle", description=torchdisentangle.__doc__)
    parser.add_argument("--version", action="version", version=torchdisentangle.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_command in COMMANDS:
        add_command(commands)
    parsed = parser.parse_args(arguments)
    try:
        parsed.run(parsed)
    except (ValueError, OSError, ImportError) as error:
        print(f"torchdisentangle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
