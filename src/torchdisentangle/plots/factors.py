"""Latents against known factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from torchdisentangle.plots.style import BLUE, GREEN, GREY, ORANGE, Plot, Values, as_array, say_if_some, styled

_POSITIONS = (("x", "y"), ("pos_x", "pos_y"), ("posX", "posY"), ("position_x", "position_y"))
_COLOURING = ("shape", "object_shape", "object_type")
_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", GREY)  # Okabe & Ito
_MOST_VALUES = 40  # of a factor that are drawn one by one; more are binned
_NUM_BINS = 20
_ROWS_OF_CELL = 4  # at least, on average


@styled
def plot_latents_against_factors(
    codes: Values,
    factors: Values,
    factor_names: Sequence[str] | None = None,
    *,
    latents: Sequence[int] | None = None,
    most_latents: int = 10,
    position: tuple[str, str] | None = None,
    colour_by: str | None = None,
) -> Plot:
    """Mean of each latent for every value of each factor: one row for a latent, one column for a factor.

    Two factors that are a position share a column, a map of the latent's mean over the plane. With a factor to colour
    by, such as the shape, the other factors have one curve for each of its values. What a disentangled latent shows:
    structure in one column, and nothing in the others.

    Args:
        codes: ``(n, D)``.
        factors: ``(n, F)``. Factors with more than 40 values are binned.
        factor_names: of the columns; by default their numbers.
        latents: which to draw, in this order; by default those whose mean depends on some factor most.
        most_latents: how many of them.
        position: names of the horizontal and the vertical factor; by default such as ``("x", "y")``, if there are any.
        colour_by: name of the factor that curves are coloured by; by default ``"shape"``, if there is one of at most
            eight values.

    Returns:
        The figure and its axes, ``(latents, columns)``.

    Raises:
        ValueError: if shapes or names do not fit.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018, Figure 5.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> factors = rng.integers([3, 6, 8, 8], size=(2000, 4))
        >>> figure, axes = plot_latents_against_factors(factors[:, 1:] + 0.5, factors, ["shape", "scale", "x", "y"])
        >>> axes.shape, [ax.get_title() for ax in axes[0]]
        ((3, 2), ['x, y', 'scale'])
    """
    z, y = as_array(codes), as_array(factors)
    y = y[:, None] if y.ndim == 1 else y
    if z.ndim != 2 or y.ndim != 2 or len(z) != len(y) or len(z) == 0:
        raise ValueError(f"codes (n, D) and factors (n, F) of the same rows are needed, got {z.shape} and {y.shape}")
    names = [str(f) for f in range(y.shape[1])] if factor_names is None else list(factor_names)
    if len(names) != y.shape[1]:
        raise ValueError(f"{y.shape[1]} factors need as many names, got {names}")
    columns = {name: _binned(values) for name, values in zip(names, y.T, strict=True)}
    position = _position(names, position)
    colour = _colour(columns, colour_by)
    chosen = _most_dependent(z, columns)[:most_latents] if latents is None else list(latents)
    if not chosen or not all(0 <= latent < z.shape[1] for latent in chosen):
        raise ValueError(f"latents must be among the {z.shape[1]} there are, got {chosen}")
    curves = [name for name in names if name not in (*(position or ()), colour)] or ([colour] if colour else [])
    titles = ([f"{position[0]}, {position[1]}"] if position else []) + curves
    figure = Figure(figsize=(1.35 * len(titles) + 0.7, 1.05 * len(chosen) + 0.5), layout="constrained")
    axes = figure.subplots(len(chosen), len(titles), squeeze=False)
    for number, (row, latent) in enumerate(zip(axes, chosen, strict=True), start=1):
        hue = colour if colour not in curves else None
        _draw_latent(row, z[:, latent], columns, position, hue, curves, last=number == len(chosen))
        row[0].set_ylabel(f"latent {latent}")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(f"factor {title}" if title.isdecimal() else title)
    figure.align_ylabels(axes[:, 0])
    say_if_some(figure, len(chosen), z.shape[1])
    if colour and colour not in curves:
        _legend(figure, colour, columns[colour])
    return figure, axes


def _draw_latent(
    row: NDArray[Any],
    z: NDArray[Any],
    columns: dict[str, NDArray[Any]],
    position: tuple[str, str] | None,
    colour: str | None,
    curves: list[str],
    last: bool,
) -> None:
    low, high = z.mean() - 2 * z.std(), z.mean() + 2 * z.std()  # so that what is noise looks like noise
    low, high = (low, high) if high - low > 1e-6 * max(abs(low), abs(high), 1e-6) else (low - 0.5, high + 0.5)
    panels = list(row)
    if position is not None:
        ax = panels.pop(0)
        colours = mpl.colormaps["RdBu_r"].with_extremes(bad="#DDDDDD")
        plane = _map(z, columns[position[0]], columns[position[1]])
        ax.imshow(plane, cmap=colours, vmin=low, vmax=high, interpolation="nearest", aspect="auto")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, name in zip(panels, curves, strict=True):
        if colour is None:
            ax.plot(*_means(z, columns[name]), color=BLUE, lw=1.2, marker=".", ms=3)
        else:
            for number, value in enumerate(np.unique(columns[colour])):
                group = columns[colour] == value
                ax.plot(*_means(z[group], columns[name][group]), color=_COLOURS[number], lw=1.0, marker=".", ms=2.5)
        ax.set_ylim(low, high)
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.tick_params(labelsize=6, labelleft=ax is panels[0], labelbottom=last)


def _legend(figure: Figure, name: str, values: NDArray[Any]) -> None:
    handles = [
        Line2D([], [], color=_COLOURS[number], label=f"{name} {value:g}")
        for number, value in enumerate(np.unique(values))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))


def _binned(values: NDArray[Any]) -> NDArray[Any]:
    """The values, or of more than a few the middles of equally wide bins."""
    if len(np.unique(values)) <= _MOST_VALUES:
        return values
    edges = np.linspace(values.min(), values.max(), _NUM_BINS + 1)
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _NUM_BINS - 1)
    return 0.5 * (edges[:-1] + edges[1:])[bins]


def _means(z: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values there are, and the mean of the latent at each."""
    there, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return there, np.bincount(inverse, weights=z) / counts


