"""Runs as a user names them: one by one, or a study with all that it has finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchdisentangle.cli.options import say
from torchdisentangle.study.run import FAILED, finished_runs


def runs_of(paths: Sequence[str]) -> list[str]:
    """The paths, with the finished runs of a study in the place of its folder, and without runs that failed.

    Example:
        >>> runs_of(["nowhere/report.npz"])
        ['nowhere/report.npz']
    """
    runs: list[str] = []
    for path in paths:
        if path.rstrip("/").endswith(FAILED) and Path(path).is_dir():
            say(f"{path} has failed, and is left out")
        else:
            runs += [str(run.folder) for run in finished_runs(path)] or [path]
    return runs
