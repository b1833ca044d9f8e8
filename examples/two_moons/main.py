"""Three representations of two moons: the same flow trained by three objectives.

All three fit the data about equally well, so that their total entropies agree, but only the entropies of their latents
tell what was learnt: maximum likelihood entangles the latents; the total correlation makes them orthogonal, but shares
the data out between them; the reconstruction from one core latent makes this one run along the moons, and the other
across.

Run ``python examples/two_moons/main.py``, or with ``--fast``; with ``--data mnist`` or ``--data digits`` for images in
place of the moons. Logs to Weights & Biases, offline, and to CSV and PNG files, and judges its findings by rules.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import of_images
import torch
from common import CosineLearningRate, Progress, arguments, print_made, print_places, train, write_csv
from figures import draw_curves, draw_representations
from images import HELP, SHORT
from judging import judged, of_seeds
from objectives import OBJECTIVES, FadingReconstruction
from representation import Representation, represent
from results import rows, table
from rules import LATER, SOON
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import two_moons
from torchdisentangle.models import NormalizingFlowModule, spline_flow


@dataclass(frozen=True)
class Setting:
    """How flows of the plane are trained and evaluated."""

    seeds: range
    blocks: int
    hidden: int
    learning_rate: float
    epochs: int
    steps: int  # an epoch
    batch: int
    held_out: int


# seeds 0 and 1 suggested the findings, so others judge them
FULL = Setting(range(2, 6), 4, hidden=64, learning_rate=1e-2, epochs=48, steps=15, batch=512, held_out=2048)
FAST = Setting(range(1), 2, hidden=32, learning_rate=5e-2, epochs=2, steps=50, batch=256, held_out=512)
SHOWN = ("nll", "manifold/total_entropy", "manifold/total_correlation")
QUANTITIES: dict[str, tuple[int, Callable[[Representation], float]]] = {
    "negative log-likelihood of held-out data": (3, lambda found: found.values["val/nll"]),
    "total entropy": (3, lambda found: found.total_entropy),
    "total correlation": (3, lambda found: found.total_correlation),
    "entropy of the core latent": (3, lambda found: found.core),
    "entropy of the detail latent": (3, lambda found: found.detail),
    "total entropy, over the prior": (3, lambda found: found.values["prior/manifold/total_entropy"]),
    "total correlation, over the prior": (3, lambda found: found.values["prior/manifold/total_correlation"]),
}


def watched(num_samples: int, figures: bool) -> list[L.Callback]:
    """The callbacks: at the latents of held-out data, and of the prior."""
    return [
        ManifoldEntropyCallback(num_samples, source="posterior_mean", standard_errors=True, figures=8 * figures),
        ManifoldEntropyCallback(num_samples, prefix="prior", figures=False),
        FadingReconstruction(),
        CosineLearningRate(20),
    ]


def main() -> None:
    options = arguments(
        __doc__,
        "runs/two_moons",
        fast="a flow of two blocks and a short training, of which less is judged",
        data=f"'moons', {HELP}",
        short=SHORT,
        default_data="moons",
    )
    if options.data != "moons":
        of_images.tell(options)
    if options.short:
        raise SystemExit("--short is a setting for images; the moons have --fast")
    folder: Path = options.folder
    start = time.time()
    setting = FAST if options.fast else FULL
    places, curves = {}, {}
    runs: dict[str, list[Representation]] = {name: [] for name in OBJECTIVES}
    for seed in setting.seeds:
        points = two_moons(setting.steps * setting.batch, noise=0.1, seed=2 * seed)
        held_out = two_moons(setting.held_out, noise=0.1, seed=2 * seed + 1)
        data = {
            "train_dataloaders": DataLoader(TensorDataset(points), setting.batch, shuffle=True),
            "val_dataloaders": DataLoader(TensorDataset(held_out), setting.held_out),
        }
        for name, weights in OBJECTIVES.items():
            torch.manual_seed(seed)  # the same flow, from the same start, with the same batches
            flow = spline_flow(2, setting.blocks, hidden=setting.hidden)
            model = NormalizingFlowModule(flow, **weights, learning_rate=setting.learning_rate, jacobian_mode="reverse")
            title = f"{name}, seed {seed}"
            progress = Progress(title, SHOWN)
            values, places[title] = train(
                f"{name.removeprefix('+ ').replace(' ', '-')}-{seed}",
                model,
                data,
                [*watched(setting.held_out, figures=seed == setting.seeds[0]), progress],
                epochs=setting.epochs,
                folder=folder,
                project="torchdisentangle-two-moons",
                gradient_clip_val=5.0,
            )
            curves.setdefault(name, progress.history)  # of the first seed
            runs[name].append(represent(model, held_out, values))
            write_csv(folder / "runs.csv", rows(runs, QUANTITIES, setting.seeds, ("objective", "seed")))
    summary = table(runs, QUANTITIES)
    (folder / "summary.md").write_text(summary + "\n")
    draw_representations({name: found[0] for name, found in runs.items()}).savefig(
        folder / "representations.png", dpi=160
    )
    draw_curves(curves).savefig(folder / "curves.png", dpi=200)
    print(f"\n{summary}\n")
    print_places(places, 48)
    print(f"{'figures':48} {folder}/representations.png, curves.png")
    print_made(start)
    conclude(judged(SOON if options.fast else SOON + LATER, of_seeds(runs)))


if __name__ == "__main__":
    main()
