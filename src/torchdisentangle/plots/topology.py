"""Figures of the topology metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.functional.topology.coclustering import CoClustering
from torchdisentangle.plots.style import BLUE, Plot, Values, add_colour_bar, as_array, figure_of, styled, thinned


@styled
def plot_living_times(
    living_times: Values, *, labels: Sequence[Any] | None = None, floor: float = 0.01, ax: Axes | None = None
) -> Plot:
    """Mean relative living times: for how much of the filtration each number of holes is open.

    Args:
        living_times: ``(n, H + 1)``, a row for each latent or cloud.
        labels: names of the rows; by default latent numbers.
        floor: hole counts beyond the last share above this are not shown.
        ax: where to draw; ``None``: a new figure.

    Returns:
        The figure and its axes.

    Example:
        >>> figure, ax = plot_living_times([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
        >>> ax.get_xlabel()
        'number of holes'
    """
    values = np.atleast_2d(as_array(living_times))
    seen = np.flatnonzero((values > floor).any(axis=0))
    shown = max(int(seen.max()) + 2 if seen.size else 2, 4)
    values = values[:, :shown]
    shown = values.shape[1]
    names = [str(i) for i in range(len(values))] if labels is None else [str(label) for label in labels]
    height = float(np.clip(0.28 * len(values) + 0.9, 1.6, 5.0))
    figure = Figure(figsize=(4.4, height), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    image = ax.imshow(values, cmap="magma_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    add_colour_bar(image, "share of the filtration")
    rows = thinned(len(names))
    ax.set_yticks(rows, [names[i] for i in rows])
    columns = thinned(shown)
    last = values.shape[1] == as_array(living_times).shape[-1]  # the last entry holds this many holes and more
    ax.set_xticks(columns, [f"≥{i}" if last and i == shown - 1 else str(i) for i in columns])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="number of holes", ylabel="latent held" if labels is None else "")
    return figure, ax


@styled
def plot_coclustering(
    distances: Tensor,
    clusters: CoClustering,
    *,
    column_labels: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Plot:
    """Distances between conditional submanifolds, sorted into the blocks of a co-clustering, which are outlined.

    Args:
        distances: ``(n, m)``.
        clusters: from :func:`~torchdisentangle.functional.topology.coclustering.co_cluster`.
        column_labels: names of the columns, where these are factors; by default latent numbers.
        ax: where to draw; ``None``: a new figure.

    Returns:
        The figure and its axes.

    Example:
        >>> import torch
        >>> from torchdisentangle.functional.topology.coclustering import co_cluster
        >>> labels = torch.tensor([0, 1, 0, 1])
        >>> distances = torch.where(labels[:, None] == labels, 0.0, 0.1)
        >>> figure, ax = plot_coclustering(distances, co_cluster(distances))
        >>> [tick.get_text() for tick in ax.get_xticklabels()]
        ['0', '2', '1', '3']
    """
    rows = clusters.rows.argsort(stable=True)
    columns = clusters.columns.argsort(stable=True)
    values = as_array(distances)[np.ix_(rows.numpy(), columns.numpy())]
    height = float(np.clip(0.32 * len(values) + 0.8, 2.6, 4.6))
    width = float(np.clip(height * values.shape[1] / len(values), 2.4, 7.0)) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    image = ax.imshow(values, cmap="magma_r", vmin=0, vmax=max(float(values.max()), 1e-6), interpolation="nearest")
    add_colour_bar(image, "distance between topologies")
    names = [str(i) for i in range(values.shape[1])] if column_labels is None else [str(n) for n in column_labels]
    ax.set_xticks(range(len(columns)), [names[i] for i in columns.tolist()])
    ax.set_yticks(range(len(rows)), [str(i) for i in rows.tolist()])
    if column_labels is not None:
        ax.tick_params(axis="x", rotation=30)
    sorted_rows, sorted_columns = clusters.rows[rows], clusters.columns[columns]
    for t in range(clusters.num_clusters):
        down, across = (sorted_rows == t).nonzero()[:, 0], (sorted_columns == t).nonzero()[:, 0]
        if len(down) and len(across):
            corner = (float(across[0]) - 0.5, float(down[0]) - 0.5)
            outline = mpl.patches.Rectangle(corner, len(across), len(down), fill=False, ec=BLUE, lw=1.2)
            ax.add_patch(outline)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="latent held" if column_labels is None else "factor held", ylabel="latent held")
    return figure, ax
