"""The documentation's Python runs, and it leaves nothing out; that it builds without a warning is CI's to check."""

from __future__ import annotations

import doctest
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

import torchdisentangle
from torchdisentangle.supervised import registry

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts]
TEXT = {page.relative_to(DOCS).as_posix(): page.read_text() for page in PAGES}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(DOCS)
    return import_module("catalogue")


@pytest.mark.parametrize("page", [page for page, text in TEXT.items() if blocks(text, "python")])
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block after block, beside the YAML files that a first line names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(registry, "_SCORES", dict(registry._SCORES))  # without what a page registers
    for block in blocks(TEXT[page], "yaml"):
        Path(block.splitlines()[0].removeprefix("# ")).write_text(block)
    torch.manual_seed(0)
    namespace = {"__name__": "page"}
    for block in blocks(TEXT[page], "python"):
        exec(compile(block, page, "exec"), namespace)


def test_every_package_is_in_the_reference(catalogue: ModuleType) -> None:
    listed = re.findall(r"^   (torchdisentangle\.[\w.]+)$", TEXT["reference/index.md"], flags=re.MULTILINE)
    assert sorted(listed) == catalogue.packages()


def test_every_public_name_has_one_place(catalogue: ModuleType) -> None:
    places = [
        name
        for package in catalogue.packages()
        for topic in catalogue.topics(package)
        for name in [*topic.classes, *topic.functions]
    ]
    assert len(set(places)) == len(places)
    assert {f"torchdisentangle.{name}" for name in torchdisentangle.__all__} <= set(places)


@pytest.mark.parametrize("package", ["", ".callbacks", ".evaluation", ".models", ".datasets"])
def test_every_class_is_explained(package: str) -> None:
    explained = "".join(text for page, text in TEXT.items() if page.startswith(("concepts/", "how-to/")))
    classes = [name for name in import_module(f"torchdisentangle{package}").__all__ if name[0].isupper()]
    assert [name for name in classes if f"`{name}`" not in explained] == []


def test_figures_are_shown_and_small() -> None:
    shown = {name for text in TEXT.values() for name in re.findall(r"\]\((?:\.\./)?images/(\w+)\.png\)", text)}
    images = {path.stem: path.stat().st_size for path in (DOCS / "images").glob("*.png")}
    drawn = re.findall(r"^def (\w+)\(\) -> Figure:", (DOCS / "figures.py").read_text(), flags=re.MULTILINE)
    assert shown == set(images) == set(drawn)
    assert max(images.values()) < 150_000


def test_examples_of_the_catalogue(catalogue: ModuleType) -> None:
    assert doctest.testmod(catalogue).failed == 0
