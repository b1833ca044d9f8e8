"""The README's Python runs, block after block, as a reader would paste it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

from tests.missing_extras import import_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def first_install_line() -> set[str]:
    """The extras of the first line that installs the package."""
    return set(re.findall(r"^pip install '\.\[(.*)\]'", README, flags=re.MULTILINE)[0].split(","))


def packages_besides(extras: set[str]) -> set[str]:
    """Names, as imported, of the packages of all other extras but those for developers."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {
        extra: {import_name(Requirement(line).name) for line in lines}
        for extra, lines in listed.items()
        if extra not in ("test", "docs", "all")
    }
    return set().union(*names.values()) - set().union(*(names[extra] for extra in extras))


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    torch.manual_seed(0)
    for number, block in enumerate(blocks):
        with monkeypatch.context() as installed:
            if number == 0:
                for package in packages_besides(first_install_line()):  # which the first block must not need
                    installed.setitem(sys.modules, package, None)
            exec(compile(block.replace("max_epochs=20", "max_epochs=2"), "README.md", "exec"), namespace)
    namespace["trainer"].logger.experiment.finish()  # or another test would write to this run
    logged = namespace["trainer"].callback_metrics
    assert logged["val/manifold/total_correlation"] > 0
    assert logged["val/elbo/kl"] > 0
    assert namespace["report"]["manifold/total_correlation"] > 0
    assert namespace["spectrum"].compute().shape == (10,)


def test_files_that_the_readme_shows_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in target or (ROOT / target).exists(), target
