"""Single values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from torchdisentangle.plots.style import (
    BLUE,
    FEW,
    GREY,
    Plot,
    Values,
    as_array,
    as_vector,
    figure_of,
    styled,
    thinned,
)

_ERROR: dict[str, Any] = {"fmt": "none", "ecolor": BLUE, "elinewidth": 1, "capsize": 3}


@styled
def plot_scalar(
    value: Any,
    standard_error: Any = None,
    *,
    interval: tuple[Any, Any] | None = None,
    ax: Axes | None = None,
    label: str = "value (nats)",
) -> Plot:
    """A value with two standard errors or an interval, a list of values over steps, or several values by name.

    Args:
        value: a number, a sequence of them, or a mapping from names to them.
        standard_error: of a number.
        interval: both ends of an interval, which need not hold the value: numbers, or mappings like ``value``.
        ax: where to draw; ``None``: a new figure.
        label: of the values' axis, which is horizontal for several values by name.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``value`` is none of these.

    Example:
        >>> figure, ax = plot_scalar([3.0, 2.0, 1.5], label="total correlation (nats)")
        >>> ax.get_xlabel()
        'step'
    """
    names = list(value) if isinstance(value, Mapping) else None
    several = list(value.values()) if isinstance(value, Mapping) else value
    values = np.array([float(v) for v in several]) if isinstance(several, Sequence) else as_array(several).reshape(-1)
    if values.size == 0 or (not isinstance(several, Sequence) and values.size > 1):
        raise ValueError("a number or a sequence of numbers is needed")
    size = (3.2, 2.4) if names is None else (4.2, 0.6 + 0.2 * max(len(names), 3))
    figure = Figure(figsize=size, layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    if names is not None:
        if interval is not None:
            low, high = (np.array([float(end[name]) for name in names]) for end in interval)
            error = (high - low) / 2
            ax.errorbar(low + error, range(len(names)), xerr=error, **_ERROR)
        ax.plot(values, range(len(names)), "o", color=BLUE, ms=4)
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(axis="x", color="#DDDDDD", lw=0.5)
        ax.set(xlabel=label)
    elif len(values) == 1:
        error = math.nan if standard_error is None else float(standard_error)
        if interval is not None:
            _bars(ax, [0], *(as_array(end).reshape(-1) for end in interval))
        elif math.isfinite(error):
            _bars(ax, [0], values - 2 * error, values + 2 * error)
        ax.plot([0], values, "o", color=BLUE, ms=4)
        ax.set(xticks=[], ylabel=label)
    else:
        ax.plot(values, color=BLUE, lw=1.2, marker="o" if len(values) <= FEW else "", ms=3.5)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set(xlabel="step", ylabel=label)
    return figure, ax


@styled
def plot_by_latent(
    values: Values, active: Any = None, *, ax: Axes | None = None, label: str = "value", each: str = "latent"
) -> Plot:
    """A value of each latent, as bars in latent order.

    Args:
        values: one for each latent, ``(d,)``.
        active: which latents are active, ``(d,)`` booleans; the others are grey.
        ax: where to draw; ``None``: a new figure.
        label: of the vertical axis.
        each: of the horizontal axis, what there is a value of.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``values`` is no vector.

    Example:
        >>> figure, ax = plot_by_latent([2.0, 0.0, 1.0], active=[True, False, True])
        >>> len(ax.patches)
        3
    """
    heights = as_vector(values, "values")
    alive = np.ones(len(heights), dtype=bool) if active is None else as_array(active).astype(bool)
    width = float(np.clip(0.28 * len(heights) + 1.6, 3.0, 6.4))
    figure = Figure(figsize=(width, 2.4), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    ax.bar(range(len(heights)), heights, width=0.7, color=np.where(alive, BLUE, GREY))
    title = "" if active is None else f"{int(alive.sum())} of {len(heights)} latents active"
    ax.set(xlabel=each, ylabel=label, title=title)
    if len(heights) <= FEW:
        ax.set_xticks(thinned(len(heights)))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.grid(axis="y", color="#E5E5E5", lw=0.5)
    ax.set_axisbelow(True)
    return figure, ax


def _bars(ax: Axes, places: Sequence[int], low: NDArray, high: NDArray) -> None:
    ax.errorbar(places, (low + high) / 2, yerr=(high - low) / 2, **_ERROR)
