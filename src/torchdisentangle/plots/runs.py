"""Values of several runs, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from torchdisentangle.plots.style import BLUE, Plot, styled

_MOST_PANELS = 24
_IN_A_ROW = 6


@styled
def plot_runs(
    runs: Mapping[str, Mapping[str, float]],
    columns: Sequence[str],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> Plot:
    """A panel for each value, in which each run is a point with its interval.

    Args:
        runs: values by name, of each run; the first run is at the top.
        columns: names of the values, at most 24.
        intervals: both ends of the intervals by name, of the runs that have some.

    Returns:
        The figure and its axes, an array with one for each value.

    Raises:
        ValueError: if there are no runs, no columns or too many.

    Example:
        >>> runs = {"beta 1": {"mig": 0.2, "sap": 0.1}, "beta 4": {"mig": 0.4, "sap": 0.3}}
        >>> figure, axes = plot_runs(runs, ["mig", "sap"], {"beta 1": {"mig": (0.1, 0.3)}})
        >>> [ax.get_title() for ax in axes]
        ['mig', 'sap']
    """
    if not runs or not 0 < len(columns) <= _MOST_PANELS:
        raise ValueError(f"want runs, and 1 to {_MOST_PANELS} columns, got {len(runs)} and {len(columns)}")
    width, height = min(len(columns), _IN_A_ROW), -(-len(columns) // _IN_A_ROW)
    size = (1.2 + 1.5 * width, height * (0.8 + 0.16 * len(runs)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(height, width, sharey=True, squeeze=False).ravel()
    names = list(runs)
    for ax, column in zip(axes, columns, strict=False):
        for row, name in enumerate(names):
            value = runs[name].get(column, np.nan)
            low, high = (intervals or {}).get(name, {}).get(column, (np.nan, np.nan))
            ax.plot([low, high], [row, row], color=BLUE, linewidth=1.2, alpha=0.6)
            ax.plot(value, row, "o", color=BLUE, markersize=3.5)
        ax.set_title(column.removeprefix("val/"))
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_yticks(range(len(names)), names)
        ax.grid(axis="x", linewidth=0.4, color="#DDDDDD")
        ax.tick_params(axis="y", length=0)
        ax.locator_params(axis="x", nbins=4)
    for ax in axes[len(columns) :]:
        ax.set_visible(False)
    return figure, axes[: len(columns)]
