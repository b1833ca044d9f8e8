"""The example's figure: what the penalty sees, and what it does to trained models."""

from __future__ import annotations

from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from torchdisentangle.plots import BLUE, GREY, ORANGE, figure_style


def draw_overview(
    angles: list[int], turned: dict[tuple[str, str], list[list[float]]], results: dict[str, list[dict[str, float]]]
) -> Figure:
    """Divergence of the true decoder by angle; MIG and divergence of each pair of models."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.3), layout="constrained")
        truth, scores, divergences = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
        for (names, values), colour, marker in zip(turned.items(), (BLUE, ORANGE), ("o", "s"), strict=True):
            truth.plot(
                angles,
                [mean(draws) for draws in values],
                marker,
                ls="-",
                color=colour,
                markersize=3.5,
                lw=1.2,
                label=" and ".join(names),
            )
        truth.set(title="true decoder, latents turned", xlabel="angle (degrees)", ylabel="topological divergence")
        truth.set(xticks=angles, ylim=(0, None))
        truth.legend(loc="upper left", title="turned pair", title_fontsize=7.5)
        _draw_pairs(scores, results, "disentanglement/mig", "MIG")
        _draw_pairs(divergences, results, "divergence", "topological divergence")
        scores.set_ylim(0, 1)
        divergences.set_ylim(0, None)
    return figure


def _draw_pairs(ax: Any, results: dict[str, list[dict[str, float]]], key: str, label: str) -> None:
    """A grey line for each seed, and the mean."""
    values = [[row[key] for row in found] for found in results.values()]
    for pair in zip(*values, strict=True):
        ax.plot([0, 1], pair, color=GREY, lw=0.5, marker="o", markersize=2, alpha=0.6)
    ax.plot([0, 1], [mean(column) for column in values], color=ORANGE, lw=2, marker="D", markersize=4, label="mean")
    ax.set(title="trained models", ylabel=label, xticks=[0, 1], xlim=(-0.3, 1.3))
    ax.set_xticklabels(results)
    ax.legend(loc="lower right" if key == "divergence" else "upper left")
