"""What is installed is what is in the repository."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
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


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it."""
    pytest.importorskip("build", reason="needs build, of the extra test")
    source = tmp_path_factory.mktemp("source")  # a copy, so that an earlier build's leftovers cannot slip in
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.split("\0"):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return source / "dist"


@pytest.mark.xdist_group("distributions")
def test_wheel_holds_every_module(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    page = {f"torchdisentangle/evaluation/page/latents.{ending}" for ending in ("html", "css", "js")}
    assert names == sources() | page | {"torchdisentangle/py.typed", "torchdisentangle/cli/page.html"}


@pytest.mark.xdist_group("distributions")
def test_source_distribution_holds_what_the_tests_need(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.partition("/")[2] for name in members.getnames()}
    for part in ("tests/conftest.py", "examples/demo/main.py", "docs/index.md", "noxfile.py", "Makefile", "LICENSE"):
        assert part in names
    assert {path.relative_to(ROOT).as_posix() for folder in PLACES for path in (ROOT / folder).rglob("*.py")} <= names


@pytest.fixture(scope="module")
def metadata(distributions: Path) -> Message:
    """Of the wheel."""
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith("dist-info/METADATA"))
        return Parser().parsestr(files.read(name).decode())


@pytest.mark.xdist_group("distributions")
def test_metadata(metadata: Message) -> None:
    oldest = metadata["Requires-Python"].removeprefix(">=")
    pythons = [line.rpartition(" ")[2] for line in metadata.get_all("Classifier", []) if "Python :: 3." in line]
    assert pythons[0] == oldest
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in pythons  # of all that the tests run on
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {"flows", "supervised", "topology", "wandb"} <= set(metadata.get_all("Provides-Extra", []))


@pytest.mark.xdist_group("distributions")
def test_a_package_index_can_resolve_all_links(metadata: Message, distributions: Path) -> None:
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert len(urls) >= 5
    cited = (ROOT / "CITATION.cff").read_text()
    assert all(f"url: {url}\n" in cited for url in urls.values())
    description, readme = str(metadata.get_payload()), (ROOT / "README.md").read_text()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]+)\)", description))
    assert "![" not in re.sub(r"!\[[^\]]*\]\(https://", "", description)
    headings, code = r"(?m)^#+ .*$", r"(?s)```.*?```"
    assert re.findall(headings, description) == re.findall(headings, readme)
    assert re.findall(code, description) == re.findall(code, readme)  # a[b](c) in Python is no link
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        (name,) = (name for name in members.getnames() if name.count("/") == 1 and name.endswith("PKG-INFO"))
        assert Parser().parsestr(members.extractfile(name).read().decode()).get_payload() == description  # type: ignore


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", "# A\n\nSee the docs, [a paper](https://b.c/d) and [below](#e).\n"),
        (
            "https://f.g/",
            "# A\n\n![A\npicture](https://f.g/h.png)\n\n*Left:\nright.*\n\n"
            "See [the docs](https://f.g/docs/i.md), [a paper](https://b.c/d) and [below](#e).\n",
        ),
    ],
)
def test_links_of_the_long_description(address: str, expected: str) -> None:
    readme = (
        "# A\n\n![A\npicture](h.png)\n\n*Left:\nright.*\n\n"
        "See [the docs](docs/i.md), [a paper](https://b.c/d) and [below](#e).\n"
    )
    convert = runpy.run_path(str(ROOT / "setup.py"))["long_description"]
    assert convert(readme, address) == expected


def test_version() -> None:
    assert torchdisentangle.__version__ == version("torchdisentangle")
    assert f"\nversion: {torchdisentangle.__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name", [name for name in listed_packages() if not name.endswith(".adapters")])
def test_public_names_exist_and_are_documented(name: str) -> None:
    package = import_module(name)
    assert len(set(package.__all__)) == len(package.__all__)
    assert all(getattr(package, name).__doc__ for name in package.__all__)
