"""The README's Python runs, block after block, as a reader would paste it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    torch.manual_seed(0)
    for block in blocks:
        exec(compile(block.replace("max_epochs=20", "max_epochs=2"), "README.md", "exec"), namespace)
    logged = namespace["trainer"].callback_metrics
    assert logged["val/manifold/total_correlation"] > 0
    assert logged["val/elbo/kl"] > 0
    assert namespace["report"]["manifold/total_correlation"] > 0
    assert namespace["spectrum"].compute().shape == (10,)


def test_files_that_the_readme_shows_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert "://" in target or (ROOT / target).exists(), target
