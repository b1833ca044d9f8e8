"""The example's figure: what the latents of each model do, which factors they follow, and scores with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.evaluation import Report
from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.models import VAE, FactorDataModule
from torchdisentangle.plots import BLUE, ORANGE, figure_style

SCORES = ("mig", "dcimig", "modularity", "sap")
STEPS = 9
SILENT = 0.05  # nats; the codes of latents that tell less are noise, whatever they are correlated with


def draw_overview(models: dict[str, VAE], data: FactorDataModule, reports: dict[str, list[Report]]) -> Figure:
    """For each model: traversals, and how far its codes are correlated with the factors. Below: scores of all seeds."""
    images, factors = (torch.cat(rows) for rows in zip(*data.val_dataloader(), strict=True))
    with figure_style(), torch.no_grad():
        figure = Figure(figsize=(8.4, 4.4), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[2.5, 1.9])
        axes = above.subplots(1, 2 * len(models), width_ratios=[1.8, 1.0] * len(models))
        for (name, model), left, right in zip(models.items(), axes[::2], axes[1::2], strict=True):
            mean, log_variance = model.eval().encode(images)
            information = gaussian_kl(mean, log_variance).mean(0)
            order = information.argsort(descending=True)
            _draw_traversals(left, name, model, mean[:1], order)
            _draw_correlations(right, mean[:, order], factors, data.dataset.factor_names, information[order])
        for score, ax in zip(SCORES, below.subplots(1, len(SCORES)), strict=True):
            _draw_score(ax, score, reports)
    return figure


def _draw_score(ax: Any, score: str, reports: dict[str, list[Report]]) -> None:
    """Both models by seed, with the jackknife's intervals over images; dashed, their means."""
    for (name, found), colour, shift in zip(reports.items(), (BLUE, ORANGE), (-0.15, 0.15), strict=True):
        values = np.array([one[score] for one in found])
        low, high = np.array([one.intervals[score] for one in found]).T
        at = np.arange(1, len(found) + 1) + shift
        ax.plot(at, values, "o", ms=2.5, color=colour, label=name)
        ax.vlines(at, low, high, color=colour, lw=1.2)
        ax.axhline(values.mean(), color=colour, lw=0.8, ls="--")
    pairs = len(found)
    ax.set(title=score, xlabel="pair of models", xticks=range(1, pairs + 1, 1 + pairs // 8), ylim=(0, None))
    if score == SCORES[0]:
        ax.set_ylabel("score, 95% interval")
    if score == "modularity":  # high for all models, which leaves room
        ax.legend(loc="lower center")


def _draw_traversals(ax: Any, name: str, model: VAE, start: Tensor, order: Tensor) -> None:
    """A row for each latent, which alone moves from -2 to 2."""
    z = start.repeat(len(order), STEPS, 1)
    for row, latent in enumerate(order.tolist()):
        z[row, :, latent] = torch.linspace(-2, 2, STEPS)
    decoded = model.decode(z.flatten(0, 1))
    size = decoded.shape[-1]
    canvas = decoded.reshape(len(order), STEPS, size, size).permute(0, 2, 1, 3).reshape(len(order) * size, -1)
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, extent=(0, STEPS, len(order), 0))
    ax.set(title=f"{name}: traversals", xlabel="value of the latent", ylabel="latent")
    ax.set_xticks([0.5, STEPS / 2, STEPS - 0.5], [-2, 0, 2])
    ax.set_yticks([row + 0.5 for row in range(len(order))], order.tolist())


def _draw_correlations(ax: Any, codes: Tensor, factors: Tensor, names: tuple[str, ...], information: Tensor) -> None:
    ranks = torch.cat([codes, factors], dim=1).argsort(0).argsort(0).T.double()
    correlation = torch.corrcoef(ranks)[: codes.shape[1], codes.shape[1] :].abs()
    correlation[information < SILENT] = torch.nan
    ax.imshow(correlation, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(correlation.numpy()):
        if not np.isnan(value):
            colour = "w" if value > 0.6 else "k"
            ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=5, color=colour)
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right")
    ax.set_yticks(range(len(information)), [f"{kl:.1f}" for kl in information.tolist()])
    ax.set_box_aspect(1.2)
    ax.set(title="rank correlation", ylabel="KL of the latent (nats)")
