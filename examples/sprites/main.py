"""Pairs of autoencoders on sprites with known factors, watched while they train: beta-VAE and beta-TCVAE.

Both have the same networks and weigh the same data by the same beta; the beta-VAE weighs the whole KL divergence, the
beta-TCVAE its total correlation alone. The finding is that the latter reconstructs better: it may tell more about the
data, by latents that are as independent.

Run ``python examples/sprites/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG
files.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
from common import Progress, arguments, print_made, print_places, train, write_csv
from overview import SCORES, draw_overview
from verdicts import Interval, conclude, over_seeds

from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback, ManifoldEntropyCallback
from torchdisentangle.datasets import Sprites
from torchdisentangle.evaluation import Report
from torchdisentangle.models import VAE, BetaTCVAE, BetaVAE, FactorDataModule

SHOWN = ("reconstruction", "elbo/total_correlation", "disentanglement/mig", "manifold/total_correlation")
QUANTITIES = ("reconstruction", "elbo/kl", "elbo/mutual_information", "elbo/total_correlation")
MODELS: dict[str, type[VAE]] = {"beta-VAE": BetaVAE, "beta-TCVAE": BetaTCVAE}
SEEDS = range(1, 5)  # 0 was looked at before
EPOCHS = 2  # enough to decide; more pairs of models tell more than more epochs do
EQUAL = 0.05  # nats of total correlation that count as none


def sprites() -> FactorDataModule:
    """46,080 images of squares, ellipses and hearts in all sizes and places, turned by up to a quarter."""
    dataset = Sprites(16, antialias=True, factor_sizes=(6, 40, 16, 16)).sub_grid(orientation=range(10))
    return FactorDataModule(dataset, train=0.8, validation=2048, test=0, batch_size=64)


def main() -> None:
    options = arguments(__doc__, "runs/sprites", fast="one pair")
    folder: Path = options.folder
    start = time.time()
    data = sprites()
    settings = {"data_shape": (1, 16, 16), "latent_dim": 6, "network": "conv", "beta": 4.0}
    seeds = range(1) if options.fast else SEEDS
    models, places = {}, {}
    values: dict[str, list[dict[str, float]]] = {name: [] for name in MODELS}
    reports: dict[str, list[Report]] = {name: [] for name in MODELS}
    for seed in seeds:
        for name, kind in MODELS.items():
            L.seed_everything(seed, verbose=False)
            run, model = f"{name}, seed {seed}", kind(**settings)
            shown = {"figures": seed == seeds[0]}
            scores = DisentanglementCallback(sampler_rows=2048, intervals=True, **shown)
            watched = [scores, ELBODecompositionCallback(**shown), ManifoldEntropyCallback(num_samples=512, **shown)]
            callbacks = [*watched, Progress(run, SHOWN)]
            found, places[run] = train(
                run, model, {"datamodule": data}, callbacks, EPOCHS, folder, "torchdisentangle-sprites"
            )
            assert scores.report is not None
            models.setdefault(name, model)
            values[name].append(found)
            reports[name].append(scores.report)
    write_csv(folder / "runs.csv", rows(list(seeds), values))
    gains = {
        key: over_seeds([tc[f"val/{key}"] - vae[f"val/{key}"] for vae, tc in zip(*values.values(), strict=True)])
        for key in QUANTITIES
    }
    summary = f"{table(values, gains)}\n\n{score_table(reports)}"
    (folder / "summary.md").write_text(summary + "\n")
    draw_overview(models, data, reports).savefig(folder / "overview.png", dpi=200)
    print(f"\n{summary}\n")
    print_places(places, 38)
    print(f"{'overview figure':38} {folder / 'overview.png'}\n{'summary table':38} {folder / 'summary.md'}")
    print_made(start)
    better = gains["reconstruction"]
    what = "at the same beta the beta-TCVAE reconstructs better: its reconstruction less the beta-VAE's is"
    if options.fast:
        conclude({f"{what} {better} nats": better.value < 0})
    more, dependent = gains["elbo/mutual_information"], gains["elbo/total_correlation"]
    conclude(
        {
            f"{what} {better} nats": better.below(0),
            f"it tells more about the data, by {more} nats": more.above(0),
            f"by latents that are as independent: total correlation larger by {dependent} nats, less than {EQUAL}": (
                dependent.below(EQUAL)
            ),
        }
    )


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
    lines = [f"| mean over seeds, nats | {' | '.join(values)} | difference |", "| --- | ---: | ---: | ---: |"]
    for key, gain in gains.items():
        means = [sum(one[f"val/{key}"] for one in found) / len(found) for found in values.values()]
        cells = " | ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| {key.removeprefix('elbo/').replace('_', ' ')} | {cells} | {gain} |")
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
