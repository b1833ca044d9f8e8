"""Figures of channels: their coefficients, their information, and how similar they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchdisentangle.plots.matrix import annotate_cells
from torchdisentangle.plots.style import (
    BLUE,
    FEW,
    GREEN,
    GREY,
    ORANGE,
    Plot,
    Values,
    add_colour_bar,
    as_array,
    as_matrix,
    as_vector,
    figure_of,
    say_if_some,
    styled,
    thinned,
)

_CLUSTER_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")  # Okabe & Ito


@styled
def plot_similarity(
    matrix: Values,
    *,
    reachability: Values | None = None,
    hot_spots: Values | None = None,
    row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None,
    label: str = "NMI",
    names: tuple[str, str] = ("channel", "channel"),
    ax: Axes | None = None,
) -> Plot:
    """Similarity of all pairs of channels, and on top what a clustering made of them.

    Args:
        matrix: NMI or VI, ``(M, N)``, channels in the order in which they are to be drawn. Dark is similar.
        reachability: of each channel from those before it (OPTICS), ``(M,)``: valleys are hot spots.
        hot_spots: number of the hot spot of each channel, ``(M,)``, -1 for none; colours the reachability.
        row_labels: names of the rows; by default their numbers.
        column_labels: names of the columns; by default those of the rows for a square matrix.
        label: of the colour bar; values are taken for NMI, on a scale from 0 to 1, unless it begins with ``VI``.
        names: of the vertical and the horizontal axis.
        ax: where to draw the matrix alone; ``None``: a new figure.

    Returns:
        The figure and its axes: the matrix's, or with ``reachability`` that of the matrix and of the reachability.

    Raises:
        ValueError: if ``matrix`` is not two-dimensional or the other arguments do not fit.

    Example:
        >>> figure, (below, above) = plot_similarity([[1.0, 0.3], [0.3, 1.0]], reachability=[0.5, 0.2])
        >>> above.get_ylabel()
        'reachability'
    """
    values = as_matrix(matrix)
    if 0 in values.shape:
        raise ValueError(f"a matrix is needed, got shape {values.shape}")
    rows = list(range(len(values))) if row_labels is None else list(row_labels)
    default = rows if len(rows) == values.shape[1] else range(values.shape[1])
    columns = list(default if column_labels is None else column_labels)
    if (len(rows), len(columns)) != values.shape:
        raise ValueError(f"a matrix of shape {values.shape} needs as many labels, got {len(rows)} and {len(columns)}")
    above = None
    if ax is None:
        height = float(np.clip(0.2 * len(values) + 1.0, 2.6, 5.5))
        width = float(np.clip(height * values.shape[1] / len(values), 1.2, 7.0)) + 1.4
        if reachability is None:
            figure = Figure(figsize=(width, height), layout="constrained")
            ax = figure.subplots()
        else:
            figure = Figure(figsize=(width, height + 0.8), layout="constrained")
            above, ax = figure.subplots(2, 1, sharex=True, height_ratios=[0.8, height])
            _draw_reachability(above, as_vector(reachability, "reachability"), hot_spots)
    else:
        figure = figure_of(ax)
    _draw_matrix(ax, values, rows, columns, label)
    ax.set(xlabel=names[1], ylabel=names[0])
    return figure, ax if above is None else np.array([ax, above])


def _draw_matrix(ax: Axes, values: NDArray, rows: list, columns: list, label: str) -> None:
    distance = label.startswith("VI")
    top = max(float(np.nanmax(values)), 1e-3) if distance else 1.0
    colours = mpl.colormaps["magma" if distance else "magma_r"].with_extremes(bad="#DDDDDD")
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=top, interpolation="nearest", aspect="auto")
    add_colour_bar(image, label)
    for axis, names in ((ax.xaxis, columns), (ax.yaxis, rows)):
        shown = list(range(len(names))) if len(names) <= FEW else thinned(len(names))
        axis.set_ticks(shown, [str(names[i]) for i in shown])
    if max(len(str(name)) for name in columns) > 3:
        ax.tick_params(axis="x", rotation=90)
    ax.tick_params(length=0, labelsize=6.5)
    ax.spines[:].set_visible(False)
    if max(values.shape) <= 8:
        annotate_cells(image, values)


def _draw_reachability(ax: Axes, reachability: NDArray, hot_spots: Values | None) -> None:
    finite = reachability[np.isfinite(reachability)]
    top = float(finite.max()) if finite.size else 1.0
    clusters = np.full(len(reachability), -1) if hot_spots is None else as_array(hot_spots).astype(int)
    if clusters.shape != reachability.shape:
        raise ValueError(f"{len(reachability)} channels need as many hot spots, got {clusters.shape}")
    colours = [GREY if c < 0 else _CLUSTER_COLOURS[c % len(_CLUSTER_COLOURS)] for c in clusters]
    heights = np.where(np.isfinite(reachability), reachability, 1.05 * top)  # the first of a component has none
    ax.bar(np.arange(len(heights)), heights, width=0.9, color=colours)
    ax.set(ylabel="reachability", ylim=(0, 1.05 * top if top > 0 else 1.0))
    ax.tick_params(axis="x", length=0, labelbottom=False)


@styled
def plot_coefficients(
    coefficients: Values, *, labels: Sequence[Any] | None = None, max_channels: int = 10, ax: Axes | None = None
) -> Plot:
    """Fingerprints as images: which points each channel does not tell apart.

    Args:
        coefficients: Bhattacharyya coefficients, ``(d, F, F)``, most important channel first.
        labels: names of the channels; by default their numbers.
        max_channels: how many to show.
        ax: where to draw the first channel alone; ``None``: a new figure with one panel for each.

    Returns:
        The figure and its axes, ``(channels,)``, or the one given.

    Raises:
        ValueError: if the coefficients are no stack of square matrices, or the labels do not fit.

    Example:
        >>> figure, axes = plot_coefficients(np.stack([np.eye(5), np.ones((5, 5))]))
        >>> len(axes)
        2
    """
    values = as_array(coefficients)
    if values.ndim != 3 or values.shape[1] != values.shape[2] or 0 in values.shape:
        raise ValueError(f"coefficients must have shape (d, F, F), got {values.shape}")
    names = [str(i) for i in range(len(values))] if labels is None else [str(label) for label in labels]
    if len(names) != len(values):
        raise ValueError(f"{len(values)} channels need as many labels, got {len(names)}")
    if ax is None:
        count = min(len(values), max_channels)
        columns = min(count, 5)
        lines = -(-count // columns)
        figure = Figure(figsize=(1.25 * columns + 0.6, 1.35 * lines + 0.2), layout="constrained")
        axes: NDArray = figure.subplots(lines, columns, squeeze=False).reshape(-1)
        for unused in axes[count:]:
            unused.remove()
        axes = axes[:count]
    else:
        figure, axes = figure_of(ax), np.array([ax])
    if ax is None:
        say_if_some(figure, count, len(values), "channels")
    for panel, matrix, name in zip(axes, values, names, strict=False):
        image = panel.imshow(matrix, cmap="magma_r", vmin=0, vmax=1, interpolation="nearest")
        panel.set(xticks=[], yticks=[], title=name)
        panel.spines[:].set_visible(False)
    add_colour_bar(image, "$B_{ij}$", list(axes), fraction=0.03, pad=0.02)
    return figure, axes if ax is None else ax
