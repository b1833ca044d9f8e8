"""Architectures have biases: what four normalizing flows make of the same handwritten digits.

A Glow, a neural spline flow, an incompressible flow (GIN) and a wavelet flow of about equal size learn scikit-learn's
digits by maximum likelihood alone, or those of MNIST. Nothing tells them what to do with their latents, and they do
different things. The findings: the wavelet flow is the most aligned (few latents carry much), and its latents of
one scale share more information with each other than with those of other scales, which no other flow's latents do. And
GIN's latents sorted by the prior's standard deviation, as they were in its paper, are not those that move the data
most: some of these are hidden behind, and their manifold entropies reveal them.

Run ``python examples/architectures/main.py``, or with ``--fast``; with ``--data mnist`` for images of 28x28 pixels, and
with ``--short`` for fewer steps of these. Logs to Weights & Biases, offline, and to CSV and PNG files, and judges its
findings by rules.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import torch
from analysis import Found, found_in
from common import CosineLearningRate, Progress, arguments, print_made, print_places, train, write_csv
from figures import draw_hidden, draw_pairwise, draw_spectra
from images import HELP, SHORT, Images, images_of
from judging import judged, of_seeds
from results import rows, table
from rules import rules_of
from torch import nn
from torch.utils.data import DataLoader
from verdicts import conclude

from torchdisentangle import evaluate
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.models import (
    NormalizingFlowModule,
    fit_prior,
    gin_flow,
    glow_flow,
    haar_scales,
    spline_flow,
    wavelet_flow,
)

CLASSES = 10


@dataclass(frozen=True)
class Setting:
    """How the flows of one size are trained and evaluated."""

    starts: range
    epochs: int
    copies: int  # of each image, with fresh noise
    batch: int
    samples: int  # of the Jacobian
    blocks: tuple[int, int, int, int]  # couplings of Glow, spline, GIN and wavelet
    hidden: tuple[int, int, int, int]  # widths of their networks
    learning_rate: float = 3e-3

    def architectures(self, images: Images) -> dict[str, Callable[[], nn.Module]]:
        """Flows of about equal size."""
        size, shape = images.pixels, images.shape
        builders = (
            partial(glow_flow, size),
            partial(spline_flow, size, num_bins=4),
            partial(gin_flow, size),
            partial(wavelet_flow, shape, num_levels=2),
        )
        widths = zip(builders, self.blocks, self.hidden, strict=True)
        built = [partial(build, num_blocks=n, hidden=hidden, num_classes=CLASSES) for build, n, hidden in widths]
        return dict(zip(("Glow", "spline", "GIN", "wavelet"), built, strict=True))


SMALL = partial(Setting, batch=256, blocks=(6, 4, 8, 6), hidden=(64, 32, 64, 52))
LARGE = partial(Setting, blocks=(4, 4, 8, 6), hidden=(64, 32, 230, 210), learning_rate=1e-3)
SETTINGS = {
    "8x8": {  # starts 0 to 2 suggested the findings, so others judge them
        "full": SMALL(range(3, 6), epochs=8, copies=9, samples=500),
        "fast": SMALL(range(1), epochs=2, copies=2, samples=40),
    },
    "28x28": {  # starts 3 to 5 suggested that GIN becomes the most entangled
        "full": LARGE(range(6, 10), epochs=6, copies=4, batch=256, samples=100),
        "short": LARGE(range(3), epochs=3, copies=1, batch=64, samples=40),
        "fast": LARGE(range(20, 21), epochs=2, copies=1, batch=128, samples=10),
    },
}
SHOWN = ("nll", "manifold/total_correlation", "manifold/effective_dimension", "manifold/mpmi_mean")


def main() -> None:
    options = arguments(__doc__, "runs/architectures", fast="one start and a short training", data=HELP, short=SHORT)
    folder: Path = options.folder
    start = time.time()
    images = images_of(options.data)
    setting = images.setting(SETTINGS, options)
    training, validation, std = images.flat_grey(setting.copies)
    data = {"train_dataloaders": DataLoader(training, setting.batch, shuffle=True, drop_last=True)}
    data["val_dataloaders"] = DataLoader(validation, 360)
    warm_up_steps = setting.epochs * len(data["train_dataloaders"]) // 8
    large = images.are_large
    every = {"every_n_epochs": setting.epochs} if large else {}  # evaluations of 784 latents take half a minute
    figures = False if options.fast else setting.epochs - 1  # of the first epoch and the last
    all_scales = haar_scales(images.shape, num_levels=2)
    sizes, parameters, places = [len(scale) for scale in all_scales], {}, {}
    architectures = setting.architectures(images)
    runs: dict[str, list[Found]] = {name: [] for name in architectures}
    untrained: dict[str, float] = {}
    for seed in setting.starts:
        for name, build in architectures.items():
            torch.manual_seed(seed)
            module = NormalizingFlowModule(build(), learning_rate=setting.learning_rate)
            fit_prior(module.flow, *training[:2000])
            parameters[name] = sum(parameter.numel() for parameter in module.parameters())
            if name not in untrained:
                before = evaluate(module, evaluations=[ManifoldEvaluation(setting.samples // 2, data_std=std)])
                untrained[name] = before["manifold/effective_dimension"]
            progress = Progress(f"{name}, start {seed}", SHOWN)
            watch = ManifoldEntropyCallback(
                setting.samples, data_std=std, image_shape=list(images.shape), figures=figures, **every
            )
            _, places[name] = train(
                f"{name}-{seed}",
                module,
                data,
                [watch, progress, CosineLearningRate(warm_up_steps)],
                epochs=setting.epochs,
                folder=folder,
                project="torchdisentangle-architectures",
                accelerator=images.accelerator,
                gradient_clip_val=50.0,
            )
            scales = all_scales if name == "wavelet" else None
            runs[name].append(found_in(module, progress.history, watch.report, std, sizes, scales))
            write_csv(folder / "runs.csv", rows(runs, QUANTITIES, setting.starts, ("architecture", "start")))
    shapes = "".join(
        f"\n| {what} | " + " | ".join(values) + " |"
        for what, values in {
            "parameters": [f"{parameters[name]:,}" for name in runs],
            "effective dimension, untrained": [f"{untrained[name]:.1f}" for name in runs],
        }.items()
    )
    summary = table(runs, QUANTITIES) + shapes
    (folder / "summary.md").write_text(summary + "\n")
    first = {name: found[0] for name, found in runs.items()}
    draw_spectra(runs).savefig(folder / "spectra.png", dpi=170)
    draw_pairwise(first, tile=7 if large else 1).savefig(folder / "pairwise.png", dpi=150)
    draw_hidden(first["GIN"], images.pixels // 4).savefig(folder / "hidden.png", dpi=170)
    print(f"\n{summary}\n")
    print_places(places, 28)
    print(f"{'figures':28} {folder}/spectra.png, pairwise.png, hidden.png")
    print_made(start)
    conclude(judged(rules_of(images.size, options.fast), of_seeds(runs), images.size))


QUANTITIES: dict[str, tuple[int, Callable[[Found], float]]] = {
    "bits per dimension, held-out digits": (3, lambda found: found.bits),
    "effective dimension": (1, lambda found: found.effective_dimension),
    "active latents": (1, lambda found: found.active_latents),
    "total correlation (nats per dimension)": (3, lambda found: found.total_correlation / len(found.spectrum)),
    "MPMI, mean (nats)": (4, lambda found: found.mean_pairwise),
    "MPMI within blocks (nats)": (4, lambda found: found.within),
    "MPMI between blocks (nats)": (4, lambda found: found.between),
    "block structure: their ratio": (2, lambda found: found.within / found.between),
    "volume that the flow makes (nats per dimension)": (3, lambda found: found.volume / len(found.spectrum)),
    "rank correlation of entropy and prior's std": (2, lambda found: found.rank_correlation),
    "hidden: first quarter by entropy, but not by std": (1, lambda found: float(len(found.hidden(found.quarter)))),
    "hidden by (nats)": (2, lambda found: found.hidden_by(found.quarter)),
    "Jacobians that overflowed and were left out": (1, lambda found: float(found.left_out)),
}


if __name__ == "__main__":
    main()
