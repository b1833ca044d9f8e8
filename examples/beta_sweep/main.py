"""A beta-VAE sweep on handwritten digits: how many latents does it use, and how separate are they?

A beta-VAE with ten latents is trained at each of several betas. The findings: the larger beta, the fewer latents are
active; where some are not, the manifold entropy spectrum has a cliff between those that are and those that are not; and
most of the manifold total correlation is then of inactive latents, whose tangent vectors are short and point anywhere.

Run ``python examples/beta_sweep/main.py``, or with ``--fast``; with ``--data mnist`` for images of 28x28 pixels and
convolutions, and with ``--short`` for fewer steps of these. Logs to Weights & Biases, offline, and to CSV and PNG
files, and judges its findings by rules.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
from common import Progress, arguments, print_made, train, write_csv
from figures import draw_classes, draw_eigen_digits, draw_sweep
from images import HELP, SHORT, images_of
from judging import judged
from rules import RULES
from spectra import Run, run_of
from torch.utils.data import DataLoader
from verdicts import conclude

from torchdisentangle.callbacks import ELBODecompositionCallback, ManifoldEntropyCallback
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


@dataclass(frozen=True)
class Setting:
    """How long models of one size are trained, and what they are made of."""

    seeds: range
    steps: int
    betas: tuple[float, ...] = BETAS
    model: dict[str, Any] = field(default_factory=lambda: {"learning_rate": 2e-3})


CONVOLUTIONS: dict[str, Any] = {"network": "conv", "hidden": (32, 64), "learning_rate": 1e-3}
SETTINGS = {
    "8x8": {  # seeds 0 and 1 suggested the findings, so others judge them
        "full": Setting(range(2, 5), 4400),
        "fast": Setting(range(1), 530, FAST_BETAS, {"hidden": (128, 128), "learning_rate": 6e-3}),
    },
    "28x28": {
        "full": Setting(range(6, 11), 4000, model=CONVOLUTIONS),  # seeds 3 to 5 left two findings undecided
        "short": Setting(range(3), 400, (0.1, 1.0, 5.0, 20.0, 100.0), CONVOLUTIONS),
        "fast": Setting(range(20, 21), 124, FAST_BETAS, CONVOLUTIONS),
    },
}


def main() -> None:
    options = arguments(
        __doc__, "runs/beta_sweep", fast="three betas, one seed and a short training", data=HELP, short=SHORT
    )
    folder: Path = options.folder
    start = time.time()
    images = images_of(options.data)
    setting = images.setting(SETTINGS, options)
    large = images.are_large
    principal = principal_spectrum(images.training.tensors[0])
    reference = float(principal[0])  # a latent is active if it moves the data a tenth as far as this component
    loader = DataLoader(images.training, 64, shuffle=True, drop_last=True)
    epochs = max(2 if large else 8, setting.steps // len(loader))
    runs: list[Run] = []
    for seed in setting.seeds:
        for beta in setting.betas:
            L.seed_everything(seed, verbose=False)
            # An image's likelihood grows with its pixels, its divergence does not: the same weight by pixel.
            model = BetaVAE(images.shape, LATENTS, beta * images.pixels / PIXELS, **setting.model)
            title = f"beta {beta:g}, seed {seed}"
            figures = 8 * (seed == setting.seeds[0] and not options.fast)
            every = {"every_n_epochs": max(1, epochs // 2)} if large else {}
            watch = ManifoldEntropyCallback(active_reference=reference, figures=figures, **every)
            values, _ = train(
                title,
                model,
                {"train_dataloaders": loader, "val_dataloaders": DataLoader(images.held_out, 500)},
                [
                    watch,
                    ELBODecompositionCallback(figures=False, **every),
                    Progress(title, [key for _, key in QUANTITIES.values()]),
                ],
                epochs=epochs,
                folder=folder,
                project="torchdisentangle-beta-sweep",
                accelerator=images.accelerator,
            )
            logged = {name: values[f"val/{key}"] for name, (_, key) in QUANTITIES.items()}
            runs.append(run_of(model, beta, seed, logged, watch.report, images.held_out))
            write_csv(folder / "runs.csv", [row(run) for run in runs])

    summary = table(runs)
    (folder / "summary.md").write_text(summary + "\n")
    first = [run for run in runs if run.seed == setting.seeds[0]]
    shown = first if options.fast else [run for run in first if run.beta in SHOWN]
    draw_sweep(runs, principal[:LATENTS], reference).savefig(folder / "sweep.png", dpi=170)
    draw_eigen_digits(shown, images.shape).savefig(folder / "eigen_digits.png", dpi=150)
    draw_classes(shown[1], images.shape).savefig(folder / "classes.png", dpi=150)
    print(f"\n{summary}\n\nwandb runs         {folder / 'wandb'}\nfigures            {folder}/*.png")
    print_made(start)
    conclude(judged(RULES, [[run for run in runs if run.seed == seed] for seed in setting.seeds], images.size))


def row(run: Run) -> dict[str, object]:
    """All values of a run, and its spectrum."""
    spectrum = {f"H_{rank}": float(entropy) for rank, entropy in enumerate(run.spectrum, 1)}
    own = {"beta": run.beta, "seed": run.seed, **run.values, "active MTC": run.active_mtc, "cliff": run.cliff}
    return own | {"lead of the cliff": run.lead} | spectrum


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


if __name__ == "__main__":
    main()
