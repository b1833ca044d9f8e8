"""The study: its short version runs, and its tables say what its README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.shell import ROOT, run

STUDY = ROOT / "examples" / "study"
FIGURES = ("agreement.png", "predictors.png", "shares.png")


def test_a_short_study_scores_its_models_by_everything(tmp_path: Path) -> None:
    assert run("study", tmp_path, "--fast", "--workers", "0", "--folder", str(tmp_path)).rstrip().endswith("PASS")


def test_the_tables_say_what_the_readme_says(tmp_path: Path) -> None:
    printed = run("study", tmp_path, "--results", str(STUDY / "results"), "--folder", str(tmp_path), may_fail=True)
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
