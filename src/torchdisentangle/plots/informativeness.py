"""Figures of informativeness, separability and independence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchdisentangle.plots.matrix import plot_pairwise
from torchdisentangle.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    Plot,
    Values,
    as_array,
    as_vector,
    figure_of,
    say_if_some,
    styled,
    thinned,
)


@styled
def plot_informativeness(
    information: Values,
    shared: Values | None = None,
    *,
    ax: Axes | None = None,
    threshold: float | None = None,
    max_latents: int = 40,
    label: str = "informativeness $I(x; z_i)$ (nats)",
) -> Plot:
    """Latents by falling informativeness, as bars.

    With ``shared``, :math:`I(z_i; z_{\\neq i})`, each bar is split: what the latent alone tells (SEPIN), and what the
    others tell too (SEP). The parts add to the whole bar.

    Args:
        information: of each latent, ``(d,)``.
        shared: the part of it that other latents share, ``(d,)``.
        ax: where to draw; ``None``: a new figure.
        threshold: drawn as a line; latents below it are uninformative.
        max_latents: how many to show, the most informative first.
        label: of the vertical axis.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``information`` is empty, or ``shared`` has another length.

    Example:
        >>> figure, ax = plot_informativeness([0.1, 2.0, 0.0], [0.1, 0.5, 0.0])
        >>> [tick.get_text() for tick in ax.get_xticklabels()]
        ['1', '0', '2']
    """
    values = as_vector(as_array(information).reshape(-1), "information")
    order = np.argsort(-values, kind="stable")[:max_latents]
    width = float(np.clip(0.24 * len(order) + 1.6, 2.8, 6.4))
    figure = Figure(figsize=(width, 2.6), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    position = np.arange(len(order))
    if shared is None:
        ax.bar(position, values[order], width=0.75, color=BLUE)
    else:
        both = as_vector(as_array(shared).reshape(-1), "shared")
        if both.shape != values.shape:
            raise ValueError(f"shared must have shape {values.shape}, got {both.shape}")
        own = values[order] - both[order]
        ax.bar(position, own, width=0.75, color=BLUE, label="this latent alone (SEPIN)")
        ax.bar(position, both[order], width=0.75, bottom=own, color=ORANGE, label="shared with others (SEP)")
        ax.legend(loc="best")
    if threshold is not None:
        ax.axhline(threshold, color=GREY, lw=0.8, ls="--")
    ax.axhline(0, color="#444444", lw=0.6)
    shown = thinned(len(order))
    ax.set_xticks(position[shown], [str(order[i]) for i in shown])
    some = f", the first {len(order)} of {len(values)}" if len(order) < len(values) else ""
    ax.set(xlabel=f"latent $i$, by informativeness{some}", ylabel=label)
    ax.tick_params(axis="x", length=0)
    ax.spines["bottom"].set_visible(False)
    ax.grid(axis="y", color="#E5E5E5", lw=0.5)
    ax.set_axisbelow(True)
    return figure, ax


@styled
def plot_independence(
    matrix: Values,
    latents: Sequence[int] | None = None,
    *,
    ax: Axes | None = None,
    label: str = "$I(z_i; z_j)$ (nats)",
    num_latents: int | None = None,
) -> Plot:
    """Heatmap of what pairs of latents share.

    Args:
        matrix: ``(m, m)``; estimates below 0 are drawn as 0.
        latents: which latents its rows and columns are, ``m`` numbers.
        ax: where to draw; ``None``: a new figure.
        label: of the colour bar.
        num_latents: how many latents the model has; a new figure says so if these are some of them.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``matrix`` is not two-dimensional.

    Example:
        >>> figure, ax = plot_independence([[0.0, 0.3], [0.3, 0.0]], [4, 1])
        >>> [tick.get_text() for tick in ax.get_xticklabels()], ax.get_xlabel()
        (['4', '1'], 'latent')
    """
    names = None if latents is None else [int(latent) for latent in latents]
    values = as_array(matrix).clip(min=0)
    figure, drawn = plot_pairwise(values, ax=ax, label=label, row_labels=names, column_labels=names)
    drawn.set(xlabel="latent", ylabel="latent")
    if ax is None:
        say_if_some(figure, len(values), num_latents or len(values))
    return figure, drawn
