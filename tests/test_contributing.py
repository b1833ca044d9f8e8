"""The diff in CONTRIBUTING.md that adds a supervised score applies, and its test passes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_adding_a_supervised_score_takes_one_file_and_one_test(tmp_path: Path) -> None:
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M | re.S)
    files = re.findall(r"^\+\+\+ b/(.*)$", diff, flags=re.M)
    assert [file.split("/")[0] for file in files] == ["src", "tests"]
    for folder in ("src", "callbacks", "models"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "change.diff").write_text(diff)
    subprocess.run(["git", "apply", "change.diff"], cwd=tmp_path, check=True, env={**os.environ, "GIT_DIR": "/nowhere"})
    package = tmp_path / "view" / "torchdisentangle"
    package.mkdir(parents=True)
    for part in [*(tmp_path / "src" / "torchdisentangle").iterdir(), tmp_path / "callbacks", tmp_path / "models"]:
        (package / part.name).symlink_to(part)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules", *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "5 passed" in run.stdout  # four tests and the doctest
