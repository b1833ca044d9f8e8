"""Total correlation against disentanglement: beta-VAE and beta-TCVAE, over several betas and many seeds.

The beta-VAE weighs all of the KL divergence more than the evidence bound does, and so also what the latents tell about
the data; the beta-TCVAE weighs their total correlation alone. What is asked: over all runs, is MIG the larger
the smaller the total correlation is (Spearman's correlation negative); and of models that reconstruct equally well, has
the beta-TCVAE the smaller total correlation and the larger MIG?

Run ``python examples/total_correlation/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and
PNG files.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import numpy as np
import torch
from common import CosineLearningRate, Progress, arguments, print_made, train, write_csv
from comparison import Runs
from figure import Run, draw_overview
from hearts import FACTORS, hearts, loaders
from verdicts import conclude

from torchdisentangle import MutualInformationGap
from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback
from torchdisentangle.datasets import FactorDataset
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import VAE, BetaTCVAE, BetaVAE
from torchdisentangle.plots.factors import plot_latents_against_factors

MIG = "disentanglement/posterior_mig"
KEYS = ("reconstruction", "elbo/total_correlation", MIG, f"{MIG}_low", f"{MIG}_high")
BETAS = {"beta-VAE": (0.5, 1.0, 2.0), "beta-TCVAE": (4.0,)}
FAST = {"beta-VAE": (0.5,), "beta-TCVAE": (4.0,)}
SEEDS = range(23, 63)  # the settings were chosen on others
EPOCHS = 2  # of validation; many passes over the images each


def new_model(name: str, beta: float, images: int) -> VAE:
    settings = {"data_shape": (1, 16, 16), "latent_dim": 4, "hidden": (64, 64), "learning_rate": 5e-3, "beta": beta}
    return BetaVAE(**settings) if name == "beta-VAE" else BetaTCVAE(**settings, estimator="mss", dataset_size=images)


def trained(name: str, beta: float, seed: int, data: FactorDataset, passes: int, folder: Path) -> Run:
    L.seed_everything(seed, verbose=False)
    model = new_model(name, beta, len(data))
    title = f"{name}, beta {beta:g}, seed {seed}"
    figures = EPOCHS if seed in (0, SEEDS[0]) else False
    metrics = [MutualInformationGap(estimator="posterior")]
    callbacks = [
        DisentanglementCallback(metrics, factor_names=list(FACTORS), intervals="all", figures=figures),
        ELBODecompositionCallback(figures=figures),
        CosineLearningRate(),
        Progress(title, KEYS[:3]),
    ]
    images = loaders(data, passes=passes)
    values, _ = train(title, model, images, callbacks, EPOCHS, folder, "torchdisentangle-total-correlation")
    return Run(name, beta, seed, *(values[f"val/{key}"] for key in KEYS), model.eval())


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
    options = arguments(__doc__, "runs/total_correlation", fast="one beta and seed each, trained for a short time")
    folder: Path = options.folder
    start = time.time()
    betas, seeds, passes = (FAST, range(1), 24) if options.fast else (BETAS, SEEDS, 134)
    data = hearts(columns=range(4, 12))
    runs = [
        trained(name, beta, seed, data, passes, folder)
        for seed in seeds
        for name, several in betas.items()
        for beta in several
    ]
    write_csv(folder / "runs.csv", [run.row() for run in runs])
    found = Runs(runs)
    summary = found.table(betas)
    (folder / "summary.md").write_text(summary + "\n")
    draw(runs, data, folder)
    print(f"\n{summary}\n\nwandb runs         {folder / 'wandb'}\nall runs, figures  {folder}/*.csv, *.png")
    widths = [run.mig_high - run.mig_low for run in runs]
    print(f"The 95% interval of a run's MIG, by the jackknife over images, is {np.mean(widths):.3f} wide on average.")
    print_made(start)
    if options.fast:
        tangled, penalised = (run.total_correlation for run in runs)
        conclude(
            {
                "values of all runs are finite": bool(np.isfinite([run[3:8] for run in runs]).all()),
                f"total correlation, penalised, is smaller ({penalised:.2f}, not {tangled:.2f})": penalised < tangled,
            }
        )
    related, correlation, mig = found.rank_correlation(), found.gain("total_correlation"), found.gain("mig")
    conclude(
        {
            f"total correlation and MIG are negatively related: Spearman's {related}": related.below(0),
            f"at equal reconstruction the beta-TCVAE has the smaller total correlation, by {correlation}": (
                correlation.below(0)
            ),
            f"at equal reconstruction the beta-TCVAE has the larger MIG, by {mig}": mig.above(0),
        }
    )


if __name__ == "__main__":
    main()
