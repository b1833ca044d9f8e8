"""The example's figure: the scores over seeds, and the distances that they are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.plots import BLUE, ORANGE, figure_style

Scores = Mapping[str, Sequence[tuple[float, float]]]  # unsupervised and supervised, a pair for each seed


def draw_scores(
    seeds: Sequence[int], scores: Scores, distances: Mapping[str, Tensor], factors: Sequence[str]
) -> Figure:
    """Both scores of both generators by seed; distances of latents (rows) to factors (columns) for the first seed."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.3), layout="constrained")
        *lines, first, second = figure.subplots(1, 4, width_ratios=[1.1, 1.1, 1, 1])
        for kind, (ax, title) in enumerate(zip(lines, ("unsupervised", "supervised"), strict=True)):
            for (name, found), colour, marker in zip(scores.items(), (BLUE, ORANGE), ("o", "s"), strict=True):
                values = [pair[kind] for pair in found]
                ax.plot(seeds, values, marker, ls="-", color=colour, markersize=3.5, lw=1.2, label=name)
            ax.set(title=f"{title} score", xlabel="seed", xticks=seeds, ylim=(0, None))
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
        lines[0].legend(loc="best")
        top = max(float(matrix.max()) for matrix in distances.values())
        for ax, (name, matrix) in zip((first, second), distances.items(), strict=True):
            image = ax.imshow(matrix, cmap="magma_r", vmin=0, vmax=top, interpolation="nearest")
            ax.set(title=name, xticks=range(len(factors)), yticks=range(len(matrix)))
            ax.set_xticklabels([factor.replace(" ", "\n") for factor in factors], fontsize=6)
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
        first.set_ylabel("latent held")
        bar = figure.colorbar(image, ax=[first, second], fraction=0.05, pad=0.02)
        bar.set_label("distance to factor held")
        bar.outline.set_visible(False)
    return figure
