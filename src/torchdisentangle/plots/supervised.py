"""Figures of codes against known factors."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from torchdisentangle.plots.matrix import plot_pairwise
from torchdisentangle.plots.style import Plot, Values, as_array, styled


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
