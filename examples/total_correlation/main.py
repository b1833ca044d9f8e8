"""Total correlation against disentanglement: beta-VAE and beta-TCVAE, over several betas and seeds.

Both weigh a part of the KL divergence more than the evidence bound does: the beta-VAE all of it, and so also what the
latents tell about the data; the beta-TCVAE their total correlation alone. The findings: over all runs, the smaller the
total correlation the larger is MIG (Spearman's correlation is negative), and at equal reconstruction the beta-TCVAE has
the smaller total correlation. Whether it has the larger MIG too is printed, but takes more seeds to tell.

Run ``python examples/total_correlation/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and
PNG files.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import numpy as np
import torch
from common import Progress, arguments, conclude, train
from figure import Run, draw_overview
from hearts import FACTORS, hearts, loaders
from scipy.stats import spearmanr

from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import VAE, BetaTCVAE, BetaVAE
from torchdisentangle.plots.factors import plot_latents_against_factors

KEYS = ("reconstruction", "elbo/total_correlation", "disentanglement/mig")
MODELS: dict[str, type[VAE]] = {"beta-VAE": BetaVAE, "beta-TCVAE": BetaTCVAE}
BETAS = {"beta-VAE": (0.25, 0.5, 1.0, 2.0, 4.0), "beta-TCVAE": (2.0, 4.0, 8.0)}


def at_equal_reconstruction(runs: list[Run], quantity: Callable[[Run], float]) -> float:
    """What a quantity of the beta-TCVAE is above that of the beta-VAE with the same reconstruction.

    Averaged over those betas of the former whose mean reconstruction is in the range of the latter's, between whose
    means over seeds the quantity is interpolated.
    """
    means = {name: [_mean(runs, name, beta, quantity) for beta in betas] for name, betas in BETAS.items()}
    reconstruction, values = np.array(sorted(means["beta-VAE"])).T
    inside = [at for at in means["beta-TCVAE"] if reconstruction[0] <= at[0] <= reconstruction[-1]]
    return float(np.mean([value - np.interp(at, reconstruction, values) for at, value in inside]))


def _mean(runs: list[Run], model: str, beta: float, quantity: Callable[[Run], float]) -> tuple[float, float]:
    found = [(run.reconstruction, quantity(run)) for run in runs if (run.model, run.beta) == (model, beta)]
    return float(np.mean([at for at, _ in found])), float(np.mean([value for _, value in found]))


def main() -> None:
    options = arguments(__doc__, "runs/total_correlation", fast="one beta and seed each for a few epochs, not judged")
    folder: Path = options.folder
    start = time.time()
    seeds, epochs = (1, 16) if options.fast else (3, 176)
    settings = {"data_shape": (1, 16, 16), "latent_dim": 6, "hidden": (128, 128), "learning_rate": 2e-3}
    data = hearts(columns=range(4, 12))
    runs: list[Run] = []
    for name, betas in BETAS.items():
        for beta in betas[-1:] if options.fast else betas:
            for seed in range(seeds):
                L.seed_everything(seed, verbose=False)
                model = MODELS[name](**settings, beta=beta)
                title = f"{name}, beta {beta:g}, seed {seed}"
                figures = 8 if seed == 0 else False
                callbacks = [
                    DisentanglementCallback(["mig"], factor_names=list(FACTORS), figures=figures),
                    ELBODecompositionCallback(figures=figures),
                    Progress(title, KEYS),
                ]
                values, _ = train(
                    title, model, loaders(data), callbacks, epochs, folder, "torchdisentangle-total-correlation"
                )
                runs.append(Run(name, beta, seed, *(values[f"val/{key}"] for key in KEYS), model.eval()))

    lines = ["| model | beta | seed | reconstruction | total correlation | MIG |", "| --- |" + " ---: |" * 5]
    for run in runs:
        numbers = f"{run.reconstruction:.2f} | {run.total_correlation:.3f} | {run.mig:.3f}"
        lines.append(f"| {run.model} | {run.beta:g} | {run.seed} | {numbers} |")
    summary = "\n".join(lines)
    (folder / "summary.md").write_text(summary + "\n")
    best = max(runs, key=lambda run: run.mig)
    images, factors = loaders(data)["val_dataloaders"].dataset.tensors
    with torch.no_grad():
        mean, log_variance = best.module.encode(images)
    information = gaussian_kl(mean, log_variance).mean(0)
    active = [latent for latent in information.argsort(descending=True).tolist() if information[latent] > 0.1]
    draw_overview(runs, best, information).savefig(folder / "overview.png", dpi=150)
    figure, _ = plot_latents_against_factors(mean, factors, FACTORS, latents=active or None)
    figure.savefig(folder / "latents_against_factors.png", dpi=110)
    print(f"\n{summary}\n\nwandb runs         {folder / 'wandb'}\nfigures            {folder}/*.png")
    print(f"Done in {time.time() - start:.0f} s.")
    if options.fast:
        conclude({"values of all runs are finite": bool(np.isfinite([run[3:6] for run in runs]).all())})
    related = float(spearmanr([run.total_correlation for run in runs], [run.mig for run in runs]).statistic)
    ratio = math.exp(at_equal_reconstruction(runs, lambda run: math.log(run.total_correlation)))
    gain = at_equal_reconstruction(runs, lambda run: run.mig)
    print(f"At equal reconstruction MIG of the beta-TCVAE is higher by {gain:.2f}, which is not judged.")
    conclude(
        {
            f"total correlation and MIG are negatively related (Spearman {related:.2f})": related < 0,
            f"at equal reconstruction the beta-TCVAE has the smaller total correlation (times {ratio:.2f})": ratio < 1,
        }
    )


if __name__ == "__main__":
    main()
