"""The topology callback: values of the metric, in one process and in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.utils.data import DataLoader

from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import ManifoldTopologyCallback
from torchdisentangle.functional.topology.submanifold import conditional_latents
from torchdisentangle.models import as_latent_model
from torchdisentangle.topology import ManifoldTopologyScore

SETTINGS: dict[str, Any] = {"num_draws": 3, "num_landmarks": 16, "gamma": 1 / 8, "max_holes": 6, "num_threads": 1}


def callback(**settings: Any) -> ManifoldTopologyCallback:
    return ManifoldTopologyCallback(60, 2, **{**SETTINGS, "every_n_epochs": 1, **settings})


def values(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if "topology" in name}


def test_values_are_the_metrics(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(callback())
    trainer.validate(tiny_vae, loader, verbose=False)
    model = as_latent_model(tiny_vae.eval())
    generator = torch.Generator().manual_seed(0)
    base, held = model.prior.sample(60, generator), model.prior.sample(2, generator)
    metric = ManifoldTopologyScore(3, 2, **SETTINGS)
    with torch.no_grad():
        for latent in range(3):
            for value in range(2):
                points = model.decode(conditional_latents(base, latent, held[value, latent]))
                metric.update(points, latent=latent, value=value)
    expected = {f"val/topology/{name}": float(value) for name, value in metric.compute().items()}
    assert values(trainer) == pytest.approx(expected, rel=1e-5)


def test_several_processes(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    one, two = make_trainer(callback()), make_trainer(callback(), strategy="ddp_fork", devices=2)
    for trainer in (one, two):
        trainer.validate(tiny_vae, loader, verbose=False)
    assert values(one) == values(two)
    assert len(values(one)) == 2


def test_figures_and_schedule(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, version="run")
    trainer = make_trainer(callback(every_n_epochs=2), logger=logger, max_epochs=3)
    trainer.fit(tiny_vae, loader, loader)
    pictures = sorted(path.parent.name for path in (Path(logger.log_dir) / "figures").rglob("*.png"))
    assert pictures == ["distances", "distances", "living_times", "living_times"]  # of the second epoch and the last


def test_embeddings(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    found = {}
    for name, embedding in (("auto", "auto"), ("conv", "conv"), ("own", lambda x: x.flatten(1)[:, :2])):
        trainer = make_trainer(callback(embedding=embedding))
        trainer.validate(tiny_vae, loader, verbose=False)
        found[name] = values(trainer)["val/topology/score"]
    assert len(set(found.values())) == 3


def test_what_cannot_work_is_said_before_training(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    flat = nn.Sequential(nn.Linear(3, 16))
    tiny_vae.decode = lambda z: flat(z)
    with pytest.raises(MisconfigurationException, match="convolutional embedding needs images"):
        make_trainer(callback(embedding="conv")).validate(tiny_vae, loader, verbose=False)
    with pytest.raises(MisconfigurationException, match="embedding"):
        callback(embedding="vgg")
    with pytest.raises(MisconfigurationException, match="positive"):
        callback(num_draws=0)
    with pytest.raises(MisconfigurationException, match="num_samples"):
        ManifoldTopologyCallback(1)
