"""The figures of the story: sorted similarities, what hot spots tell, and the fused circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchdisentangle.plots import BLUE, GREEN, GREY, ORANGE, figure_style

SPOTS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")  # Okabe & Ito
FACTORS = {"scale": "#CC79A7", "x": "#E69F00", "y": "#56B4E9"}


def draw_similarity(ensembles: Mapping[str, Any], factors: Sequence[str]) -> Figure:
    """A column for each ensemble: reachability, similarity in that order, and what the channels tell about factors.

    Of several shuffled ensembles the last is shown.
    """
    names = [name for name in ensembles if "shuffled" not in name] + [list(ensembles)[-1]]
    with figure_style():
        figure = Figure(figsize=(2.3 * len(names) + 0.6, 3.7), layout="constrained")
        grid = figure.subplots(3, len(names), squeeze=False, height_ratios=[0.7, 2.3, 0.5], sharex="col")
        most = max(float(ensembles[name].factors.max()) for name in names)
        for column, name in zip(grid.T, names, strict=True):
            above, middle, below = column
            found = ensembles[name]
            _draw_reachability(above, found)
            above.set_title(name)
            similarity = middle.imshow(found.matrix, cmap="magma_r", vmin=0, vmax=1, aspect="auto")
            for number, spot in enumerate(found.hot_spots):
                first, last = float(spot.channels.min()) - 0.5, float(spot.channels.max()) + 0.5
                corners = [first, last, last, first, first], [first, first, last, last, first]
                middle.plot(*corners, color=SPOTS[number % len(SPOTS)], lw=1.2)
            told = below.imshow(found.factors.T, cmap="viridis", vmin=0, vmax=most, aspect="auto")
            below.set(xlabel="channel, as OPTICS sorts them", yticks=range(len(factors)), xticks=[])
            below.set_yticklabels(factors if below is grid[2, 0] else [])
            middle.set(yticks=[])
            for ax in (middle, below):
                ax.tick_params(length=0)
                ax.spines[:].set_visible(False)
        grid[0, 0].set_ylabel("reachability")
        grid[1, 0].set_ylabel("channel")
        for row, image, label in ((grid[1], similarity, "NMI"), (grid[2], told, "nats")):
            bar = figure.colorbar(image, ax=row.tolist(), fraction=0.05, pad=0.02, aspect=20 if label == "NMI" else 5)
            bar.set_label(label)
            bar.outline.set_visible(False)
    return figure


def _draw_reachability(ax: Axes, found: Any) -> None:
    """Bars in the colours of the hot spots; the first channel of all has no reachability."""
    heights = found.reachability.numpy()
    top = 10.0  # above -log of the smallest NMI that counts
    colours = [GREY if label < 0 else SPOTS[label % len(SPOTS)] for label in found.labels.tolist()]
    ax.bar(range(len(heights)), np.minimum(heights, top), width=1.0, color=colours)
    ax.set(ylim=(0.005, top), yscale="log", xticks=[])


def draw_hot_spots(ensembles: Mapping[str, Any], factors: Sequence[str]) -> Figure:
    """Information about the factors of all channels of each hot spot, and its mean."""
    names = [name for name in ensembles if "shuffled" not in name]
    with figure_style():
        figure = Figure(figsize=(3.6 * len(names), 2.5), layout="constrained")
        for ax, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
            found, chance = ensembles[name], ensembles[f"{name}, shuffled"].factors.mean(0)
            ticks = []
            for number, spot in enumerate(found.hot_spots):
                for k, factor in enumerate(factors):
                    at = number + 0.27 * (k - 1)
                    values = found.factors[spot.channels, k]
                    label = factor if number == 0 else None
                    ax.bar(at, spot.information[k], width=0.25, color=FACTORS[factor], label=label)
                    jitter = np.linspace(-0.08, 0.08, len(values))
                    ax.plot(at + jitter, values, ".", color="#333333", ms=2)
                    ax.plot([at - 0.125, at + 0.125], [chance[k]] * 2, color="#333333", lw=1.2)
                ticks.append(f"{len(spot.channels)} / {spot.members}")
            ax.set_xticks(range(len(ticks)), ticks)
            for tick, colour in zip(ax.get_xticklabels(), SPOTS, strict=False):
                tick.set_color(colour)
            ax.tick_params(axis="x", length=0)
            ax.set(title=f"hot spots, {name}", xlabel="hot spot: its channels / of how many members")
            ax.legend(title="line: chance", title_fontsize=7.5)
        ax.get_figure().axes[0].set_ylabel("information about a factor (nats)")
    return figure


def draw_circles(circles: Any) -> Figure:
    """Learners' means over the angle, the fused space, and how both compare with unseen learners."""
    whole = len(circles.learners)
    with figure_style():
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        (left, right), (known, torn) = figure.subplots(2, 2)
        left.plot(circles.angle, circles.means[:, :4].numpy(), ".", ms=2.5)
        left.set(xlabel="angle", ylabel="posterior mean", title="weak learners: one latent, one tear")
        fused = circles.fused.mean
        right.plot(*fused[[*range(len(fused)), 0]].T, color="#CCCCCC", lw=0.8, zorder=1)
        points = right.scatter(*fused.T, c=circles.angle, cmap="twilight", s=12, edgecolors=BLUE, linewidths=0.2)
        right.set(xlabel="latent 0", ylabel="latent 1", title=f"consensus of {whole}: two latents", aspect="equal")
        figure.colorbar(points, ax=right, label="angle")
        sizes, judged = list(circles.consensus), list(circles.consensus.values())
        known.plot(
            [one.information for one in circles.learners],
            [one.nmi for one in circles.learners],
            ".",
            color=GREY,
            ms=4,
            label="learner",
        )
        known.plot([one.information for one in judged], [one.nmi for one in judged], "D-", color=ORANGE, ms=4, lw=0.8)
        known.plot([], [], "D", color=ORANGE, ms=4, label="consensus of")
        for size, one in zip(sizes, judged, strict=True):
            known.annotate(str(size), (one.information, one.nmi), (4, 3), textcoords="offset points", fontsize=7)
        known.set(xlabel="information (nats)", ylabel="NMI with unseen learners", title="as much, but shared")
        known.legend(loc="lower right")
        torn.plot([1] * whole, [one.tear for one in circles.learners], ".", color=GREY, ms=4, label="learner")
        torn.plot(sizes, [one.tear for one in judged], "D-", color=ORANGE, ms=4, lw=0.8, label="consensus")
        torn.axhline(1, color="#333333", lw=0.8, ls=":", label="no tear")
        torn.set(xlabel="learners fused", ylabel="tear", title="the tear closes", xscale="log", yscale="log")
        torn.set_xticks(sizes, [str(size) for size in sizes])
        torn.minorticks_off()
        torn.legend(loc="upper right")
    return figure
