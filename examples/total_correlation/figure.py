"""The example's figure: all runs, and what the latents of the best one do."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray
from torch import Tensor
from verdicts import over_seeds

from torchdisentangle.models import VAE
from torchdisentangle.plots import BLUE, ORANGE, figure_style, plot_traversals

LOOKS = {"beta-VAE": (BLUE, "o"), "beta-TCVAE": (ORANGE, "s")}
STEPS = 9
LEAST = 1e-3  # total correlation that is drawn; an estimate of none may be negative


class Run(NamedTuple):
    """What is known of a trained model."""

    model: str
    beta: float
    seed: int
    reconstruction: float
    total_correlation: float
    mig: float
    mig_low: float
    mig_high: float
    module: VAE

    def row(self) -> dict[str, Any]:
        """All but the model itself."""
        return {name: value for name, value in self._asdict().items() if name != "module"}


def draw_overview(runs: list[Run], best: Run, information: Tensor) -> Figure:
    """MIG against total correlation and reconstruction; traversals of the best model, by information."""
    with figure_style():
        figure = Figure(figsize=(8.2, 2.5), layout="constrained")
        correlation, reconstruction, traversals = figure.subplots(1, 3, width_ratios=[1.15, 1, 1.2])
        for name, (colour, marker) in LOOKS.items():
            found = [run for run in runs if run.model == name]
            table = np.array([run[3:8] for run in found])
            betas = np.array([run.beta for run in found])
            sizes = 6 + 6 * np.unique(betas, return_inverse=True)[1]
            style: dict[str, Any] = {"color": colour, "marker": marker, "linewidths": 0}
            across = table[:, 1].clip(LEAST)
            correlation.scatter(across, table[:, 2], s=sizes, alpha=0.7, **style, label=name)
            correlation.vlines(across, *table[:, 3:5].T, color=colour, lw=0.5, alpha=0.4)
            reconstruction.scatter(table[:, 0], table[:, 2], s=sizes, alpha=0.2, **style)
            means = _means(table[:, [0, 2]], betas)
            reconstruction.errorbar(*means, color=colour, marker=marker, ms=4, lw=1.2, capsize=2)
        correlation.set(xscale="log", xlabel="total correlation (nats)", ylabel="MIG", ylim=(0, None))
        correlation.xaxis.set_major_locator(LogLocator())
        correlation.xaxis.set_major_formatter("{x:g}")
        correlation.xaxis.set_minor_formatter(NullFormatter())
        correlation.set_title("all runs; larger marks: larger betas")
        correlation.legend(loc="best", handletextpad=0.1)
        reconstruction.set(
            xlabel="reconstruction (nats)", ylim=correlation.get_ylim(), title="means over seeds, 95% intervals"
        )
        _draw_traversals(traversals, best, information.argsort(descending=True))
    return figure


def _means(values: NDArray[Any], betas: NDArray[Any]) -> NDArray[Any]:
    """For each beta, ascending in the first column, means over seeds and the reach of the second's interval."""
    of_beta = [[over_seeds(column) for column in values[betas == beta].T.tolist()] for beta in np.unique(betas)]
    means = np.array([[first.value, second.value, second.high - second.value] for first, second in of_beta])
    return means[means[:, 0].argsort()].T


@torch.no_grad()
def _draw_traversals(ax: Any, best: Run, order: Tensor) -> None:
    """A row for each latent, which alone moves from -2 to 2."""
    values = torch.linspace(-2, 2, STEPS)
    z = torch.zeros(len(order), STEPS, len(order))
    for row, latent in enumerate(order.tolist()):
        z[row, :, latent] = values
    decoded = best.module.decode(z.flatten(0, 1)).unflatten(0, (len(order), STEPS))
    plot_traversals(decoded, values, labels=order.tolist(), ax=ax)
    ax.set_title(f"{best.model} of the highest MIG, {best.mig:.2f}")
