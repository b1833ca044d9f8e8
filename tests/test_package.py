"""What is installed is what is in the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import torchdisentangle

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PLACES = {
    "src/torchdisentangle": "torchdisentangle",
    "callbacks": "torchdisentangle/callbacks",
    "models": "torchdisentangle/models",
}


def sources() -> set[str]:
    """Paths, inside the package, of all modules in the repository."""
    found = set()
    for folder, place in PLACES.items():
        for path in (ROOT / folder).rglob("*.py"):
            found.add(f"{place}/{path.relative_to(ROOT / folder).as_posix()}")
    return found


def listed_packages() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]


def test_every_package_is_listed() -> None:
    on_disk = {
        path.removesuffix("/__init__.py").replace("/", ".") for path in sources() if path.endswith("/__init__.py")
    }
    assert sorted(listed_packages()) == sorted(on_disk)


def test_wheel_holds_every_module(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy, so that an earlier build's leftovers cannot slip in
    for name in (*PLACES, "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", tmp_path, source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    assert names == sources() | {"torchdisentangle/py.typed", "torchdisentangle/cli/page.html"}


def test_version() -> None:
    assert torchdisentangle.__version__ == version("torchdisentangle")


@pytest.mark.parametrize("name", [name for name in listed_packages() if not name.endswith(".adapters")])
def test_public_names_exist_and_are_documented(name: str) -> None:
    package = import_module(name)
    assert len(set(package.__all__)) == len(package.__all__)
    assert all(getattr(package, name).__doc__ for name in package.__all__)
