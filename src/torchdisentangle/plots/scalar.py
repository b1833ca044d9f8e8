"""Single values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from torchdisentangle.plots.style import BLUE, FEW, Plot, as_array, figure_of, styled


@styled
def plot_scalar(value: Any, standard_error: Any = None, *, ax: Axes | None = None, label: str = "value (nats)") -> Plot:
    """A value with two standard errors, or a list of values over steps.

    Args:
        value: a number, or a sequence of them.
        standard_error: of a number.
        ax: where to draw; ``None``: a new figure.
        label: of the vertical axis.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``value`` is neither a number nor a sequence of numbers.

    Example:
        >>> figure, ax = plot_scalar([3.0, 2.0, 1.5], label="total correlation (nats)")
        >>> ax.get_xlabel()
        'step'
    """
    values = np.array([float(v) for v in value]) if isinstance(value, Sequence) else as_array(value).reshape(-1)
    if values.size == 0 or (not isinstance(value, Sequence) and values.size > 1):
        raise ValueError("a number or a sequence of numbers is needed")
    figure = Figure(figsize=(3.2, 2.4), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    if len(values) == 1:
        error = 0.0 if standard_error is None else float(standard_error)
        ax.errorbar([0], values, yerr=2 * error if math.isfinite(error) else None, fmt="o", color=BLUE, ms=4, capsize=3)
        ax.set(xticks=[], ylabel=label)
    else:
        ax.plot(values, color=BLUE, lw=1.2, marker="o" if len(values) <= FEW else "", ms=3.5)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set(xlabel="step", ylabel=label)
    return figure, ax
