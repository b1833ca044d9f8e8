"""The three objectives on images of digits: flows of as many latents as there are pixels.

The total correlation is penalised by random probes of the Jacobian, which cost the same however many latents there are.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from common import CosineLearningRate, Progress, print_made, train, write_csv
from figures import draw_spectra
from images import images_of
from judging import Rule, judged, of_seeds
from objectives import OBJECTIVES, FadingReconstruction
from results import rows, table
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.models import NormalizingFlowModule, glow_flow


@dataclass(frozen=True)
class Setting:
    """How flows of one size are trained and evaluated."""

    seeds: range
    epochs: int
    batch: int
    samples: int  # of the Jacobian
    core: int  # how many of the first latents reconstruct the images
    blocks: int = 2
    probes: int = 2
    learning_rate: float = 1e-3


SETTINGS = {
    "8x8": {
        "full": Setting(range(5), epochs=60, batch=128, samples=360, core=8, blocks=4),
        "fast": Setting(range(1), epochs=5, batch=128, samples=60, core=8, learning_rate=3e-3),
    },
    "28x28": {
        "full": Setting(range(3, 6), epochs=16, batch=64, samples=100, core=32, blocks=4),
        "short": Setting(range(3), epochs=1, batch=32, samples=40, core=32),
        "fast": Setting(range(20, 21), epochs=1, batch=128, samples=10, core=32),
    },
}
SHOWN = ("nll", "manifold/total_entropy", "manifold/total_correlation", "manifold/effective_dimension")


class Outcome(NamedTuple):
    """A trained flow, at the latents of held-out images. Entropies are of data in grey levels, in nats a dimension."""

    nll: float
    total_entropy: float
    total_correlation: float
    effective_dimension: float
    spectrum: Tensor  # (d,) nats
    core: int

    @property
    def core_lead(self) -> float:
        """Mean entropy of the core latents above that of the others, nats."""
        return float(self.spectrum[: self.core].mean() - self.spectrum[self.core :].mean())


Seed = Mapping[str, Outcome]  # by objective
ML, MTC, CORE = OBJECTIVES
SOON: tuple[Rule[Seed], ...] = (
    Rule(
        "the penalty disentangles: the total correlation over that of maximum likelihood",
        lambda seed: seed[MTC].total_correlation / seed[ML].total_correlation,
        0.5,
        below=True,
    ),
    Rule(
        "so it does beside the reconstruction: the total correlation over that of maximum likelihood",
        lambda seed: seed[CORE].total_correlation / seed[ML].total_correlation,
        0.5,
        below=True,
    ),
)
LATER: tuple[Rule[Seed], ...] = (
    Rule(
        "all fit about equally well: the largest difference of total entropies, nats per dimension",
        lambda seed: max(o.total_entropy for o in seed.values()) - min(o.total_entropy for o in seed.values()),
        0.1,
        below=True,
    ),
    Rule(
        "the reconstruction aligns: the effective dimension over that of the penalty alone",
        lambda seed: seed[CORE].effective_dimension / seed[MTC].effective_dimension,
        1.0,
        below=True,
    ),
    Rule(
        "it moves entropy into the core latents: their lead over the others, above that of the penalty alone, in nats",
        lambda seed: seed[CORE].core_lead - seed[MTC].core_lead,
        0.0,
    ),
)
QUANTITIES: dict[str, tuple[int, Callable[[Outcome], float]]] = {
    "negative log-likelihood of held-out data (nats per dimension)": (3, lambda outcome: outcome.nll),
    "total entropy (nats per dimension)": (3, lambda outcome: outcome.total_entropy),
    "total correlation (nats per dimension)": (4, lambda outcome: outcome.total_correlation),
    "effective dimension": (1, lambda outcome: outcome.effective_dimension),
    "entropy of core latents above that of the others (nats)": (2, lambda outcome: outcome.core_lead),
}


def tell(options: argparse.Namespace) -> None:
    """Train all objectives from all seeds, and judge what they made of the images."""
    folder: Path = options.folder
    start = time.time()
    images = images_of(options.data)
    setting = images.setting(SETTINGS, options)
    training, held_out, std = (part for part in images.flat_grey())
    x = held_out.tensors[0]
    loaders = {
        "train_dataloaders": DataLoader(
            TensorDataset(training.tensors[0]), setting.batch, shuffle=True, drop_last=True
        ),
        "val_dataloaders": DataLoader(TensorDataset(x), setting.batch),
    }
    found: dict[str, list[Outcome]] = {name: [] for name in OBJECTIVES}
    for seed in setting.seeds:
        for name, weights in OBJECTIVES.items():
            torch.manual_seed(seed)  # the same flow, from the same start, with the same batches
            flow = glow_flow(images.pixels, setting.blocks, hidden=64)
            module = NormalizingFlowModule(
                flow,
                **weights,
                core_dims=setting.core,
                learning_rate=setting.learning_rate,
                num_probes=setting.probes,
            )
            module.terms(training.tensors[0][:500])  # layers that set themselves on the first batch do so
            watch = ManifoldEntropyCallback(
                setting.samples,
                source="posterior_mean",
                data_std=std,
                figures=False,
                every_n_epochs=setting.epochs,
            )
            progress = Progress(f"{name}, seed {seed}", SHOWN)
            values, _ = train(
                f"{name.removeprefix('+ ').replace(' ', '-')}-{seed}",
                module,
                loaders,
                [watch, progress, FadingReconstruction(), CosineLearningRate(20)],
                epochs=setting.epochs,
                folder=folder,
                project="torchdisentangle-two-moons",
                accelerator=images.accelerator,
                gradient_clip_val=50.0,
            )
            found[name].append(_outcome(values, watch, std, setting.core))
            write_csv(folder / "runs.csv", rows(found, QUANTITIES, setting.seeds, ("objective", "seed")))
    summary = table(found, QUANTITIES)
    (folder / "summary.md").write_text(summary + "\n")
    draw_spectra({name: [one.spectrum for one in outcomes] for name, outcomes in found.items()}, setting.core).savefig(
        folder / "spectra.png", dpi=170
    )
    print(f"\n{summary}\n\nfigure {folder}/spectra.png")
    print_made(start)
    conclude(judged(SOON if options.fast else SOON + LATER, of_seeds(found), images.size))


def _outcome(values: Mapping[str, float], watch: ManifoldEntropyCallback, std: float, core: int) -> Outcome:
    report = watch.report
    spectrum = report.matrices["spectrum"].cpu()
    size = len(spectrum)
    return Outcome(
        values["val/nll"] / size + math.log(std),
        report["total_entropy"] / size,
        report["total_correlation"] / size,
        report["effective_dimension"],
        spectrum,
        core,
    )
