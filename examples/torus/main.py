"""A torus whose generating process is known: what does a flow recover of it?

Twenty data dimensions are made of ten angles and ten radii, whose entropies fall evenly. Two flows learn the data: one
by maximum likelihood, one by the principal-manifold objective, which is maximum likelihood plus the total correlation
of the latents' tangent vectors. The finding is that both know the distribution, but only the second finds the
process: its entropy spectrum is the true one, and each of its latents shares information with one true latent only.

Run ``python examples/torus/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG files,
and judges its findings by rules.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import torch
from common import CosineLearningRate, Progress, arguments, print_made, print_places, train, write_csv
from figures import draw_curves, draw_information, draw_spectra
from judging import judged, of_seeds
from recovery import Recovered, recover
from results import rows, table
from rules import LATER, MANIFOLDS, ML, SOON
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import Torus
from torchdisentangle.datasets.torus import ANGLE_SCALES, RADIUS_SCALES
from torchdisentangle.models import NormalizingFlowModule, glow_flow


@dataclass(frozen=True)
class Setting:
    """How flows are trained, and on how many circles."""

    seeds: range
    circles: slice
    blocks: int
    hidden: int
    epochs: int
    steps: int  # an epoch
    batch: int


FULL = Setting(range(1, 5), slice(None), blocks=6, hidden=64, epochs=16, steps=64, batch=256)  # 0 suggested the rules
FAST = Setting(range(1), slice(None, None, 4), blocks=3, hidden=32, epochs=4, steps=80, batch=128)
OBJECTIVES = {ML: 0.0, MANIFOLDS: 1.0}
SHOWN = ("nll", "manifold/total_entropy", "manifold/total_correlation", "manifold/mpmi_mean")
QUANTITIES: dict[str, tuple[int, Callable[[Recovered], float]]] = {
    "negative log-likelihood of held-out data (nats)": (2, lambda flow: flow.nll),
    "manifold total entropy (nats)": (2, lambda flow: flow.total_entropy),
    "manifold total correlation (nats)": (2, lambda flow: flow.total_correlation),
    "spectrum, mean error of the matched latents (nats)": (3, lambda flow: flow.mean_error),
    "spectrum, largest error (nats)": (3, lambda flow: flow.largest_error),
    "MCPMI with the match (mean Linfoot coefficient)": (3, lambda flow: flow.diagonal),
    "MCPMI with all others": (3, lambda flow: flow.elsewhere),
    "Pearson correlation with the match (mean, absolute)": (3, lambda flow: flow.correlated),
}


def main() -> None:
    options = arguments(__doc__, "runs/torus", fast="three circles, a smaller flow and a short training")
    folder: Path = options.folder
    start = time.time()
    setting = FAST if options.fast else FULL
    torus = Torus(ANGLE_SCALES[setting.circles], RADIUS_SCALES[setting.circles])
    places, curves = {}, {}
    runs: dict[str, list[Recovered]] = {name: [] for name in OBJECTIVES}
    for seed in setting.seeds:
        samples = torus.sample(setting.steps * setting.batch, seed=2 * seed + 1)
        held_out = torus.sample(2048, seed=2 * seed + 2)
        data = {
            "train_dataloaders": DataLoader(TensorDataset(samples), setting.batch, shuffle=True),
            "val_dataloaders": DataLoader(TensorDataset(held_out), 512),
        }
        for name, weight in OBJECTIVES.items():
            torch.manual_seed(seed)  # the same flow, from the same start, with the same batches
            flow = glow_flow(torus.latent_dim, setting.blocks, hidden=setting.hidden)
            model = NormalizingFlowModule(flow, weight, learning_rate=1e-2, jacobian_mode="reverse")
            title = f"{name}, seed {seed}"
            progress = Progress(title, SHOWN)
            figures = 8 if seed == setting.seeds[0] else False
            values, places[title] = train(
                f"{name.replace(' ', '-')}-{seed}",
                model,
                data,
                [ManifoldEntropyCallback(num_samples=1024, figures=figures), progress, CosineLearningRate()],
                epochs=setting.epochs,
                folder=folder,
                project="torchdisentangle-torus",
                gradient_clip_val=1.0,
            )
            curves.setdefault(name, progress.history)  # of the first seed
            runs[name].append(recover(torus, model, held_out, values))
            write_csv(folder / "runs.csv", rows(runs, QUANTITIES, setting.seeds, ("objective", "seed")))
    truth = torus.spectrum()
    first = {name: found[0] for name, found in runs.items()}
    summary = f"{table(runs, QUANTITIES)}\n\n{latent_table(truth, runs)}"
    (folder / "summary.md").write_text(summary + "\n")
    draw_spectra(truth, {name: [flow.spectrum for flow in found] for name, found in runs.items()}).savefig(
        folder / "spectrum.png", dpi=200
    )
    draw_information(truth, first).savefig(folder / "information.png", dpi=200)
    draw_curves(curves, float(truth.sum())).savefig(folder / "curves.png", dpi=200)
    print(f"\n{summary}\n\nTrue total entropy: {float(truth.sum()):.3f} nats\n")
    print_places(places, 46)
    print(f"{'figures':46} {folder}/spectrum.png, information.png, curves.png")
    print_made(start)
    conclude(judged(SOON if options.fast else SOON + LATER, of_seeds(runs)))


def latent_table(truth: Tensor, runs: dict[str, list[Recovered]]) -> str:
    """True entropies and the errors of the flows' matched latents, averaged over seeds, one row a latent."""
    lines = ["| latent | true entropy | " + " | ".join(f"error, {name}" for name in runs) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(runs))
    errors = [torch.stack([flow.spectrum - truth for flow in found]).mean(0) for found in runs.values()]
    for i, entropy in enumerate(truth.tolist()):
        kind, number = ("angle", i) if i < len(truth) // 2 else ("radius", i - len(truth) // 2)
        cells = " | ".join(f"{float(error[i]):+.3f}" for error in errors)
        lines.append(f"| {kind} {number + 1} | {entropy:.3f} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
