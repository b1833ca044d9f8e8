"""Total correlation against disentanglement: beta-VAE, beta-TCVAE and FactorVAE, over several weights and seeds.

The beta-VAE weighs all of the KL divergence more than the evidence bound does, and so also what the latents tell about
the data; the other two weigh their total correlation alone, which one estimates from the batch and the other by a
discriminator. The findings: over all runs, the smaller the total correlation the larger is MIG (Spearman's correlation
is negative); and of models that reconstruct equally well, the beta-TCVAE has the smaller total correlation and a MIG at
or above the beta-VAE's.

Run ``python examples/total_correlation/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and
PNG files.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import numpy as np
import torch
from common import CosineLearningRate, Progress, arguments, train
from comparison import COLUMNS, Runs
from figure import Run, draw_overview
from hearts import FACTORS, hearts, loaders
from verdicts import conclude

from torchdisentangle import MutualInformationGap
from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback
from torchdisentangle.datasets import FactorDataset
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import VAE, BetaTCVAE, BetaVAE, FactorVAE
from torchdisentangle.plots.factors import plot_latents_against_factors

KEYS = ("reconstruction", "elbo/total_correlation", "disentanglement/posterior_mig")
WEIGHTS = {"beta-VAE": (0.5, 1.0, 2.0, 4.0), "beta-TCVAE": (2.0, 4.0), "FactorVAE": (5.0, 10.0)}
FAST = {"beta-VAE": (0.5,), "beta-TCVAE": (4.0,), "FactorVAE": (10.0,)}
SEEDS = range(9, 15)  # the settings were chosen on others
MARGIN = 0.05  # of MIG, that counts as equal
EPOCHS = 4  # of validation; many passes over the images each


def new_model(name: str, weight: float, images: int) -> VAE:
    """A model with its weight: beta, or FactorVAE's gamma."""
    settings = {"data_shape": (1, 16, 16), "latent_dim": 4, "hidden": (64, 64), "learning_rate": 5e-3}
    if name == "beta-VAE":
        return BetaVAE(**settings, beta=weight)
    if name == "beta-TCVAE":
        return BetaTCVAE(**settings, beta=weight, estimator="mss", dataset_size=images)
    discriminator = {"discriminator_hidden": (128, 128, 128), "discriminator_learning_rate": 1e-3}
    return FactorVAE(**settings, gamma=weight, **discriminator)


def trained(name: str, weight: float, seed: int, data: FactorDataset, passes: int, folder: Path) -> Run:
    L.seed_everything(seed, verbose=False)
    model = new_model(name, weight, len(data))
    title = f"{name}, weight {weight:g}, seed {seed}"
    figures = EPOCHS if seed in (0, SEEDS[0]) else False
    callbacks = [
        DisentanglementCallback(
            [MutualInformationGap(estimator="posterior")], factor_names=list(FACTORS), figures=figures
        ),
        ELBODecompositionCallback(figures=figures),
        CosineLearningRate(),
        Progress(title, KEYS),
    ]
    images = loaders(data, passes=passes)
    values, _ = train(title, model, images, callbacks, EPOCHS, folder, "torchdisentangle-total-correlation")
    return Run(name, weight, seed, *(values[f"val/{key}"] for key in KEYS), model.eval())


def draw(runs: list[Run], data: FactorDataset, folder: Path) -> None:
    best = max(runs, key=lambda run: run.mig)
    images, factors = loaders(data)["val_dataloaders"].dataset.tensors
    with torch.no_grad():
        mean, log_variance = best.module.encode(images)
    information = gaussian_kl(mean, log_variance).mean(0)
    active = [latent for latent in information.argsort(descending=True).tolist() if information[latent] > 0.1]
    draw_overview(runs, best, information).savefig(folder / "overview.png", dpi=150)
    figure, _ = plot_latents_against_factors(mean, factors, FACTORS, latents=active or None)
    figure.savefig(folder / "latents_against_factors.png", dpi=110)


def main() -> None:
    options = arguments(__doc__, "runs/total_correlation", fast="one weight and seed each, trained for a short time")
    folder: Path = options.folder
    start, used = time.time(), time.process_time()
    weights, seeds, passes = (FAST, range(1), 12) if options.fast else (WEIGHTS, SEEDS, 67)
    data = hearts(columns=range(4, 12))
    runs = [
        trained(name, weight, seed, data, passes, folder)
        for seed in seeds
        for name, several in weights.items()
        for weight in several
    ]
    with (folder / "runs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("model", "weight", "seed", *COLUMNS), *(run[:6] for run in runs)])
    found = Runs(runs)
    summary = found.table(weights)
    (folder / "summary.md").write_text(summary + "\n")
    draw(runs, data, folder)
    print(f"\n{summary}\n\nwandb runs         {folder / 'wandb'}\nall runs, figures  {folder}/*.csv, *.png")
    print(f"Done in {time.time() - start:.0f} s, {time.process_time() - used:.0f} of one processor's.")
    if options.fast:
        tangled, penalised, _ = (run.total_correlation for run in runs)
        conclude(
            {
                "values of all runs are finite": bool(np.isfinite([run[3:6] for run in runs]).all()),
                f"total correlation, penalised, is smaller ({penalised:.2f}, not {tangled:.2f})": penalised < tangled,
            }
        )
    related = found.estimate(found.rank_correlation)
    gains = {
        (name, column): found.estimate(lambda draw, name=name, column=column: found.gain(name, column, draw))
        for name in ("beta-TCVAE", "FactorVAE")
        for column in ("total_correlation", "mig")
    }
    print(f"Spearman's correlation of total correlation and MIG: {interval(related)}")
    for (name, column), gain in gains.items():
        print(f"At equal reconstruction, {column} of the {name} less that of the beta-VAE: {interval(gain)}")
    correlation, mig = (gains["beta-TCVAE", column] for column in ("total_correlation", "mig"))
    at_or_above = f"at equal reconstruction MIG of the beta-TCVAE is at or above the beta-VAE's, within {MARGIN}"
    conclude(
        {
            f"total correlation and MIG are negatively related ({interval(related)})": related[2] < 0,
            "at equal reconstruction the beta-TCVAE has the smaller total correlation": correlation[2] < 0,
            f"{at_or_above} ({interval(mig)})": mig[1] > -MARGIN,
        }
    )


def interval(estimate: tuple[float, float, float]) -> str:
    """An estimate and its 90% interval."""
    value, low, high = estimate
    return f"{value:.2f}, {low:.2f} to {high:.2f}"


if __name__ == "__main__":
    main()
