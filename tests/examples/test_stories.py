"""The stories' fast settings run from a shell as a reader would run them, and find what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = {
    "torus": {"spectrum.png", "information.png", "curves.png"},
    "dependent_factors": {"scores.png"},
    "topdis": {"overview.png"},
    "total_correlation": {"overview.png", "latents_against_factors.png"},
}


@pytest.mark.parametrize("story", FIGURES)
def test_a_story_finds_what_it_says_and_shows_it(story: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / story / "main.py"), "--fast", "--folder", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.rstrip().endswith("PASS")
    assert FIGURES[story] <= {path.name for path in tmp_path.iterdir()}
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.parametrize("story", FIGURES)
def test_the_figures_that_a_story_shows_are_small_and_there(story: str) -> None:
    folder = ROOT / "examples" / story
    text = (folder / "README.md").read_text()
    for name in FIGURES[story]:
        assert f"({name})" in text
        assert (folder / name).stat().st_size < 200_000
