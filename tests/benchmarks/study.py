"""Studies on two workers against one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks import markdown, scaled
from torchdisentangle import evaluate
from torchdisentangle.datasets import Sprites
from torchdisentangle.models import BetaVAE
from torchdisentangle.study import Study, save_run
from torchdisentangle.study.on_ray import RayTasks

_MODELS, _BATCH = 8, 64


def train(config: dict[str, Any], folder: Path) -> None:
    """A small beta-VAE of sprites, trained for some seconds and scored."""
    sprites = Sprites(image_size=16, factor_sizes=(3, 4, 8, 8))
    images = torch.stack([sprites[index][0] for index in range(len(sprites))])
    model = BetaVAE(data_shape=(1, 16, 16), latent_dim=6, beta=config["beta"], hidden=(256, 256))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(config["steps"]):
        loss = model.training_loss(model.terms(images[torch.randint(len(images), (_BATCH,))]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loader = torch.utils.data.DataLoader(sprites, batch_size=256)
    save_run(folder, model=model, report=evaluate(model.eval(), loader, ["elbo"]).kept())


def tables(device: str = "cpu") -> Iterator[str]:
    """Eight small models on one and on two workers of each engine; always on the CPU.

    Processes and Ray are there before the time is taken, and have imported what a run needs: the first runs, which do
    not count, wait for that.
    """
    steps = scaled(800, 2)
    configurations = [{"beta": float(1 + seed % 4), "seed": seed, "steps": steps} for seed in range(_MODELS)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for engine in ("processes", "ray") if find_spec("ray") else ("processes",):
            cluster = RayTasks(2, 1, 0.0, "local") if engine == "ray" else None
            Study(Path(folder, engine, "first"), train, [{**one, "steps": 1} for one in configurations[:2]]).execute(
                2, engine
            )
            seconds, found = {}, []
            for workers in (1, 2):
                study = Study(Path(folder, engine, str(workers)), train, configurations)
                start = time.perf_counter()
                runs = study.execute(workers, engine)
                seconds[workers] = time.perf_counter() - start
                found.append([run.report.to_dict() for run in runs])
            if cluster is not None:
                cluster.close()
            ratio = f"{seconds[1] / seconds[2]:.2f}x"
            rows.append([engine, f"{seconds[1]:.1f}", f"{seconds[2]:.1f}", ratio, found[0] == found[1]])
    yield markdown(
        f"{_MODELS} models, {steps} steps each",
        ["engine", "s, 1 worker", "s, 2 workers", "faster", "same values"],
        rows,
    )
