"""Pairs of autoencoders on sprites with known factors, watched while they train: beta-VAE and beta-TCVAE.

Both have the same networks and weigh the same data by the same beta; the beta-VAE weighs the whole KL divergence, the
beta-TCVAE its total correlation alone. What is asked: does the latter reconstruct better, because it may
tell more about the data, and how much of that does total correlation take?

Run ``python examples/sprites/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG
files.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
from common import Progress, arguments, print_made, train, write_csv
from overview import SCORES, draw_overview
from verdicts import Interval, conclude, over_seeds

from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback, ManifoldEntropyCallback
from torchdisentangle.datasets import Sprites
from torchdisentangle.evaluation import Report
from torchdisentangle.models import VAE, BetaTCVAE, BetaVAE, FactorDataModule

TOLD, DEPENDENT, MIG = "elbo/mutual_information", "elbo/total_correlation", "disentanglement/mig"
QUANTITIES = ("reconstruction", "elbo/kl", TOLD, DEPENDENT)
SHOWN = ("reconstruction", DEPENDENT, MIG, "manifold/total_correlation")
SETTINGS = {"data_shape": (1, 16, 16), "latent_dim": 6, "network": "conv", "beta": 4.0}
MODELS: dict[str, type[VAE]] = {"beta-VAE": BetaVAE, "beta-TCVAE": BetaTCVAE}
SEEDS = range(4, 16)  # others were looked at before
EPOCHS = 2  # enough to decide; more pairs of models tell more than more epochs do
SHARE = 0.1  # of what is told more; total correlation that is less is the smaller matter


def sprites() -> FactorDataModule:
    """46,080 images of squares, ellipses and hearts in all sizes and places, turned by up to a quarter."""
    dataset = Sprites(16, antialias=True, factor_sizes=(6, 40, 16, 16)).sub_grid(orientation=range(10))
    return FactorDataModule(dataset, train=0.8, validation=2048, test=0, batch_size=64)


class Run(NamedTuple):
    """What is known of a trained model."""

    model: VAE
    values: dict[str, float]
    report: Report


def trained(name: str, seed: int, data: FactorDataModule, folder: Path, figures: bool) -> Run:
    L.seed_everything(seed, verbose=False)
    run, model = f"{name}, seed {seed}", MODELS[name](**SETTINGS)
    scores = DisentanglementCallback(sampler_rows=2048, intervals=True, figures=figures)
    callbacks = [
        ManifoldEntropyCallback(num_samples=512, figures=figures),
        ELBODecompositionCallback(figures=figures),
        scores,
        Progress(run, SHOWN),
    ]
    values, _ = train(run, model, {"datamodule": data}, callbacks, EPOCHS, folder, "torchdisentangle-sprites")
    assert scores.report is not None
    return Run(model, values, scores.report.kept())


def main() -> None:
    options = arguments(__doc__, "runs/sprites", fast="one pair; its MIG is not judged")
    folder: Path = options.folder
    start = time.time()
    data = sprites()
    seeds = range(1) if options.fast else SEEDS
    runs = {name: [trained(name, seed, data, folder, seed == seeds[0]) for seed in seeds] for name in MODELS}
    values = {name: [run.values for run in found] for name, found in runs.items()}
    reports = {name: [run.report for run in found] for name, found in runs.items()}
    write_csv(folder / "runs.csv", rows(list(seeds), values))
    gained = {key: differences(values, key) for key in (*QUANTITIES, MIG)}
    gains = {key: over_seeds(found) for key, found in gained.items()}
    summary = f"{table(values, gains)}\n\n{score_table(reports)}"
    (folder / "summary.md").write_text(summary + "\n")
    draw_overview({name: found[0].model for name, found in runs.items()}, data, reports).savefig(
        folder / "overview.png", dpi=180
    )
    print(f"\n{summary}\n")
    print(f"wandb runs         {folder / 'wandb'}\ncurves, figures    {folder}/*/, *.csv, *.png")
    print_made(start)
    better = gains["reconstruction"]
    what = "at the same beta the beta-TCVAE reconstructs better: its reconstruction less the beta-VAE's is"
    beyond = over_seeds([more - SHARE * told for more, told in zip(gained[DEPENDENT], gained[TOLD], strict=True)])
    findings = {
        f"{what} {better} nats": better.below(0),
        f"it tells more about the data, by {gains[TOLD]} nats": gains[TOLD].above(0),
        f"total correlation takes less than {SHARE:g} of that: beyond it by {beyond} nats": beyond.below(0),
    }
    if not options.fast:  # of one pair, MIG tells nothing
        findings[f"its MIG is higher, by {gains[MIG]}"] = gains[MIG].above(0)
    conclude(findings)


def differences(values: dict[str, list[dict[str, float]]], key: str) -> list[float]:
    """By what the second model is above the first, for each pair."""
    return [second[f"val/{key}"] - first[f"val/{key}"] for first, second in zip(*values.values(), strict=True)]


def rows(seeds: list[int], values: dict[str, list[dict[str, float]]]) -> list[dict[str, object]]:
    """The quantities of each run, and its scores with their intervals."""
    keys = [*QUANTITIES, *(f"disentanglement/{score}{end}" for score in SCORES for end in ("", "_low", "_high"))]
    return [
        {"model": name, "seed": seed} | {key.split("/")[-1]: one[f"val/{key}"] for key in keys}
        for name, found in values.items()
        for seed, one in zip(seeds, found, strict=True)
    ]


def table(values: dict[str, list[dict[str, float]]], gains: dict[str, Interval]) -> str:
    """Means over seeds, and the paired differences with their intervals over seeds, in Markdown."""
    lines = [f"| mean over seeds | {' | '.join(values)} | difference |", "| --- | ---: | ---: | ---: |"]
    for key, gain in gains.items():
        means = [sum(one[f"val/{key}"] for one in found) / len(found) for found in values.values()]
        cells = " | ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| {key.split('/')[-1].replace('_', ' ')} | {cells} | {gain} |")
    return "\n".join(lines)


def score_table(reports: dict[str, list[Report]]) -> str:
    """The scores of the first pair and their difference, with the jackknife's intervals over images, in Markdown."""
    first, second = (found[0] for found in reports.values())
    lines = [f"| score, one pair | {' | '.join(reports)} | difference |", "| --- | ---: | ---: | ---: |"]
    for score in SCORES:
        cells = [Interval(one[score], *one.intervals[score]) for one in (first, second, second - first)]
        lines.append(f"| {score} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
