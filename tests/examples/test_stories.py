"""The stories' fast settings run from a shell as a reader would run them, and find what they say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import lightning as L
import pytest
import yaml

import torchdisentangle.callbacks
from tests.examples.shell import ROOT, run

FIGURES: dict[str, set[str]] = {
    "two_moons": {"representations.png", "curves.png"},
    "torus": {"spectrum.png", "information.png", "curves.png"},
    "beta_sweep": {"sweep.png", "eigen_digits.png", "classes.png"},
    "architectures": {"spectra.png", "pairwise.png", "hidden.png"},
    "ensembles": {"similarity.png", "hot_spots.png", "circle.png"},
    "dependent_factors": {"scores.png"},
    "topology": {"scores.png"},
    "total_correlation": {"overview.png", "latents_against_factors.png"},
    "topdis": {"overview.png"},
    "informativeness": {"ranking.png"},
    "probes": {"error.png"},
    "processes": {"values.png"},
}
TOLD = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))
RULED = sorted(path.parent.name for path in (ROOT / "examples").glob("*/rules.py") if path.parent.name != "study")
UNLOGGED = {"probes"}  # nothing to follow: no model is trained or validated


@pytest.mark.parametrize("story", FIGURES)
def test_a_story_finds_what_it_says_and_shows_it(story: str, tmp_path: Path) -> None:
    assert run(story, tmp_path, "--fast", "--folder", str(tmp_path)).rstrip().endswith("PASS")
    assert FIGURES[story] <= {path.name for path in tmp_path.iterdir()}
    assert story in UNLOGGED or list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.parametrize("story", FIGURES)
def test_the_figures_that_a_story_shows_are_small_and_there(story: str) -> None:
    folder = ROOT / "examples" / story
    text = (folder / "README.md").read_text()
    shown = set(re.findall(r"\((\w+\.png)\)", text))
    assert shown >= FIGURES[story]
    for name in shown:
        assert (folder / name).stat().st_size < 200_000


@pytest.mark.parametrize("story", TOLD)
def test_a_story_opens_with_its_figure_and_its_answer(story: str) -> None:
    title, figure, answer, *_ = (ROOT / "examples" / story / "README.md").read_text().split("\n\n")
    assert title.startswith("# ")
    assert figure.startswith("![")
    assert answer.startswith("**")
    assert answer.endswith("**")


@pytest.mark.parametrize("story", [*FIGURES, "sprites"])
def test_each_rule_of_a_story_has_a_verdict(story: str) -> None:
    text = (ROOT / "examples" / story / "README.md").read_text()
    tables = re.findall(r"^\| (?:rule|they found)\b.*\| verdict \|\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert tables
    for rule in "".join(tables).splitlines():
        assert re.search(r"\| (PASS|UNDECIDED|FAIL)\b[^|]*\|$", rule), rule


@pytest.mark.parametrize("story", RULED)
def test_each_rule_of_a_story_is_told(story: str) -> None:
    folder = ROOT / "examples" / story
    rules = re.findall(r'Rule\(\s*"([^"]+)"', (folder / "rules.py").read_text())
    assert len(rules) > 5
    assert set(rules) <= set(re.findall(r"^\| (.+?) \|", (folder / "README.md").read_text(), re.MULTILINE))


def test_the_index_lists_every_story_that_is_told() -> None:
    index = (ROOT / "examples" / "README.md").read_text()
    assert set(TOLD) == set(re.findall(r"\((\w+)/README\.md\)", index))


def test_the_yaml_of_the_command_line_adds_every_callback(tmp_path: Path) -> None:
    config = ROOT / "examples" / "cli" / "config.yaml"
    short = ["--trainer.check_val_every_n_epoch=4", "--trainer.limit_train_batches=2"]  # all evaluate after epoch 4
    run("cli", tmp_path, "fit", "--config", str(config), *short)
    added = {callback["class_path"] for callback in yaml.safe_load(config.read_text())["trainer"]["callbacks"]}
    public = {name: getattr(torchdisentangle.callbacks, name) for name in torchdisentangle.callbacks.__all__}
    offered = {name for name, it in public.items() if isinstance(it, type) and issubclass(it, L.Callback)}
    assert {f"torchdisentangle.callbacks.{name}" for name in offered - {"EvaluationCallback"}} == added
    with (tmp_path / "runs" / "cli" / "curves" / "metrics.csv").open() as file:
        families = {key.split("/")[1] for key in next(csv.reader(file)) if key.count("/") == 2}
    assert families == {"manifold", "elbo", "disentanglement", "informativeness", "similarity", "topology"}
