"""Figures of the metrics of posteriors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchdisentangle.plots.scalar import plot_by_latent
from torchdisentangle.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    Plot,
    Values,
    figure_of,
    styled,
)

_TERMS = {
    "mutual_information": ("mutual\ninformation", BLUE),
    "total_correlation": ("total\ncorrelation", ORANGE),
    "dimension_wise_kl": ("dimension-\nwise KL", GREEN),
}


@styled
def plot_elbo_decomposition(
    values: Mapping[str, Any], standard_errors: Mapping[str, Any] | None = None, *, ax: Axes | None = None
) -> Plot:
    """The KL divergence of a VAE and its three terms, as bars.

    Args:
        values: ``mutual_information``, ``total_correlation`` and ``dimension_wise_kl`` in nats; ``kl`` is their sum if
            left out.
        standard_errors: of the three terms; two of them are drawn.
        ax: where to draw; ``None``: a new figure.

    Returns:
        The figure and its axes.

    Example:
        >>> figure, ax = plot_elbo_decomposition(
        ...     {"mutual_information": 3.0, "total_correlation": 0.4, "dimension_wise_kl": 0.1}
        ... )
        >>> len(ax.patches)
        4
    """
    terms = [float(values[name]) for name in _TERMS]
    heights = [*terms, float(values.get("kl", sum(terms)))]
    names, colours = zip(*_TERMS.values(), strict=True)
    figure = Figure(figsize=(3.4, 2.6), layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    ax.bar(range(4), heights, width=0.7, color=[*colours, "#333333"])
    ends = list(heights)
    if standard_errors is not None:
        errors = np.array([2 * float(standard_errors[name]) for name in _TERMS])
        errors = np.where(np.isfinite(errors), errors, 0.0)
        ax.errorbar(range(3), terms, yerr=errors, fmt="none", ecolor="#333333", elinewidth=0.8, capsize=2)
        ends[:3] = [term + error if term >= 0 else term - error for term, error in zip(terms, errors, strict=True)]
    for x, (height, end) in enumerate(zip(heights, ends, strict=True)):  # the digits stand beyond the error bar
        ax.annotate(
            f"{height:.2f}", (x, end), (0, 3 if height >= 0 else -3), textcoords="offset points",
            ha="center", va="bottom" if height >= 0 else "top", fontsize=6.5,
        )  # fmt: skip
    ax.axhline(0, color="#444444", lw=0.6)
    ax.set_xticks(range(4), [*names, "KL"])
    ax.set(ylabel="nats", title=r"$\mathrm{KL}(q(z|x)\,\|\,p(z)) = I(x;z) + \mathrm{TC} + \mathrm{DWKL}$")
    ax.tick_params(axis="x", length=0)
    ax.spines["bottom"].set_visible(False)
    ax.margins(y=0.12)
    return figure, ax


@styled
def plot_latent_kl(kl: Values, active: Any = None, *, ax: Axes | None = None) -> Plot:
    """How many nats each latent spends, as bars in latent order.

    Args:
        kl: KL divergence of each latent in nats, ``(d,)``.
        active: which latents are active, ``(d,)`` booleans; the others are grey.
        ax: where to draw; ``None``: a new figure.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``kl`` is no vector.

    Example:
        >>> figure, ax = plot_latent_kl([2.0, 0.0, 1.0], active=[True, False, True])
        >>> len(ax.patches)
        3
    """
    return plot_by_latent(kl, active, ax=ax, label="KL (nats)")
