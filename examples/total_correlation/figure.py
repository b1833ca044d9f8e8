"""The example's figure: all runs, and what the latents of the best one do."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.models import VAE
from torchdisentangle.plots import BLUE, ORANGE, figure_style

STEPS = 9


class Run(NamedTuple):
    """What is known of a trained model."""

    model: str
    beta: float
    seed: int
    reconstruction: float
    total_correlation: float
    mig: float
    module: VAE


def draw_overview(runs: list[Run], best: Run, information: Tensor) -> Figure:
    """MIG against total correlation and reconstruction; traversals of the best model, by information."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.4), layout="constrained")
        correlation, reconstruction, traversals = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
        for name, colour, marker in (("beta-VAE", BLUE, "o"), ("beta-TCVAE", ORANGE, "s")):
            found = [run for run in runs if run.model == name]
            mig = [run.mig for run in found]
            size = [12 + 8 * number for number in _ranks([run.beta for run in found])]
            style = {"s": size, "color": colour, "marker": marker, "alpha": 0.8, "linewidths": 0}
            correlation.scatter([run.total_correlation for run in found], mig, **style, label=name)
            reconstruction.scatter([run.reconstruction for run in found], mig, **style)
        correlation.set(xscale="log", xlabel="total correlation (nats)", ylabel="MIG", ylim=(0, None))
        correlation.set_title("larger marks: larger beta")
        correlation.legend(loc="best")
        reconstruction.set(xlabel="reconstruction (nats)", ylim=correlation.get_ylim())
        _draw_traversals(traversals, best, information.argsort(descending=True))
    return figure


def _ranks(values: list[float]) -> list[int]:
    return [sorted(set(values)).index(value) for value in values]


@torch.no_grad()
def _draw_traversals(ax: Any, best: Run, order: Tensor) -> None:
    """A row for each latent, which alone moves from -2 to 2."""
    z = torch.zeros(len(order), STEPS, len(order))
    for row, latent in enumerate(order.tolist()):
        z[row, :, latent] = torch.linspace(-2, 2, STEPS)
    decoded = best.module.decode(z.flatten(0, 1))
    size = decoded.shape[-1]
    canvas = decoded.reshape(len(order), STEPS, size, size).permute(0, 2, 1, 3).reshape(len(order) * size, -1)
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, extent=(0, STEPS, len(order), 0))
    ax.set(title=f"best: {best.model}, beta {best.beta:g}", xlabel="value of the latent", ylabel="latent")
    ax.set_xticks([0.5, STEPS / 2, STEPS - 0.5], [-2, 0, 2])
    ax.set_yticks([row + 0.5 for row in range(len(order))], order.tolist())
