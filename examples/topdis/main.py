"""A beta-VAE with and without the topological penalty of TopDis: does it turn the latents towards the factors?

Shifting a latent that is one factor moves all decoded images alike, and the shape of their cloud stays the same;
shifting a mixture deforms it. The penalty is that deformation. Pairs of models that differ in nothing else (seed, data,
beta, steps) are trained on small images of a heart with three factors. What is asked: does the penalty lower the
divergence of trained models, does it raise their MIG, and what is its price in reconstruction?

Run ``python examples/topdis/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG files.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import numpy as np
import torch
from common import Progress, arguments, print_made, train, write_csv
from figure import draw_overview
from hearts import FACTORS, hearts, loaders
from torch import Tensor
from verdicts import Interval, conclude, over_seeds

from torchdisentangle.callbacks import DisentanglementCallback
from torchdisentangle.datasets import FactorDataset
from torchdisentangle.functional.topology.rtd import (
    quantile_normalized_distances,
    representation_topology_divergence,
    shift_latent,
)
from torchdisentangle.models import BetaVAE, TopDisVAE

SHOWN = ("reconstruction", "kl", "disentanglement/mig")
SETTINGS = {"data_shape": (1, 16, 16), "latent_dim": 3, "hidden": (128, 128), "learning_rate": 2e-3, "beta": 2.0}
PENALTY = {"topdis_weight": 2.0, "topdis_rows": 24, "topdis_start": 100}
KEYS = (*SHOWN, "divergence")
SEEDS = range(12, 32)  # the settings were chosen on others
GRID = 64  # values of each factor where the decoder is the truth


class Truth:
    """The decoder that knows: standard normal latents, turned by an angle, are the normal scores of two factors."""

    def __init__(self, angle: float, factors: tuple[str, str]) -> None:
        self.dataset = hearts(GRID, GRID)
        self.turn = torch.eye(3)
        i, j = (FACTORS.index(name) for name in factors)
        self.turn[i, i] = self.turn[j, j] = math.cos(angle)
        self.turn[i, j], self.turn[j, i] = -math.sin(angle), math.sin(angle)

    def decode(self, z: Tensor) -> Tensor:
        values = (torch.special.ndtr(z @ self.turn.T) * GRID).long().clamp(0, GRID - 1)
        factors = torch.zeros(len(z), self.dataset.num_factors, dtype=torch.long)
        factors[:, [self.dataset.factor_index(name) for name in FACTORS]] = values
        return self.dataset.render(factors)


@torch.no_grad()
def divergences(model: Any, draws: int, latents: tuple[int, ...] = (0, 1, 2), rows: int = 32) -> list[float]:
    """Topological divergence when a latent is shifted, one in turn, for draws from the prior that all models share."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(draws):
        z = torch.randn(rows, 3, generator=generator)
        shifted, kept = shift_latent(z, latents[number % len(latents)], 1 / 8)
        before, after = (quantile_normalized_distances(model.decode(points)) for points in (z[kept], shifted))
        found.append(float(representation_topology_divergence(before, after)))
    return found


def trained(
    name: str, seed: int, data: FactorDataset, epochs: int, draws: int, folder: Path, figures: bool
) -> dict[str, float]:
    """What is known of a model after its training."""
    L.seed_everything(seed, verbose=False)
    model = BetaVAE(**SETTINGS) if name == "beta-VAE" else TopDisVAE(**SETTINGS, **PENALTY)
    watched = DisentanglementCallback(["mig"], factor_names=list(FACTORS), figures=figures)
    run = f"{name}, seed {seed}"
    values, _ = train(
        run, model, loaders(data), [watched, Progress(run, SHOWN)], epochs, folder, "torchdisentangle-topdis"
    )
    return {key: values[f"val/{key}"] for key in SHOWN} | {"divergence": float(np.mean(divergences(model, draws)))}


def main() -> None:
    options = arguments(__doc__, "runs/topdis", fast="one pair of models for a few epochs; its scores are not judged")
    folder: Path = options.folder
    start = time.time()
    seeds, epochs, draws = (range(1), 24, 9) if options.fast else (SEEDS, 104, 18)
    angles = [0, 45] if options.fast else [0, 15, 30, 45]
    turned = {
        names: [divergences(Truth(math.radians(angle), names), draws, _positions(names)) for angle in angles]
        for names in (("x", "y"), ("scale", "x"))
    }
    data = hearts()
    results: dict[str, list[dict[str, float]]] = {"beta-VAE": [], "TopDis": []}
    for seed in seeds:
        for name, found in results.items():
            found.append(trained(name, seed, data, epochs, draws, folder, figures=seed == seeds[0]))
    rows = [
        {"model": name, "seed": seed} | {key.split("/")[-1]: value for key, value in row.items()}
        for name, found in results.items()
        for seed, row in zip(seeds, found, strict=True)
    ]
    write_csv(folder / "runs.csv", rows)
    gains = {
        key: over_seeds([with_it[key] - without[key] for without, with_it in zip(*results.values(), strict=True)])
        for key in KEYS
    }
    summary = table(results, gains)
    (folder / "summary.md").write_text(summary + "\n")
    draw_overview(angles, turned, results).savefig(folder / "overview.png", dpi=150)
    print(f"\n{summary}\n\nwandb runs         {folder / 'wandb'}\nfigure             {folder / 'overview.png'}")
    print_made(start)
    findings = {}
    for (first, second), values in turned.items():
        beyond = over_seeds([after - 2 * before for before, after in zip(values[0], values[-1], strict=True)])
        what = f"turning {first} and {second} by 45 degrees more than doubles the divergence"
        findings[f"{what}: beyond twice by {beyond}"] = beyond.above(0)
    if not options.fast:
        findings |= {
            f"the penalty lowers the divergence: {gains['divergence']}": gains["divergence"].below(0),
            f"the penalty raises MIG: {gains['disentanglement/mig']}": gains["disentanglement/mig"].above(0),
            f"it has a price in reconstruction: {gains['reconstruction']} nats": gains["reconstruction"].above(0),
        }
    conclude(findings)


def table(results: dict[str, list[dict[str, float]]], gains: dict[str, Interval]) -> str:
    """Means over seeds of both models, and of their paired differences with intervals, in Markdown."""
    lines = ["| | reconstruction | KL | MIG | divergence |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, found in results.items():
        lines.append(f"| {name} | " + " | ".join(f"{np.mean([row[key] for row in found]):.3f}" for key in KEYS) + " |")
    lines.append("| difference, 95% interval | " + " | ".join(str(gains[key]) for key in KEYS) + " |")
    return "\n".join(lines)


def _positions(names: tuple[str, str]) -> tuple[int, ...]:
    return tuple(FACTORS.index(name) for name in names)


if __name__ == "__main__":
    main()
