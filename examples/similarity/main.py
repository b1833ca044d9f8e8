"""What do models trained apart have in common, and can it be put together?

1. Autoencoders on handwritten digits, from other seeds: their fingerprints are saved while they train, then compared
   channel by channel (what ``torchdisentangle compare`` does).
2. Autoencoders with one latent on points of a circle, which each of them has to tear: fused into two dimensions they
   give a space without a tear, which is more like unseen learners than any learner is, and one that tells more.

Run it with ``python examples/similarity/main.py``; it ends with a verdict on both findings.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
import warnings
from pathlib import Path

import lightning as L
import torch
from learners import circle, train_learners
from lightning.pytorch.loggers import CSVLogger
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader

from torchdisentangle import compare_fingerprints, fuse_channels
from torchdisentangle.callbacks import RepresentationSimilarityCallback
from torchdisentangle.cli import main as command_line
from torchdisentangle.datasets import handwritten_digits
from torchdisentangle.functional import (
    bhattacharyya_coefficients,
    bhattacharyya_distance,
    compare_channels,
    compare_posteriors,
    continuity,
    space_coefficients,
)
from torchdisentangle.models import BetaVAE
from torchdisentangle.plots import BLUE, figure_style
from torchdisentangle.similarity import Fingerprint, find_fingerprint


def train_on_digits(folder: Path, seeds: int, epochs: int) -> list[Path]:
    """Train one model for each seed; return the folders of the runs."""
    training, validation = (handwritten_digits(split) for split in ("train", "validation"))
    runs = []
    for seed in range(seeds):
        L.seed_everything(seed, verbose=False)
        model = BetaVAE(data_shape=(1, 8, 8), latent_dim=6, beta=1.0, hidden=(128,), learning_rate=2e-3)
        logger = CSVLogger(folder, name=f"seed{seed}", version="")
        trainer = L.Trainer(
            max_epochs=epochs,
            check_val_every_n_epoch=max(1, epochs // 3),
            callbacks=[RepresentationSimilarityCallback(num_points=360, labels=True)],
            logger=logger,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(model, DataLoader(training, 64, shuffle=True), DataLoader(validation, 360))
        values = {key.split("/")[-1]: float(v) for key, v in trainer.callback_metrics.items() if "similarity" in key}
        print(f"seed {seed}: " + "  ".join(f"{name} {value:.2f}" for name, value in values.items()), flush=True)
        runs.append(Path(logger.log_dir))
    return runs


def agreement(fingerprints: list[Fingerprint], shuffled: bool = False) -> float:
    """How well the channels of each model are found again in the others, by NMI; by chance if points are shuffled."""
    values = []
    for i, a in enumerate(fingerprints):
        for b in (other for j, other in enumerate(fingerprints) if j != i):
            rows = torch.randperm(b.num_points) if shuffled else slice(None)
            compared = compare_posteriors(a.mean, a.log_variance, b.mean[rows], b.log_variance[rows])
            values.append(compared.normalized_mutual_information.amax(1).mean())
    return float(torch.stack(values).mean())


def fuse_circles(folder: Path, members: int, train_steps: int, fuse_steps: int) -> dict[str, float]:
    """Train weak learners of a circle, fuse two thirds of them, compare with the others, and draw."""
    torch.manual_seed(0)
    angle = torch.arange(64) * 2 * math.pi / 64
    mean, log_variance = train_learners(members, train_steps, circle(angle))
    seen, unseen = bhattacharyya_coefficients(mean, log_variance).tensor_split([2 * members // 3])
    learners = compare_channels(seen, unseen)
    consensus = fuse_channels(seen, latent_dim=2, steps=fuse_steps)
    union = fuse_channels(seen, latent_dim=2, objective="mi", steps=fuse_steps // 2)
    agreed, everything = (
        compare_channels(space_coefficients(fused.mean, fused.log_variance), unseen) for fused in (consensus, union)
    )
    tears = continuity(bhattacharyya_distance(mean, log_variance), closed=True)
    distance = bhattacharyya_distance(consensus.mean, consensus.log_variance).sum(0)
    draw(angle, mean, consensus.mean).savefig(folder / "circle.png", dpi=200)
    return {
        "continuity, median of learners": float(tears.median()),
        "continuity, consensus": float(continuity(distance, closed=True)),
        "NMI with unseen, best learner": float(learners.normalized_mutual_information.mean(1).max()),
        "NMI with unseen, consensus": float(agreed.normalized_mutual_information.mean()),
        "information (nats), best learner": float(learners.information_a.max()),
        "information (nats), union": float(everything.information_a),
        "shared with unseen, best learner": float(learners.mutual_information.mean(1).max()),
        "shared with unseen, union": float(everything.mutual_information.mean()),
    }


def draw(angle: Tensor, mean: Tensor, fused: Tensor) -> Figure:
    """Learners' means over the angle, and the fused space."""
    with figure_style():
        figure = Figure(figsize=(6.0, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(angle, mean[:, :4], ".", ms=2.5)
        left.set(xlabel="angle", ylabel="posterior mean", title="weak learners: one latent, one tear")
        right.plot(*torch.cat([fused, fused[:1]]).T, color="#CCCCCC", lw=0.8, zorder=1)
        points = right.scatter(*fused.T, c=angle, cmap="twilight", s=12, edgecolors=BLUE, linewidths=0.2)
        right.set(xlabel="latent 0", ylabel="latent 1", title="their consensus: two latents", aspect="equal")
        figure.colorbar(points, ax=right, label="angle")
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/similarity"), help="where everything is written")
    parser.add_argument("--fast", action="store_true", help="a few steps, to see that it runs; the findings may fail")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    start, folder, fast = time.time(), arguments.folder.resolve(), arguments.fast
    runs = train_on_digits(folder, seeds=2 if fast else 4, epochs=2 if fast else 24)
    command_line(["compare", *map(str, runs), "--output", str(folder)])
    fingerprints = [Fingerprint.load(find_fingerprint(run)) for run in runs]
    found, chance = agreement(fingerprints), agreement(fingerprints, shuffled=True)
    num_channels = len(compare_fingerprints(dict(zip(map(str, runs), fingerprints, strict=True))).names)
    print(f"\n{num_channels} channels: found again in another run with NMI {found:.2f}, by chance {chance:.2f}")
    fused = fuse_circles(folder, members=24, train_steps=50 if fast else 400, fuse_steps=40 if fast else 200)
    print("\n".join(f"{name:36} {value:8.2f}" for name, value in fused.items()))
    print(f"{'figures':36} {folder}")
    first = found > 2 * chance
    second = fused["continuity, consensus"] < fused["continuity, median of learners"] / 10 and all(
        fused[f"{what}, {kind}"] > fused[f"{what}, best learner"]
        for what, kind in (("NMI with unseen", "consensus"), ("information (nats)", "union"))
    )
    print(f"\n{'PASS' if first else 'FAIL'}: models trained apart find channels that others find again")
    print(
        f"{'PASS' if second else 'FAIL'}: torn circles fuse to a whole one, and to one that tells more than any of them"
    )
    print(f"Done in {time.time() - start:.0f} s.")
    return 0 if (first and second) or fast else 1


if __name__ == "__main__":
    sys.exit(main())
