"""Two generators with a known answer: the same data, made from disentangled and from entangled latents.

Three independent factors, an angle, a length and another angle, make points in five dimensions. One generator takes
each factor from a latent of its own; the other turns the latents first, so that it generates exactly the same
distribution, and no metric of the data alone can tell them apart. The topology of what they generate while one latent
is held can: the finding is that the disentangled generator scores higher, unsupervised and against the factors.

Run ``python examples/topology/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to PNG files.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from statistics import mean

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import torch
from common import arguments, print_made, write_csv
from figure import draw_scores
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude, over_seeds

from torchdisentangle.callbacks import ManifoldTopologyCallback, log_figure
from torchdisentangle.functional.topology.submanifold import conditional_latents
from torchdisentangle.topology import SupervisedManifoldTopologyScore

SEEDS = range(5, 10)  # of latents, landmarks and rotation; others were looked at before
KINDS = ("unsupervised", "supervised")
FACTORS = ("first angle", "length", "second angle")


class Rings(L.LightningModule):
    """Decodes three standard normal latents, after an optional rotation, into two ellipses and a segment."""

    latent_dim = 3

    def __init__(self, rotation: Tensor) -> None:
        super().__init__()
        self.register_buffer("rotation", rotation)

    rotation: Tensor

    def decode(self, z: Tensor) -> Tensor:
        first, length, second = (2 * torch.special.ndtr(z @ self.rotation) - 1).unbind(1)  # uniform in (-1, 1)
        angles = [math.pi * first, math.pi * second]
        rings = [part for angle in angles for part in (angle.cos(), 0.8 * angle.sin())]
        return torch.stack([*rings, 0.3 * length], dim=1)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Nothing but the callback happens here."""


def mixing(seed: int) -> Tensor:
    """A rotation of the latents by 30 to 60 degrees in each pair of them."""
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.eye(3)
    for i, j in ((0, 1), (1, 2), (0, 2)):
        angle = math.pi * (1 / 6 + torch.rand((), generator=generator) / 6)
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = angle.cos()
        turn[i, j], turn[j, i] = -angle.sin(), angle.sin()
        rotation = rotation @ turn
    return rotation


def against_factors(module: Rings, seed: int, settings: dict) -> SupervisedManifoldTopologyScore:
    """Latents against factors: the data come from the disentangled process, with one factor held."""
    values = 4
    metric = SupervisedManifoldTopologyScore(3, values, [values] * 3, seed=seed, **settings)
    truth = Rings(torch.eye(3))
    generator = torch.Generator().manual_seed(seed)
    base, real, held = (torch.randn(n, 3, generator=generator) for n in (400, 400, values))
    for index in range(3):
        for value in range(values):
            at = held[value, index]
            metric.update(module.decode(conditional_latents(base, index, at)), latent=index, value=value)
            metric.update(truth.decode(conditional_latents(real, index, at)), factor=index, value=value)
    return metric


def main() -> None:
    options = arguments(__doc__, "runs/topology", fast="one seed and few draws")
    folder: Path = options.folder
    seeds, draws = (range(1), 4) if options.fast else (SEEDS, 12)
    settings = {"num_draws": draws, "num_landmarks": 32, "gamma": 1 / 8, "max_holes": 10}
    start = time.time()
    logger = WandbLogger(project="torchdisentangle-topology", save_dir=folder, offline=True)
    nothing = DataLoader(TensorDataset(torch.zeros(1, 1)))
    scores: dict[str, list[tuple[float, float]]] = {"disentangled": [], "entangled": []}
    distances: dict[str, Tensor] = {}
    for seed in seeds:
        for name, rotation in (("disentangled", torch.eye(3)), ("entangled", mixing(seed))):
            module = Rings(rotation)
            callback = ManifoldTopologyCallback(
                400, 4, **settings, seed=seed, prefix=f"{name}/seed {seed}", figures=seed == seeds[0]
            )
            trainer = L.Trainer(
                accelerator="cpu",
                logger=[logger, CSVLogger(folder, name=name, version=f"seed-{seed}")],
                callbacks=[callback],
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.validate(module, nothing, verbose=False)
            unsupervised = float(trainer.callback_metrics[f"{name}/seed {seed}/topology/score"])
            metric = against_factors(module, seed, settings)
            supervised = float(metric.compute()["score"])
            scores[name].append((unsupervised, supervised))
            distances.setdefault(name, metric.distances())
            print(
                f"[{name}] seed {seed}  unsupervised {unsupervised:7.0f}  supervised {supervised:7.0f}"
                f"  ({time.time() - start:.0f} s)",
                flush=True,
            )
    figure = draw_scores(list(seeds), scores, distances, FACTORS)
    log_figure(L.Trainer(logger=logger, enable_progress_bar=False), "scores", figure)
    figure.savefig(folder / "scores.png", dpi=160)
    run = logger.experiment.dir.removesuffix("/files")
    logger.experiment.finish()
    write_csv(
        folder / "scores.csv",
        [
            {"generator": name, "seed": seed} | dict(zip(KINDS, pair, strict=True))
            for name, found in scores.items()
            for seed, pair in zip(seeds, found, strict=True)
        ],
    )
    summary = table(scores)
    (folder / "summary.md").write_text(summary + "\n")
    print(f"\n{summary}\n\nwandb run          {run}\nfigure             {folder / 'scores.png'}")
    print(f"of the callback    {folder}/<generator>/seed-{seeds[0]}/figures")
    print_made(start)
    findings = {}
    for place, kind in enumerate(KINDS):
        ahead = over_seeds([good[place] - bad[place] for good, bad in zip(*scores.values(), strict=True)])
        findings[f"{kind}: the disentangled generator scores higher, by {ahead}"] = ahead.above(0)
    conclude(findings)


def table(scores: dict[str, list[tuple[float, float]]]) -> str:
    """Means over seeds, with the lowest and the highest, in Markdown."""
    lines = ["| generator | " + " | ".join(KINDS) + " |", "| --- | ---: | ---: |"]
    for name, found in scores.items():
        columns = list(zip(*found, strict=True))
        cells = (f"{mean(column):.0f} ({min(column):.0f} to {max(column):.0f})" for column in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
