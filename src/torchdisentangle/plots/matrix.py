"""Heatmaps of matrices over latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from torchdisentangle.plots.style import (
    Plot,
    Values,
    add_colour_bar,
    as_matrix,
    as_vector,
    figure_of,
    nice_top,
    styled,
    thinned,
)

_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, as they are seen


@styled
def plot_pairwise(
    matrix: Values,
    *,
    order: Values | None = None,
    ax: Axes | None = None,
    label: str = "MPMI (nats)",
    row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None,
    square: bool = True,
    top: float | None = None,
) -> Plot:
    """Heatmap of a matrix over pairs of latents (or of latents and something else).

    Args:
        matrix: non-negative, ``(rows, columns)``.
        order: permutation of rows and columns, ``(d,)``, for instance by descending entropy; ticks keep the original
            numbers.
        ax: where to draw; ``None``: a new figure.
        label: of the colour bar.
        row_labels: names of the rows; by default their numbers.
        column_labels: names of the columns.
        top: where the colour scale ends, from 0; by default the next round number above the largest entry.
        square: whether the matrix relates latents to themselves: its diagonal is undefined then and left grey.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``matrix`` is not two-dimensional.

    Example:
        >>> figure, ax = plot_pairwise([[0.0, 0.3], [0.3, 0.0]], order=[1, 0])
        >>> [tick.get_text() for tick in ax.get_xticklabels()]
        ['1', '0']
    """
    values = as_matrix(matrix)
    rows = list(range(values.shape[0])) if row_labels is None else list(row_labels)
    columns = list(range(values.shape[1])) if column_labels is None else list(column_labels)
    symmetric = square and values.shape[0] == values.shape[1] and np.allclose(np.diag(values), 0)
    if symmetric:
        values = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    if order is not None:
        permutation = as_vector(order, "order").astype(int)
        values = values[np.ix_(permutation, permutation)]
        rows, columns = [rows[i] for i in permutation], [columns[i] for i in permutation]
    height = float(np.clip(0.32 * len(values) + 0.8, 2.6, 4.2))
    narrowest = max(2.4, min(0.3 * values.shape[1], 7.0))
    width = float(np.clip(height * values.shape[1] / len(values), narrowest, 7.0)) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    colours = mpl.colormaps["magma_r"].with_extremes(bad="#DDDDDD")
    top = nice_top(values) if top is None else top
    aspect: Literal["auto", "equal"] = "auto" if max(values.shape) > 3 * min(values.shape) else "equal"
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=top, interpolation="nearest", aspect=aspect)
    add_colour_bar(image, label)
    for axis, names in ((ax.xaxis, columns), (ax.yaxis, rows)):
        shown = thinned(len(names))
        axis.set_ticks(shown, [str(names[i]) for i in shown])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if max(values.shape) <= 8:
        annotate_cells(image, values)
    if row_labels is None and column_labels is None:
        ax.set(xlabel="latent", ylabel="latent")
    return figure, ax


def annotate_cells(image: AxesImage, values: NDArray[Any]) -> None:
    """Write its value into each cell, in white where the colour is dark.

    Args:
        image: of the values.
        values: ``(R, C)``; nothing is written for NaN.
    """
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            luminance = np.dot(image.cmap(image.norm(value))[:3], _LUMINANCE)
            image.axes.text(
                column,
                row,
                "0" if value < 0.005 else f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if luminance < 0.5 else "#333333",
            )
