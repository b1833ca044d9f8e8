"""Figures of codes against known factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchdisentangle.plots.matrix import plot_pairwise
from torchdisentangle.plots.style import BLUE, GREY, Plot, Values, as_array, figure_of, styled


@styled
def plot_factor_matrix(
    matrix: Values,
    factor_names: Sequence[str] | None = None,
    *,
    ax: Axes | None = None,
    label: str = "mutual information (nats)",
) -> Plot:
    """Heatmap of a matrix over latents and factors.

    Args:
        matrix: non-negative, ``(d, F)``.
        factor_names: names of the columns; by default their numbers.
        ax: where to draw; ``None``: a new figure.
        label: of the colour bar.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``matrix`` is not two-dimensional.

    Example:
        >>> figure, ax = plot_factor_matrix([[0.7, 0.0], [0.0, 1.4], [0.0, 0.1]], ["shape", "size"])
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('factor', 'latent')
    """
    values = as_array(matrix)
    top = None if "nats" in label or values.max(initial=0.0) > 1 else 1.0  # shares and correlations
    figure, ax = plot_pairwise(values, ax=ax, label=label, column_labels=factor_names, square=False, top=top)
    ax.set(xlabel="factor", ylabel="latent")
    if factor_names is not None and max(map(len, factor_names), default=0) > 3:
        ax.tick_params(axis="x", rotation=45)
    return figure, ax


@styled
def plot_scores(
    scores: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    ceilings: Mapping[str, float] | None = None,
    *,
    ax: Axes | None = None,
    label: str = "score",
) -> Plot:
    """Scores side by side: a dot for each, a bar for its confidence interval, and a mark for its ceiling.

    Args:
        scores: values by name, best between 0 and 1.
        intervals: both ends, of the scores that have one.
        ceilings: the best values that the data allow, of the scores that have one.
        ax: where to draw; ``None``: a new figure.
        label: of the horizontal axis.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if there are no scores.

    Example:
        >>> figure, ax = plot_scores({"mig": 0.5, "sap": 0.2}, {"mig": (0.45, 0.56)}, {"mig": 0.9})
        >>> [name.get_text() for name in ax.get_yticklabels()]
        ['mig', 'sap']
    """
    if not scores:
        raise ValueError("there are no scores to draw")
    figure = (
        Figure(figsize=(4.2, 0.6 + 0.2 * max(len(scores), 3)), layout="constrained") if ax is None else figure_of(ax)
    )
    ax = figure.subplots() if ax is None else ax
    place = {name: position for position, name in enumerate(scores)}
    ends = {name: pair for name, pair in (intervals or {}).items() if name in place}
    if ends:
        low, high = np.array(list(ends.values()), dtype=float).T
        rows = [place[name] for name in ends]
        ax.errorbar((low + high) / 2, rows, xerr=(high - low) / 2, fmt="none", ecolor=BLUE, elinewidth=1, capsize=2.5)
    best = {name: value for name, value in (ceilings or {}).items() if name in place}
    if best:
        ax.plot(list(best.values()), [place[name] for name in best], "|", color=GREY, ms=8, label="ceiling")
    ax.plot(list(scores.values()), list(place.values()), "o", color=BLUE, ms=4)
    ax.set_yticks(list(place.values()), list(place))
    ax.set_ylim(len(scores) - 0.5, -0.5)
    left, right = ax.get_xlim()
    ax.set_xlim(min(left, -0.02), max(right, 1.02))
    ax.grid(axis="x", color="#DDDDDD", lw=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel(f"{label} (grey: ceiling)" if best else label)
    return figure, ax
