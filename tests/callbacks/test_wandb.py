"""An offline W&B run, read back from disk."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import wandb
from lightning.pytorch.loggers import WandbLogger
from torch.utils.data import DataLoader
from wandb.proto.wandb_internal_pb2 import Record

from torchdisentangle import ManifoldSummary
from torchdisentangle.callbacks import ManifoldEntropyCallback

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


def history(path: Path) -> list[dict[str, Any]]:
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(path)
        if record.HasField("history")
    ]


def test_curves_and_figures(
    make_trainer: Callable[..., L.Trainer], tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    logger = WandbLogger(project="test", save_dir=tmp_path, offline=True)
    trainer = make_trainer(ManifoldEntropyCallback(16), logger=logger, max_epochs=3, log_every_n_steps=2)
    trainer.fit(tiny_vae, loader, loader)
    run_file = Path(logger.experiment.settings.sync_file)
    wandb.finish()
    wandb.teardown()  # only now is everything on disk
    rows = history(run_file)
    steps = [3, 7, 11]  # after four batches in each of three epochs, counted from zero, as Lightning's own curves
    for name in ManifoldSummary.scalar_names:
        points = [row for row in rows if f"val/manifold/{name}" in row]
        assert [row["trainer/global_step"] for row in points] == steps
        assert all(math.isfinite(row[f"val/manifold/{name}"]) for row in points)
    for name in ("spectrum", "pairwise", "decomposition", "mean_jacobian"):
        points = [row for row in rows if f"val/manifold/{name}.filenames" in row]
        assert [row["trainer/global_step"] for row in points] == steps
        for row in points:
            picture = run_file.parent / "files" / row[f"val/manifold/{name}.filenames"][0]
            assert picture.stat().st_size > 1000
    assert [row["trainer/global_step"] for row in rows if "val/loss" in row] == steps
    metrics = [record.metric for record in records(run_file) if record.HasField("metric")]
    assert any(metric.glob_name == "*" and metric.step_metric == "trainer/global_step" for metric in metrics)
