"""The study: its short version runs, and its tables say what its README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "examples" / "study"
FIGURES = ("agreement.png", "predictors.png", "shares.png")


def run(folder: Path, *arguments: str) -> str:
    """What the study prints; it may end with FAIL, for not every rule holds."""
    command = [sys.executable, "-W", "ignore", str(STUDY / "main.py"), "--folder", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    error = (done.stderr.splitlines() or [""])[-1]
    if error.startswith(("ImportError: ", "ModuleNotFoundError: ")):
        raise ImportError(error)  # which skips the test where a package is missing
    assert not done.stderr.startswith("Traceback"), done.stderr
    return done.stdout


def test_a_short_study_scores_its_models_by_everything(tmp_path: Path) -> None:
    assert run(tmp_path, "--fast", "--workers", "0").rstrip().endswith("PASS")


def test_the_tables_say_what_the_readme_says(tmp_path: Path) -> None:
    printed = run(tmp_path, "--results", str(STUDY / "results"))
    text = (STUDY / "README.md").read_text()
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(rows) > 16
    for row in rows:
        assert row in text
    for name in FIGURES:
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_are_small_and_shown(name: str) -> None:
    assert f"({name})" in (STUDY / "README.md").read_text()
    assert (STUDY / name).stat().st_size < 200_000
