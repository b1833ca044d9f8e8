"""What MLflow, Comet and LitLogger keep of a fit: curves, figures and tables, read back from disk."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import lightning as L
import pytest
from lightning.pytorch import loggers
from torch.utils.data import DataLoader

from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import DisentanglementCallback, ManifoldEntropyCallback
from torchdisentangle.callbacks.figures import log_page

STEPS = [3, 7, 11]  # after four batches in each of three epochs, counted from zero, as Lightning's own curves
FIGURES = {
    *(f"val/manifold/{name}" for name in ("spectrum", "pairwise", "decomposition", "mean_jacobian")),
    "val/disentanglement/latents_against_factors",
    "val/disentanglement/sap_matrix",
}
TABLES = {
    "val/manifold/latents",
    "val/manifold/pairwise",
    "val/manifold/mean_jacobian",
    "val/disentanglement/sap_matrix",
}
FILES = {f"{name}/{step}" for name in FIGURES for step in STEPS}
LATENTS = ["latent", "spectrum", "path_length"]


@pytest.fixture
def fit(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> Callable[[Any], L.Trainer]:
    def run(logger: Any) -> L.Trainer:
        callbacks = [ManifoldEntropyCallback(16), DisentanglementCallback(["mig", "sap"], factor_names=["side"])]
        trainer = make_trainer(*callbacks, logger=logger, max_epochs=3, log_every_n_steps=2)
        trainer.fit(tiny_vae, loader, loader)
        page = Path(trainer.default_root_dir) / "latents.html"
        page.write_text("<p>a page</p>")
        log_page(trainer, "val/latents", page)
        return trainer

    return run


def test_mlflow(fit: Callable[[Any], L.Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of files, which the small package ``mlflow-skinny`` can write too; it has to be allowed by now."""
    pytest.importorskip("mlflow", reason="needs mlflow or mlflow-skinny")
    pytest.importorskip("pandas", reason="needs pandas, of the extra tables")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger = loggers.MLFlowLogger("test", tracking_uri=f"file:{tmp_path}/runs")
    trainer = fit(logger)
    (run,) = (tmp_path / "runs").glob(f"*/{logger.run_id}")
    points = [line.split() for line in (run / "metrics/val/manifold/total_correlation").read_text().splitlines()]
    assert [int(step) for _, _, step in points] == STEPS
    assert float(points[-1][1]) == float(trainer.callback_metrics["val/manifold/total_correlation"])
    pictures = list((run / "artifacts/figures").rglob("*.png"))
    assert {str(path.relative_to(run / "artifacts/figures").with_suffix("")) for path in pictures} == FILES
    for path in pictures:
        assert dots_per_inch(path.read_bytes()) == 150  # MLflow's own 72 are too few to read
    for name in TABLES:
        assert {path.stem for path in (run / "artifacts/tables" / name).iterdir()} == set(map(str, STEPS))
    assert (run / "artifacts/pages/val/latents.html").read_text() == "<p>a page</p>"
    latents = json.loads((run / "artifacts/tables/val/manifold/latents/11.json").read_text())
    assert latents["columns"] == LATENTS
    assert [row[0] for row in latents["data"]] == [0, 1, 2]


