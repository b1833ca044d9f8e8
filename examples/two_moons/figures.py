"""The figures of the story: what the latents do, how the entropy is shared out, and how that came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from representation import Representation
from torch import Tensor

from torchdisentangle.datasets import two_moons
from torchdisentangle.plots import BLUE, GREEN, ORANGE, figure_style, plot_decomposition


def draw_representations(representations: Mapping[str, Representation]) -> Figure:
    """Above, lines along which one latent changes; below, the entropic decomposition."""
    with figure_style():
        figure = Figure(figsize=(7.2, 3.5), layout="constrained")
        grids, bars = figure.subplots(2, len(representations), height_ratios=[1.3, 1.0], sharey="row")
        for ax, bar, (name, found) in zip(grids, bars, representations.items(), strict=True):
            _draw_grid(ax, found)
            ax.set_title(name)
            plot_decomposition(found.entropies, found.total, found.shared, labels=["core", "detail"], ax=bar)
            bar.set(title="", xlabel="", ylabel="entropy (nats)" if bar is bars[0] else "")
            bar.tick_params(axis="x", rotation=0)
            bar.patches[1].set_color(ORANGE)
            bar.patches[2].set_color("#BBBBBB")
    return figure


def _draw_grid(ax: Any, found: Representation) -> None:
    ax.scatter(*two_moons(1200, noise=0.1, seed=1).T, s=1.5, color="#C8C8C8", linewidths=0)
    along = torch.linspace(-2.4, 2.4, 400)
    for value in torch.linspace(-2, 2, 9):
        for moving, colour in zip(found.order.tolist(), (BLUE, ORANGE), strict=True):
            z = torch.full((len(along), 2), float(value))
            z[:, moving] = along
            weight = {"lw": 0.6, "alpha": 0.6} if value else {"lw": 1.6}
            with torch.no_grad():
                ax.plot(*found.decode(z).T, color=colour, **weight)
    ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.5, 2.5), ylim=(-1.05, 1.55))
    ax.spines[:].set_visible(False)


def draw_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Total entropy and total correlation over the epochs."""
    shown = {"total_entropy": "total entropy (nats)", "total_correlation": "total correlation (nats)"}
    with figure_style():
        figure = Figure(figsize=(6.4, 2.5), layout="constrained")
        for ax, (key, label) in zip(figure.subplots(1, 2), shown.items(), strict=True):
            for (name, history), colour in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=True):
                epochs = [values["epoch"] for values in history]
                height = [values[f"val/manifold/{key}"] for values in history]
                ax.plot(epochs, height, color=colour, marker="o", ms=3, lw=1.2, label=name)
            ax.set(xlabel="epoch", ylabel=label)
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
        figure.axes[1].set_ylim(bottom=0)
        figure.axes[0].legend(loc="upper right")
    return figure


def draw_spectra(spectra: Mapping[str, Sequence[Tensor]], core: int) -> Figure:
    """Entropies of flows of many latents, one line a seed: sorted, and those of the core latents beside the others'."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        ordered, means = figure.subplots(1, 2, width_ratios=(1.6, 1))
        for place, ((name, of_seeds), colour) in enumerate(zip(spectra.items(), (BLUE, ORANGE, GREEN), strict=True)):
            for number, spectrum in enumerate(of_seeds):
                label = name if number == 0 else None
                height = spectrum.sort(descending=True).values
                ordered.plot(range(1, len(height) + 1), height, color=colour, lw=1.1, alpha=0.85, label=label)
                parts = [float(part.mean()) for part in (spectrum[:core], spectrum[core:])]
                means.plot([place - 0.12, place + 0.12], parts, color=colour, marker="o", ms=4, lw=0.8)
        ordered.axhline(0, color="#444444", lw=0.6, ls=":")
        ordered.set(xlabel="rank", ylabel="manifold entropy $H_i$ (nats)", title="sorted spectra")
        ordered.legend()
        means.set(title=f"means of the first {core} latents, the core,\nand of the others", xticks=range(len(spectra)))
        means.set_xticklabels(["\n".join(name.rsplit(" ", 1)) for name in spectra], fontsize=7)
        for ax in (ordered, means):
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
            ax.set_axisbelow(True)
    return figure
