"""A beta-VAE sweep on handwritten digits: how many latents does it use, and how separate are they?

A beta-VAE with ten latents is trained at each of several betas. The findings: the larger beta, the fewer latents are
active; where some are not, the manifold entropy spectrum has a cliff between those that are and those that are not; and
most of the manifold total correlation is then of inactive latents, whose tangent vectors are short and point anywhere.

Run ``python examples/beta_sweep/main.py``, or with ``--fast``, or with ``--data FOLDER`` for images of 28x28 pixels
from the files of MNIST or EMNIST. Logs to Weights & Biases, offline, and to CSV and PNG files.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
from common import Progress, arguments, train
from figures import draw_classes, draw_eigen_digits, draw_sweep
from spectra import Run, run_of
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle.callbacks import ELBODecompositionCallback, ManifoldEntropyCallback
from torchdisentangle.datasets import EMNIST, MNIST, handwritten_digits
from torchdisentangle.functional import principal_spectrum
from torchdisentangle.models import BetaVAE

LATENTS, PIXELS = 10, 784  # of the paper
BETAS = (0.01, 0.1, 1.0, 5.0, 10.0, 20.0, 100.0)
FAST_BETAS = (0.1, 10.0, 100.0)
SHOWN = (0.1, 5.0, 20.0)
QUANTITIES = {  # what the table calls them, their decimals, and their keys
    "reconstruction": (2, "reconstruction"),
    "KL": (2, "kl"),
    "active latents": (0, "manifold/active_latents"),
    "active units": (0, "elbo/active_units"),
    "active MPMI": (3, "manifold/active_mpmi_mean"),
    "MTC": (2, "manifold/total_correlation"),
}


def digits(folder: Path | None, fast: bool) -> tuple[TensorDataset, TensorDataset, dict[str, Any]]:
    """Training and validation data, and the model's settings: 8x8 pixels, or 28x28 from files (the first of many)."""
    if folder is None:
        settings = {"hidden": (128, 128), "learning_rate": 6e-3} if fast else {"learning_rate": 2e-3}
        return handwritten_digits("train"), handwritten_digits("validation"), settings
    emnist = any(folder.glob("emnist-*"))
    parts = [EMNIST(folder, split) if emnist else MNIST(folder, split) for split in ("train", "test")]
    train_data, test_data = (
        TensorDataset(*next(iter(DataLoader(part, size)))) for part, size in zip(parts, (10_000, 2_000), strict=True)
    )
    return train_data, test_data, {"network": "conv", "hidden": (32, 64), "learning_rate": 1e-3}


def main() -> None:
    options = arguments(
        __doc__,
        "runs/beta_sweep",
        fast="three betas, one seed and a short training",
        data="folder with the files of MNIST or EMNIST digits; by default scikit-learn's digits",
    )
    folder: Path = options.folder
    start = time.process_time()
    train_data, held_out, settings = digits(options.data, options.fast)
    images: Tensor = train_data.tensors[0]
    shape = tuple(images.shape[1:])
    steps = 530 if options.fast else 4400
    principal = principal_spectrum(images)
    reference = float(principal[0])  # a latent is active if it moves the data a tenth as far as this component
    runs: list[Run] = []
    for beta in FAST_BETAS if options.fast else BETAS:
        for seed in range(1 if options.fast else 2):
            L.seed_everything(seed, verbose=False)
            # An image's likelihood grows with its pixels, its divergence does not: the same weight by pixel.
            model = BetaVAE(shape, LATENTS, beta * images[0].numel() / PIXELS, **settings)
            title = f"beta {beta:g}, seed {seed}"
            loader = DataLoader(train_data, 64, shuffle=True, drop_last=True)
            figures = 8 * (seed == 0 and not options.fast)
            watch = ManifoldEntropyCallback(active_reference=reference, figures=figures)
            values, _ = train(
                title,
                model,
                {"train_dataloaders": loader, "val_dataloaders": DataLoader(held_out, 500)},
                [
                    watch,
                    ELBODecompositionCallback(figures=False),
                    Progress(title, [key for _, key in QUANTITIES.values()]),
                ],
                epochs=max(8, steps // len(loader)),
                folder=folder,
                project="torchdisentangle-beta-sweep",
            )
            logged = {name: values[f"val/{key}"] for name, (_, key) in QUANTITIES.items()}
            runs.append(run_of(model, beta, seed, logged, watch.report, held_out))

    summary = table(runs)
    (folder / "summary.md").write_text(summary + "\n")
    first = [run for run in runs if run.seed == 0]
    shown = first if options.fast else [run for run in first if run.beta in SHOWN]
    draw_sweep(runs, principal[:LATENTS], reference).savefig(folder / "sweep.png", dpi=170)
    draw_eigen_digits(shown, shape).savefig(folder / "eigen_digits.png", dpi=150)
    draw_classes(shown[1], shape).savefig(folder / "classes.png", dpi=150)
    print(f"\n{summary}\n\nwandb runs         {folder / 'wandb'}\nfigures            {folder}/*.png")
    print(f"Done in {time.process_time() - start:.0f} s of processor time.")
    conclude(findings(runs))


def table(runs: list[Run]) -> str:
    """A row for each run."""
    columns = ["beta", "seed", *QUANTITIES, "active MTC", "cliff"]
    lines = ["| " + " | ".join(columns) + " |", "|" + " ---: |" * len(columns)]
    for run in runs:
        values = [f"{run.values[name]:.{decimals}f}" for name, (decimals, _) in QUANTITIES.items()]
        cliff = "" if run.cliff is None else f"{run.cliff:.2f}"
        cells = [f"{run.beta:g}", f"{run.seed}", *values, f"{run.active_mtc:.2f}", cliff]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def findings(runs: list[Run]) -> dict[str, bool]:
    """What must hold of the means over seeds, and of every spectrum with latents on both sides of the cliff."""
    betas = sorted({run.beta for run in runs})
    active = [mean(run.num_active for run in runs if run.beta == beta) for beta in betas]
    split = [run for run in runs if run.cliff is not None]
    mostly = [run for run in split if run.num_active <= LATENTS / 2]
    cliffs = [run.cliff for run in split if run.cliff is not None]
    share = mean(1 - run.active_mtc / run.values["MTC"] for run in mostly) if mostly else 0.0
    apart = max(abs(run.num_active - run.values["active units"]) for run in runs)
    counts = ", ".join(f"{count:g}" for count in active)
    return {
        f"the larger beta, the fewer latents are active ({counts}), from all to none": (
            all(more >= fewer for more, fewer in pairwise(active)) and active[0] == LATENTS and active[-1] == 0
        ),
        f"the encoder agrees: its active units differ by at most {apart:.0f}, and by 1 is allowed": apart <= 1,
        f"between active and inactive latents there is a cliff: at least {min(cliffs, default=0):.2f} nats, above 1, "
        f"in the mean {mean(cliffs or [0]):.2f}, above 1.5": min(cliffs, default=0) > 1 and mean(cliffs or [0]) > 1.5,
        f"it is the largest step of the spectrum in {sum(run.cliff_is_largest for run in split)} of {len(split)}": all(
            run.cliff_is_largest for run in split
        ),
        f"where at most half of the latents are active, most of the MTC is of the others ({share:.0%})": share > 0.5,
    }


if __name__ == "__main__":
    main()