def _map(z: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Mean of the latent in each cell, NaN in cells without rows; cells are as large as a handful of rows needs."""
    columns, rows = (np.unique(values, return_inverse=True)[1] for values in (x, y))
    while len(z) < _ROWS_OF_CELL * (columns.max() + 1) * (rows.max() + 1) and max(columns.max(), rows.max()) > 2:
        columns, rows = columns // 2, rows // 2
    width, height = columns.max() + 1, rows.max() + 1
    cell = rows * width + columns
    counts = np.bincount(cell, minlength=width * height)
    means = np.bincount(cell, weights=z, minlength=width * height) / np.maximum(counts, 1)
    return np.where(counts > 0, means, np.nan).reshape(height, width)


def _most_dependent(z: NDArray[Any], columns: dict[str, NDArray[Any]]) -> list[int]:
    """Latents by the largest share of their variance that a factor's value explains."""
    explained = []
    for latent in z.T:
        variance = max(float(latent.var()), 1e-30)
        explained.append(max(float(_spread(latent, values)) / variance for values in columns.values()))
    return [int(latent) for latent in np.argsort(-np.array(explained), kind="stable")]


def _spread(z: NDArray[Any], values: NDArray[Any]) -> float:
    _, inverse = np.unique(values, return_inverse=True)
    return float(_means(z, values)[1][inverse].var())


def _position(names: Sequence[str], position: tuple[str, str] | None) -> tuple[str, str] | None:
    if position is not None and not set(position) <= set(names):
        raise ValueError(f"position names the factors {position}, there are {list(names)}")
    return position or next((pair for pair in _POSITIONS if set(pair) <= set(names)), None)


def _colour(columns: dict[str, NDArray[Any]], colour_by: str | None) -> str | None:
    if colour_by is not None and colour_by not in columns:
        raise ValueError(f"colour_by names the factor {colour_by!r}, there are {list(columns)}")
    few = [name for name, values in columns.items() if len(np.unique(values)) <= len(_COLOURS)]
    if colour_by is not None and colour_by not in few:
        raise ValueError(f"{colour_by!r} has more than {len(_COLOURS)} values, too many for colours")
    return colour_by or next((name for name in _COLOURING if name in few), None)
