"""An offline W&B run, read back from disk."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from torch.utils.data import DataLoader
from wandb.proto.wandb_internal_pb2 import Record

from tests.evaluation.latent_page_cases import content_of
from torchdisentangle import ManifoldSummary
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    LatentTraversalCallback,
    ManifoldEntropyCallback,
)
from torchdisentangle.callbacks.figures import log_figures

_HEADER, _BLOCK = 7, 2**15


def records(path: Path) -> Iterator[Record]:
    """Records of a ``.wandb`` file: LevelDB's log format with protobuf messages."""
    data = path.read_bytes()
    position, message = _HEADER, b""
    while position + _HEADER <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:  # a block's tail too short for a header is padding
            position += left
            continue
        checksum, length, kind = struct.unpack("<IHB", data[position : position + _HEADER])
        payload = data[position + _HEADER : position + _HEADER + length]
        assert zlib.crc32(bytes([kind]) + payload) == checksum
        position += _HEADER + length
        message = payload if kind in (1, 2) else message + payload
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(message)
            yield record


def history(found: list[Record]) -> list[dict[str, Any]]:
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]


@pytest.fixture
def run(
    make_trainer: Callable[..., L.Trainer], tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> tuple[Path, list[Record]]:
    """The folder and the records of a fit of three epochs with three callbacks."""
    logger = WandbLogger(project="test", save_dir=tmp_path, offline=True)
    callbacks = [
        ManifoldEntropyCallback(16),
        ELBODecompositionCallback(num_queries=16, every_n_epochs=2),
        DisentanglementCallback(["mig", "sap"], factor_names=["side"]),
        LatentTraversalCallback(num_steps=3),
    ]
    trainer = make_trainer(*callbacks, logger=logger, max_epochs=3, log_every_n_steps=2)
    trainer.fit(tiny_vae, loader, loader)
    run_file = Path(logger.experiment.settings.sync_file)
    wandb.finish()
    wandb.teardown()  # only now is everything on disk
    return run_file.parent / "files", list(records(run_file))


STEPS = [3, 7, 11]  # after four batches in each of three epochs, counted from zero, as Lightning's own curves


def test_what_a_run_holds(run: tuple[Path, list[Record]]) -> None:
    """One run, for each takes seconds to start and to end."""
    folder, found = run
    rows = history(found)
    check_curves(rows)
    check_media(rows, folder)
    check_definitions([record.metric for record in found if record.HasField("metric")])
    check_settings([item for record in found if record.HasField("config") for item in record.config.update])
    check_summary([item for record in found if record.HasField("summary") for item in record.summary.update])


def check_curves(rows: list[dict[str, Any]]) -> None:
    for name in ManifoldSummary.scalar_names:
        points = [row for row in rows if f"val/manifold/{name}" in row]
        assert [row["trainer/global_step"] for row in points] == STEPS
        assert all(math.isfinite(row[f"val/manifold/{name}"]) for row in points)
    assert [row["trainer/global_step"] for row in rows if "val/loss" in row] == STEPS
    assert [row["trainer/global_step"] for row in rows if "val/elbo/kl" in row] == STEPS[1:]


def check_media(rows: list[dict[str, Any]], folder: Path) -> None:
    """All figures and tables of one evaluation are in one row."""
    names = ("spectrum", "pairwise", "decomposition", "mean_jacobian")
    points = [row for row in rows if "val/manifold/spectrum.filenames" in row]
    assert [row["trainer/global_step"] for row in points] == STEPS
    for row in points:
        for name in names:
            picture = folder / row[f"val/manifold/{name}.filenames"][0]
            assert picture.stat().st_size > 1000
        latents = json.loads((folder / row["val/manifold/tables/latents.path"]).read_text())
        assert latents["columns"] == ["latent", "spectrum", "path_length"]
        assert [line[0] for line in latents["data"]] == [0, 1, 2]
    last = [row for row in rows if "val/disentanglement/tables/sap_matrix.path" in row][-1]
    matrix = json.loads((folder / last["val/disentanglement/tables/sap_matrix.path"]).read_text())
    assert matrix["columns"] == ["latent", "side"]
    assert len(matrix["data"]) == 3
    (page,) = [row for row in rows if "val/latents/page.path" in row]  # once, at the end
    assert page["trainer/global_step"] == STEPS[-1] + 1
    content = content_of((folder / page["val/latents/page.path"]).read_text())
    assert [one["label"] for one in content["matrices"]] == ["MPMI of latents", "sap of latents and factors"]


def check_definitions(metrics: list[Any]) -> None:
    """Panels of a few values; the others are logged, but without a panel."""
    defined = {metric.name or metric.glob_name: metric for metric in metrics}
    assert defined["*"].step_metric == "trainer/global_step"
    assert defined["val/manifold/*"].options.hidden
    assert not defined["val/manifold/total_correlation"].options.hidden
    assert defined["val/manifold/total_correlation"].summary.min
    assert not defined["val/manifold/total_entropy"].summary.min
    assert "val/disentanglement/*" not in defined  # two scores that were asked for


def check_settings(items: list[Any]) -> None:
    settings = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
    assert settings["torchdisentangle"] == {
        "val/manifold": "ManifoldEntropyCallback(num_samples=16)",
        "val/elbo": "ELBODecompositionCallback(num_queries=16, every_n_epochs=2)",
        "val/disentanglement": "DisentanglementCallback(metrics=['mig', 'sap'], factor_names=['side'])",
        "val/latents": "LatentTraversalCallback(num_steps=3)",
    }


def check_summary(items: list[Any]) -> None:
    """The best value, beside the last."""
    found = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
    assert found["val/manifold/total_correlation"]["min"] <= found["val/manifold/total_correlation"]["last"]


def test_tables_are_made_for_weights_and_biases_alone_and_a_fault_in_them_is_warned_of(
    make_trainer: Callable[..., L.Trainer], tmp_path: Path
) -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("no table")

    class LikeWandb(CSVLogger):
        def log_image(self, *args: Any, **kwargs: Any) -> None: ...

        @property
        def experiment(self) -> Any:
            return SimpleNamespace(define_metric=None)

    log_figures(make_trainer(logger=CSVLogger(tmp_path)), "val/manifold", {}, fail)
    with pytest.warns(UserWarning, match=r"LikeWandb could not log .*: no table"):
        log_figures(make_trainer(logger=LikeWandb(tmp_path)), "val/manifold", {}, fail)