def test_comet(fit: Callable[[Any], L.Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment that will be uploaded later: one archive. Lightning's ``online=False`` would write nothing."""
    pytest.importorskip("comet_ml")
    monkeypatch.setenv("COMET_START_ONLINE", "false")
    logger = loggers.CometLogger(offline_directory=str(tmp_path), log_env_details=False, log_code=False)
    trainer = fit(logger)
    logger.experiment.end()
    (path,) = tmp_path.glob("*.zip")
    with zipfile.ZipFile(path) as archive:
        messages = [json.loads(line) for line in archive.read("messages.json").splitlines()]
        points = [message["payload"]["metric"] for message in messages if message["type"] == "metric_msg"]
        points = [point for point in points if point["metricName"] == "val/manifold/total_correlation"]
        assert [point["step"] for point in points] == STEPS
        assert points[-1]["metricValue"] == float(trainer.callback_metrics["val/manifold/total_correlation"])
        files = [message["payload"] for message in messages if message["type"] == "file_upload"]
        figures = {
            "{figName}/{step}".format(**file["additional_params"]): archive.read(file["file_path"])
            for file in files
            if file["upload_type"] == "visualization"
        }
        assets = {
            file["additional_params"]["fileName"]: archive.read(file["file_path"]).decode()
            for file in files
            if file["upload_type"] == "asset"
        }
    assert figures.keys() == FILES
    assert all(b"<svg" in picture for picture in figures.values())
    assert assets.pop("pages/val/latents.html") == "<p>a page</p>"
    assert assets.keys() == {f"tables/{name}/{step}.csv" for name in TABLES for step in STEPS}
    latents = list(csv.reader(io.StringIO(assets["tables/val/manifold/latents/11.csv"])))
    assert latents[0] == LATENTS
    assert [row[0] for row in latents[1:]] == ["0", "1", "2"]


def test_litlogger(fit: Callable[[Any], L.Trainer], tmp_path: Path) -> None:
    """It needs an account. Here only what would cross the network is another: uploads are copied, curves kept."""
    pytest.importorskip("litlogger")
    if not hasattr(loggers, "LitLogger"):
        pytest.skip("this version of lightning has no LitLogger")
    uploaded, curves = tmp_path / "uploaded", FakeMetrics()

    def upload_file(file_path: str, remote_path: str, **settings: Any) -> None:
        (uploaded / remote_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file_path, uploaded / remote_path)

    teamspace = SimpleNamespace(
        id="1", name="team", owner=SimpleNamespace(name="me"), upload_file=upload_file, default_cloud_account=None
    )
    with mock.patch.multiple(
        import_module("litlogger.experiment"),  # the package has a variable of this name
        AuthApi=mock.MagicMock(),
        MediaApi=mock.MagicMock(),
        ArtifactsApi=mock.MagicMock(),
        MetricsApi=lambda: curves,
        _resolve_teamspace=lambda name: teamspace,
        get_accessible_url=lambda **settings: "",
    ):
        logger = loggers.LitLogger(root_dir=tmp_path, name="test", save_logs=False)  # else it runs the command again
        trainer = fit(logger)
    assert [step for step, _ in curves.points["val/manifold/total_correlation"]] == STEPS
    last = float(trainer.callback_metrics["val/manifold/total_correlation"])
    assert math.isclose(curves.points["val/manifold/total_correlation"][-1][1], last, rel_tol=1e-6)  # float32
    folder = uploaded / "experiments" / logger.experiment.name / "figures"
    pictures = list(folder.rglob("*.png"))
    assert {str(path.relative_to(folder).with_suffix("")) for path in pictures} == FILES
    assert all(dots_per_inch(path.read_bytes()) == 150 for path in pictures)
    assert (folder.parent / "pages/val/latents.html").read_text() == "<p>a page</p>"


class FakeMetrics(mock.MagicMock):
    """Keeps the values that would be sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.points: dict[str, list[tuple[int, float]]] = {}

    def get_or_create_experiment_metrics(self, **settings: Any) -> tuple[Any, bool]:
        return SimpleNamespace(id="1", cluster_id=None), True

    def get_last_steps(self, *args: Any) -> dict[str, int]:
        return {}

    def append_experiment_metrics(self, *, metrics: Any, **settings: Any) -> None:
        for series in metrics:
            self.points.setdefault(series.name, []).extend((value.step, value.value) for value in series.values)


def dots_per_inch(png: bytes) -> int:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    per_metre = png[png.index(b"pHYs") + 4 :][:4]
    return round(int.from_bytes(per_metre, "big") * 0.0254)
