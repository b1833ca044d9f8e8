"""Arrows point one way: callbacks and models use the metrics, never the other way round; the core needs no extra."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAMILIES = tuple(
    f"torchdisentangle.{family}"
    for family in ("attributes", "manifold", "elbo", "supervised", "informativeness", "similarity", "topology")
)
LIGHTNING = ("lightning", "pytorch_lightning")
FORBIDDEN = {
    "src": (*LIGHTNING, "torchdisentangle.callbacks", "torchdisentangle.models", "wandb"),
    "models": ("torchdisentangle.callbacks", "torchdisentangle.evaluation", "wandb"),
    "models/adapters": LIGHTNING,
    "callbacks": ("wandb", "normflows", "zuko"),
    "src/torchdisentangle/functional": (*FAMILIES, "torchdisentangle.statistics", "torch.distributed"),
    "src/torchdisentangle/statistics": (*FAMILIES, "torchdisentangle.plots"),
    "src/torchdisentangle/evaluation": ("torchdisentangle.study",),
    "src/torchdisentangle/study": ("torchdisentangle.cli",),
    "src/torchdisentangle/plots": (*FAMILIES, "torchdisentangle.statistics"),
}
ALLOWED = {
    "src/torchdisentangle/evaluation": "torchdisentangle.models.adapters",
    "models/adapters/trial.py": "torchdisentangle.evaluation.undisturbed",
}
"""An evaluation gets any module, so it has to know how modules become latent models; to try one is an evaluation."""


def imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import absolutely"
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_layers(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        allowed = [name for place, name in ALLOWED.items() if path.is_relative_to(ROOT / place)]
        for name in imports(path):
            for forbidden in FORBIDDEN[folder]:
                assert name in allowed or not f"{name}.".startswith(f"{forbidden}."), f"{path} imports {name}"


def test_nothing_imports_the_folders_by_their_own_names() -> None:
    """``import callbacks`` works from the checkout and would make second copies of all classes."""
    for path in ROOT.rglob("*.py"):
        if ".venv" not in path.parts:
            assert not {name.split(".")[0] for name in imports(path)} & {"callbacks", "models"}, path


EXTRAS = ("normflows", "zuko", "wandb", "sklearn", "gudhi", "h5py", "ray")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_core_imports_without_extras_and_metrics_without_lightning() -> None:
    block = f"import sys\nfor name in {EXTRAS!r}: sys.modules[name] = None\n"
    core = "import torchdisentangle, torchdisentangle.functional, torchdisentangle.datasets, torchdisentangle.plots\n"
    core += "import torchdisentangle.study\n"
    assert run(block + core + "print('lightning' in sys.modules)") == "False"
    assert run(block + core + "import torchdisentangle.callbacks, torchdisentangle.models; print('fine')") == "fine"


def test_adapters_need_no_lightning() -> None:
    pytest.importorskip("normflows", reason="the spline flow needs normflows, of the extra flows")
    adapt = """
import sys
for name in ("lightning", "pytorch_lightning"): sys.modules[name] = None
import torch, torchdisentangle, torchdisentangle.evaluation.undisturbed, torchdisentangle.models.adapters
from torchdisentangle.models import LatentModel, Posterior, Prior, as_latent_model, spline_flow
class Decoder(torch.nn.Module):
    latent_dim = 2
    def decode(self, z): return 2 * z
print(as_latent_model(Decoder()).decode(torch.ones(1, 2)).tolist(), as_latent_model(spline_flow(3)).latent_dim)
"""
    assert run(adapt) == "[[2.0, 2.0]] 3"


def test_libraries_are_imported_for_their_modules_only() -> None:
    adapt = "import sys, torch, torchdisentangle.models.adapters as adapters\n"
    adapt += "try: adapters.as_latent_model(torch.nn.Linear(2, 2))\nexcept TypeError: pass\n"
    assert run(adapt + "print({'normflows', 'zuko', 'lightning'} & {*sys.modules})") == "set()"


def test_models_lists_what_it_imports_late() -> None:
    names = "import torchdisentangle.models as models; from torchdisentangle.models import *\n"
    names += "print(set(models.__all__) <= {*dir(models), *globals()}, hasattr(models, 'NoModel'))"
    assert run(names) == "True False"


@pytest.mark.parametrize(
    ("library", "code", "extra"),
    [
        ("normflows", "from torchdisentangle.models import spline_flow; spline_flow(2)", "torchdisentangle[flows]"),
        (
            "sklearn",
            "from torchdisentangle.datasets import handwritten_digits as d; d()",
            "torchdisentangle[supervised]",
        ),
    ],
)
def test_a_missing_extra_is_named(library: str, code: str, extra: str) -> None:
    block = f"import sys\nsys.modules['{library}'] = sys.modules['{library}.datasets'] = None\n"
    catch = f"try:\n  {code.split(';')[0]}\n  {code.split(';')[1].strip()}\nexcept ImportError as e: print(e)"
    assert extra in run(block + catch)


def test_importing_costs_little_beyond_torch_and_torchmetrics() -> None:
    """What is slow to import (the compiler, Lightning, scikit-learn) is imported when it is needed."""
    code = "import sys, torch, torchmetrics; before = {*sys.modules}; import torchdisentangle\n"
    code += "print(*{name.partition('.')[0] for name in {*sys.modules} - before} - sys.stdlib_module_names)"
    assert set(run(code).split()) <= {"torchdisentangle", "numpy", "scipy", "matplotlib"}
