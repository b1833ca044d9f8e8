"""The figures of the story: spectra and counts over beta, and what the latents draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from spectra import Run
from torch import Tensor

from torchdisentangle.plots import BLUE, GREY, ORANGE, figure_style, plot_jacobian_columns


def draw_sweep(runs: Sequence[Run], principal: Tensor, reference: float) -> Figure:
    """Sorted spectra of all runs; active latents, total correlation and that of pairs, over beta."""
    betas = sorted({run.beta for run in runs})
    colours = dict(zip(betas, mpl.colormaps["viridis"].resampled(len(betas) + 1).colors, strict=False))
    with figure_style():
        figure = Figure(figsize=(9.6, 2.7), layout="constrained")
        spectra, counts, correlations, pairs = figure.subplots(1, 4, width_ratios=[1.5, 1, 1, 1])
        rank = range(1, len(principal) + 1)
        threshold = reference + math.log(0.1)
        spectra.axhspan(threshold - 20, threshold, color="#F2F2F2", lw=0)
        spectra.text(1, threshold - 0.08, "not active", fontsize=7, color=GREY, va="top")
        spectra.plot(rank, principal, color="#333333", lw=4, alpha=0.25, label="PCA")
        for run in runs:
            label = rf"$\beta$ = {run.beta:g}" if run.seed == runs[0].seed else None
            style: dict[str, Any] = {"color": colours[run.beta], "marker": "o", "ms": 2.5, "lw": 1.0, "label": label}
            spectra.plot(rank, run.spectrum, **style)
        lowest = min(float(run.spectrum.min()) for run in runs)
        spectra.set(xlabel="rank", ylabel="manifold entropy $H_i$ (nats)", title="sorted spectra", xticks=rank)
        spectra.set_ylim(lowest - 0.3, None)
        spectra.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        _draw_over_beta(counts, runs, {"active latents": [run.num_active for run in runs]}, (BLUE,))
        counts.set(title="active latents", ylabel="number", ylim=(-0.4, len(principal) + 0.4))
        shared = {
            "all latents": [run.values["MTC"] for run in runs],
            "active latents": [run.active_mtc for run in runs],
        }
        _draw_over_beta(correlations, runs, shared, (GREY, ORANGE))
        correlations.set(title="total correlation (MTC)", ylabel="nats", ylim=(0, None))
        correlations.legend(loc="best")
        several = [run for run in runs if run.num_active > 1]
        _draw_over_beta(pairs, several, {"mean": [run.values["active MPMI"] for run in several]}, (ORANGE,))
        pairs.set(
            title="pairs of active latents", ylabel="mean MPMI (nats)", ylim=(0, None), xlim=correlations.get_xlim()
        )
    return figure


def _draw_over_beta(ax: Any, runs: Sequence[Run], values: dict[str, list[float]], colours: Sequence[str]) -> None:
    """A point for each run, and a line through the means over seeds."""
    betas = sorted({run.beta for run in runs})
    for (name, of_runs), colour in zip(values.items(), colours, strict=True):
        found = [[value for run, value in zip(runs, of_runs, strict=True) if run.beta == beta] for beta in betas]
        ax.plot(betas, [mean(of_seeds) for of_seeds in found], color=colour, lw=1.2, label=name)
        ax.plot([run.beta for run in runs], of_runs, "o", color=colour, ms=3)
    ax.set(xscale="log", xlabel=r"$\beta$")
    ax.grid(axis="y", color="#E5E5E5", lw=0.5)
    ax.set_axisbelow(True)


def draw_eigen_digits(runs: Sequence[Run], shape: Sequence[int]) -> Figure:
    """Columns of the decoder's average Jacobian, sorted by entropy, a row for each run."""
    with figure_style():
        figure = Figure(figsize=(7.2, 0.95 * len(runs)), layout="constrained")
        for ax, run in zip(figure.subplots(len(runs), 1, squeeze=False)[:, 0], runs, strict=True):
            _draw_columns(ax, run.columns, shape, rf"$\beta$ = {run.beta:g}")
            for rank, entropy in enumerate(run.spectrum.tolist()):
                colour = BLUE if rank < run.num_active else GREY
                centre = (rank + 0.5) * (shape[-1] + 2) - 0.5
                ax.text(centre, -1.2, f"{entropy:.2f}", ha="center", va="bottom", fontsize=6.5, color=colour)
    return figure


def draw_classes(run: Run, shape: Sequence[int], digits: Sequence[int] = (0, 2, 3, 4, 7)) -> Figure:
    """For some digits what each active latent adds to them: average Jacobians over the posteriors of a class."""
    shown = max(run.num_active, 1)
    with figure_style():
        figure = Figure(figsize=(0.62 * (shown + 1.6), 0.66 * len(digits) + 0.25), layout="constrained")
        grid = figure.subplots(len(digits), 2, squeeze=False, width_ratios=[1, shown])
        for row, digit in zip(grid, digits, strict=True):
            row[0].imshow(run.means[digit].reshape(*shape[-2:]), cmap="Greys", vmin=0, vmax=1)
            row[0].set_axis_off()
            _draw_columns(row[1], run.of_classes[digit][:, :shown], shape)
        grid[0, 0].set_title("mean", fontsize=7.5)
        grid[0, 1].set_title(rf"active latents by entropy, $\beta$ = {run.beta:g}", fontsize=7.5)
    return figure


def _draw_columns(ax: Any, columns: Tensor, shape: Sequence[int], name: str = "") -> None:
    """A mosaic in the given order, each image with its own scale."""
    plot_jacobian_columns(columns, shape, order=range(columns.shape[1]), ax=ax)
    if name:
        ax.text(-1.5, 0.5 * shape[-2] + 0.5, name, ha="right", va="center", fontsize=8)
