"""Stories are run from a shell, as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(story: str, folder: Path, *arguments: str, may_fail: bool = False) -> str:
    """What the story prints when it is run in a folder of its own.

    Args:
        story: name of its folder.
        folder: to run it in.
        arguments: of its script.
        may_fail: whether it may end with FAIL, since not every rule holds.
    """
    command = [sys.executable, str(ROOT / "examples" / story / "main.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    error = (done.stderr.splitlines() or [""])[-1]
    if error.startswith(("ImportError: ", "ModuleNotFoundError: ")):
        raise ImportError(error)  # which skips the test where a package is missing
    ended_by_rule = may_fail and done.returncode == 1 and done.stdout.rstrip().endswith("\nFAIL")
    assert done.returncode == 0 or ended_by_rule, done.stdout + done.stderr
    return done.stdout
