"""Two models, watched while they train: a beta-VAE on handwritten digits and a spline flow on two moons.

Run it with ``make demo``, or ``python examples/demo/main.py --help``. Both runs log to Weights & Biases, offline, and
to CSV and PNG files; at the end it says where everything is and prints a summary.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import torch
from common import Progress, arguments, print_places, table, train
from overview import draw_overview
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle import ManifoldSummary
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import handwritten_digits, two_moons
from torchdisentangle.models import BetaVAE, NormalizingFlowModule, spline_flow

SHOWN = ("loss", "manifold/total_entropy", "manifold/total_correlation", "manifold/active_latents")

Run = tuple[L.LightningModule, tuple[DataLoader, DataLoader], int]


def digits(fast: bool) -> Run:
    """A beta-VAE with ten latents on 1,437 images; 360 are kept for validation."""
    model = BetaVAE(data_shape=(1, 8, 8), latent_dim=10, beta=1.0, hidden=(256, 256), learning_rate=2e-3)
    loaders = (
        DataLoader(handwritten_digits("train"), 64, shuffle=True),
        DataLoader(handwritten_digits("validation"), 360),
    )
    return model, loaders, 2 if fast else 48


def moons(fast: bool) -> Run:
    """A spline flow, trained to be disentangled (total correlation) and aligned (core reconstruction)."""
    model = NormalizingFlowModule(
        spline_flow(2, num_blocks=3, hidden=48),
        total_correlation_weight=1.0,
        core_reconstruction_weight=5.0,
        core_dims=1,
        learning_rate=4e-3,
    )
    loaders = (
        DataLoader(TensorDataset(two_moons(4096, noise=0.1, seed=0)), 256, shuffle=True),
        DataLoader(TensorDataset(two_moons(1024, noise=0.1, seed=1)), 1024),
    )
    return model, loaders, 2 if fast else 28


def main() -> None:
    options = arguments(__doc__, "runs/demo", fast="two epochs each, to see that it runs")
    folder: Path = options.folder
    start = time.time()
    values, places, models = {}, {}, {}
    for name, story in (("digits", digits), ("moons", moons)):
        models[name], (training, validation), epochs = story(options.fast)
        callbacks = [ManifoldEntropyCallback(num_samples=1024, standard_errors=True), Progress(name, SHOWN)]
        data = {"train_dataloaders": training, "val_dataloaders": validation}
        values[name], places[name] = train(
            name, models[name], data, callbacks, epochs, folder, project="torchdisentangle-demo"
        )
    summary = table(values, ["loss", *(f"manifold/{name}" for name in ManifoldSummary.scalar_names)])
    (folder / "summary.md").write_text(summary + "\n")
    torch.manual_seed(0)
    draw_overview(models["digits"], models["moons"]).savefig(folder / "overview.png", dpi=200)
    print(f"\n{summary}\n")
    print_places(places, 28)
    print(f"{'overview figure':28} {folder / 'overview.png'}\n{'summary table':28} {folder / 'summary.md'}")
    print(f"\nDone in {time.time() - start:.0f} s.")


if __name__ == "__main__":
    main()
