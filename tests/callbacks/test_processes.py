"""The whole callback on two and three processes gives the values of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, TensorDataset

from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.evaluation import RowPositions


def values(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if "/manifold/" in name}


def callbacks() -> list[L.Callback]:
    return [
        ManifoldEntropyCallback(31, prefix="prior", standard_errors=True),
        ManifoldEntropyCallback(1000, source="posterior", prefix="posterior", partition=[[0, 1], [2]]),
        ManifoldEntropyCallback(12, source="posterior_mean", prefix="classes", classes=3),
    ]


@pytest.mark.parametrize("num_samples", [37, 10, 2])  # padded by one row; by two; fewer rows than three processes
@pytest.mark.parametrize("processes", [2, 3])
def test_validation_equals_one_process(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, processes: int, num_samples: int
) -> None:
    subset = TensorDataset(*(tensor[:num_samples] for tensor in loader.dataset.tensors))  # type: ignore[attr-defined]
    one, several = (make_trainer(*callbacks(), **settings) for settings in _settings(processes))
    one.validate(tiny_vae, DataLoader(subset, 7), verbose=False)
    several.validate(tiny_vae, DataLoader(subset, 7), verbose=False)
    expected, found = values(one), values(several)
    assert expected.keys() == found.keys()
    assert len(expected) >= 18
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name  # float32 decoders on other batch sizes


def test_fit_on_two_processes(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    """Under DDP wrapping: values as those of the trained weights on one process, figures from rank zero alone."""
    logger = CSVLogger(tmp_path, version="ddp")
    settings = _settings(2)[1]
    several = make_trainer(*callbacks(), **settings, logger=logger, enable_checkpointing=True, max_epochs=2)
    several.fit(tiny_vae, loader, loader)
    checkpoint = torch.load(several.checkpoint_callback.best_model_path, weights_only=False)  # type: ignore[union-attr]
    tiny_vae.load_state_dict(checkpoint["state_dict"])
    one = make_trainer(*callbacks())
    one.validate(tiny_vae, loader, verbose=False)
    expected, found = values(one), values(several)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    pictures = list((Path(logger.log_dir) / "figures" / "prior").rglob("*.png"))
    assert len(pictures) == 4 * 2


def _settings(processes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"strategy": "ddp_fork", "devices": processes}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("length", "processes", "batch_size"), [(11, 2, 3), (9, 4, 2), (7, 3, 5), (2, 3, 4), (8, 2, 4)]
)
def test_every_row_has_one_position(length: int, processes: int, batch_size: int, shuffle: bool) -> None:
    data = list(range(length))
    seen: dict[int, int] = {}
    for rank in range(processes):
        sampler = DistributedSampler(data, processes, rank, shuffle=shuffle)  # type: ignore[arg-type,var-annotated]
        loader = DataLoader(data, batch_size, sampler=sampler)  # type: ignore[arg-type,var-annotated]
        rows = RowPositions(loader, rank, processes)
        for batch in loader:
            for position, row in zip(rows.next(len(batch)).tolist(), batch.tolist(), strict=True):
                if position >= 0:
                    assert position not in seen
                    seen[position] = row
    assert sorted(seen) == data
    assert sorted(seen.values()) == data
    if not shuffle:
        assert [seen[position] for position in data] == data


def test_unknown_samplers_are_refused() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(4))

    with pytest.raises(ValueError, match="without a DistributedSampler"):
        RowPositions(DataLoader(Stream(), 2), 0, 2)
