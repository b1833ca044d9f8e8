"""Figures from computed values: tensors in, matplotlib figures out.

Every function returns ``(figure, axes)``. Without ``ax`` it makes a figure of its own, outside pyplot, so that pyplot's
state and backend are left alone and nothing needs to be closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

Values = Tensor | Sequence[float] | NDArray[Any]
Plot = tuple[Figure, Any]
Drawing = TypeVar("Drawing", bound=Callable[..., Plot])

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"  # Okabe & Ito: safe for colour-blind readers

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.dpi": 120,
    "savefig.dpi": 200,
}
_FEW = 32  # latents that are drawn one by one
_MAX_TICKS = 12


def figure_style() -> AbstractContextManager[None]:
    """Context in which figures and axes of one's own look like those of this module.

    Example:
        >>> with figure_style():
        ...     figure = Figure()
        ...     _ = plot_spectrum([1.0, 0.0], ax=figure.subplots())
    """
    return mpl.rc_context(_STYLE)


def _styled(draw: Drawing) -> Drawing:
    @wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Plot:
        with figure_style():
            return draw(*args, **kwargs)

    return styled  # type: ignore[return-value]


@_styled
def plot_spectrum(
    entropies: Values,
    standard_error: Values | None = None,
    *,
    ax: Axes | None = None,
    per_class: Values | None = None,
    floor: float = -20.0,
) -> Plot:
    """Manifold entropy spectrum: in latent order, and sorted.

    Args:
        entropies: :math:`H_i` in nats, ``(d,)``.
        standard_error: of each, ``(d,)``; two of them are shaded.
        ax: where to draw (latent order only); ``None``: a figure with both orders side by side.
        per_class: ``(C, d)``, drawn as thin lines.
        floor: entropies below this are dead latents, drawn as hollow markers at the bottom, so that they do not
            compress the others.

    Returns:
        The figure and its axes (two of them if ``ax`` is ``None``).

    Raises:
        ValueError: if ``entropies`` is no vector.

    Example:
        >>> figure, (raw, ordered) = plot_spectrum([1.2, 0.3, 2.0])
        >>> ordered.get_title()
        'sorted'
    """
    values = _vector(entropies, "entropies")
    errors = np.zeros_like(values) if standard_error is None else _vector(standard_error, "standard_error")
    errors = np.where(np.isfinite(errors), errors, 0.0)
    classes = np.empty((0, len(values))) if per_class is None else _array(per_class)
    descending = np.argsort(-values, kind="stable")
    if ax is not None:
        _draw_spectrum(ax, values, errors, classes, floor)
        ax.set(xlabel="latent", ylabel="manifold entropy $H_i$ (nats)")
        return _figure_of(ax), ax
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    raw, ordered = figure.subplots(1, 2, sharey=True)
    _draw_spectrum(raw, values, errors, classes, floor)
    _draw_spectrum(ordered, values[descending], errors[descending], classes[:, descending], floor, line=True)
    raw.set(title="in latent order", xlabel="latent $i$", ylabel="manifold entropy $H_i$ (nats)")
    ordered.set(title="sorted", xlabel="rank")
    if len(values) <= _FEW:  # the latents' names still fit
        shown = _thinned(len(values))
        ordered.set_xticks(shown, [str(descending[i]) for i in shown])
        ordered.set_xlabel("latent $i$, by entropy")
    return figure, np.array([raw, ordered])


def _draw_spectrum(
    ax: Axes, values: NDArray, errors: NDArray, classes: NDArray, floor: float, line: bool = False
) -> None:
    index = np.arange(len(values))
    alive = values > floor
    bottom = values[alive].min() if alive.any() else 0.0
    few = len(values) <= _FEW
    style: dict[str, Any] = {"ls": "-" if line else "", "marker": "o" if few or not line else ""}
    for of_class in classes:
        visible = np.where(of_class > floor, of_class, np.nan)
        ax.plot(index, visible, color=GREY, lw=0.6, alpha=0.6, ms=1.5, zorder=1, **style)
    shown = np.where(alive, values, np.nan)
    if line:
        ax.fill_between(index, shown - 2 * errors, shown + 2 * errors, color=BLUE, alpha=0.25, lw=0)
    else:
        ax.vlines(index, shown - 2 * errors, shown + 2 * errors, color=BLUE, alpha=0.4, lw=1.0)
    ax.plot(index, shown, color=BLUE, lw=1.0, ms=3.5 if few else 1.5, zorder=3, **style)
    if not alive.all():
        span = float(np.ptp(values[alive])) if alive.sum() > 1 else 1.0
        height = bottom - 0.15 * max(span, 1.0)
        dead = index[~alive]
        ax.plot(dead, np.full(len(dead), height), "o", mfc="white", mec=GREY, ms=3.5 if few else 2, label="dead")
        ax.legend(loc="best")
    if few:
        ax.set_xticks(_thinned(len(values)))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.margins(x=0.04)
    ax.grid(axis="y", color="#E5E5E5", lw=0.5)
    ax.set_axisbelow(True)


@_styled
def plot_pairwise(
    matrix: Values,
    *,
    order: Values | None = None,
    ax: Axes | None = None,
    label: str = "MPMI (nats)",
    row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None,
    square: bool = True,
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
    values = _array(matrix)
    if values.ndim != 2:
        raise ValueError(f"a matrix is needed, got shape {values.shape}")
    rows = list(range(values.shape[0])) if row_labels is None else list(row_labels)
    columns = list(range(values.shape[1])) if column_labels is None else list(column_labels)
    symmetric = square and values.shape[0] == values.shape[1] and np.allclose(np.diag(values), 0)
    if symmetric:
        values = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    if order is not None:
        permutation = _vector(order, "order").astype(int)
        values = values[np.ix_(permutation, permutation)]
        rows, columns = [rows[i] for i in permutation], [columns[i] for i in permutation]
    height = float(np.clip(0.32 * len(values) + 0.8, 2.6, 4.2))
    width = float(np.clip(height * values.shape[1] / len(values), 2.4, 7.0)) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained") if ax is None else _figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    colours = mpl.colormaps["magma_r"].with_extremes(bad="#DDDDDD")
    finite = values[np.isfinite(values)]
    top = max(float(finite.max()) if finite.size else 0.0, 1e-3)
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=top, interpolation="nearest")
    bar = figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label(label)
    bar.outline.set_visible(False)
    for axis, names in ((ax.xaxis, columns), (ax.yaxis, rows)):
        shown = _thinned(len(names))
        axis.set_ticks(shown, [str(names[i]) for i in shown])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if max(values.shape) <= 8:
        _annotate(ax, values, top)
    if row_labels is None and column_labels is None:
        ax.set(xlabel="latent", ylabel="latent")
    return figure, ax


def _annotate(ax: Axes, values: NDArray, top: float) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = "0" if value < 0.005 else f"{value:.2f}"
            ax.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if value > 0.5 * top else "#333333",
            )


@_styled
def plot_decomposition(
    parts: Values, total: Any, mutual_information: Any, *, labels: Sequence[str] | None = None, ax: Axes | None = None
) -> Plot:
    """Entropic decomposition as bars: the parts' entropies, what they share, and the total.

    Args:
        parts: entropies :math:`H(q_S)` in nats, ``(P,)``.
        total: :math:`H` in nats.
        mutual_information: what the parts share: ``sum(parts) - total``, in nats.
        labels: names of the parts; by default their numbers.
        ax: where to draw; ``None``: a new figure.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if ``parts`` is no vector or the labels do not fit.

    Example:
        >>> figure, ax = plot_decomposition([1.0, 0.5], 1.2, 0.3)
        >>> len(ax.patches)
        4
    """
    values = _vector(parts, "parts")
    names = [str(i) for i in range(len(values))] if labels is None else list(labels)
    if len(names) != len(values):
        raise ValueError(f"{len(values)} parts need as many labels, got {len(names)}")
    shared, whole = float(mutual_information), float(total)
    width = float(np.clip(0.28 * len(values) + 2.2, 3.0, 6.4))
    figure = Figure(figsize=(width, 2.6), layout="constrained") if ax is None else _figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    position = np.arange(len(values), dtype=float)
    spacing = max(1.0, 0.13 * len(values))  # room for the names of the last two
    ends = len(values) - 0.4 + spacing * np.array([1.0, 2.0])
    ax.bar(position, values, width=0.7, color=BLUE)
    ax.bar(ends, [shared, whole], width=0.7, color=[ORANGE, "#333333"])
    if len(values) <= 10:
        for x, value in zip([*position, *ends], [*values, shared, whole], strict=True):
            ax.annotate(
                f"{value:.2f}", (x, value), (0, 2 if value >= 0 else -2), textcoords="offset points",
                ha="center", va="bottom" if value >= 0 else "top", fontsize=6.5,
            )  # fmt: skip
    ax.axhline(0, color="#444444", lw=0.6)
    shown = _thinned(len(values))
    ax.set_xticks([*position[shown], *ends], [*(names[i] for i in shown), "shared", "total"])
    if max(map(len, names)) > 3:
        ax.tick_params(axis="x", rotation=45)
    ax.set(ylabel="nats", title=r"$H = \sum_S H(q_S) - \mathrm{MTC}$", xlabel="entropy of each part of the latents")
    ax.tick_params(axis="x", length=0)
    ax.spines["bottom"].set_visible(False)
    ax.margins(y=0.12)
    return figure, ax


@_styled
def plot_jacobian_columns(
    columns: Tensor,
    image_shape: Sequence[int],
    *,
    order: Values | None = None,
    entropies: Values | None = None,
    max_columns: int = 20,
    ax: Axes | None = None,
) -> Plot:
    """Columns of an averaged decoder Jacobian as images: what each latent adds to the data.

    Each image has its own symmetric scale around zero (red adds, blue takes away), for the columns' lengths, which the
    entropies tell, differ by orders of magnitude. Of three channels the picture is RGB around grey.

    Args:
        columns: ``(D, d)``.
        image_shape: shape of the data, ``(H, W)`` or ``(channels, H, W)`` with 1 or 3 channels.
        order: which latents to show, most important first; by default by the columns' lengths.
        entropies: :math:`H_i` in nats, written above the images, ``(d,)``.
        max_columns: how many to show.
        ax: where to draw, as one mosaic; ``None``: a new figure with one panel for each.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if the shape does not fit the data.

    Example:
        >>> import torch
        >>> figure, axes = plot_jacobian_columns(torch.eye(16), (4, 4), max_columns=3)
        >>> [ax.get_title() for ax in axes]
        ['latent 0', 'latent 1', 'latent 2']
    """
    shape = tuple(image_shape)[-3:] if len(image_shape) > 2 else (1, *image_shape)
    if len(shape) != 3 or math.prod(shape) != len(columns) or shape[0] not in (1, 3):
        raise ValueError(
            f"image_shape must be (H, W), (1, H, W) or (3, H, W) with {len(columns)} values, got {tuple(image_shape)}"
        )
    if order is None:
        order = columns.norm(dim=0).argsort(descending=True, stable=True)
    chosen = _vector(order, "order").astype(int)[:max_columns]
    pictures = [_picture(columns[:, i].reshape(shape)) for i in chosen]
    if ax is not None:
        pad = [(1, 1), (1, 1), (0, 0)][: pictures[0].ndim]
        ax.imshow(
            np.concatenate([np.pad(picture, pad, constant_values=0) for picture in pictures], axis=1), **_DIVERGING
        )
        ax.set_axis_off()
        return _figure_of(ax), ax
    across = min(len(chosen), 10)
    down = math.ceil(len(chosen) / across)
    figure = Figure(figsize=(max(0.78 * across, 2.0), 1.0 * down + 0.1), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for panel in grid:
        panel.set_axis_off()
    heights = None if entropies is None else _vector(entropies, "entropies")
    for panel, latent, picture in zip(grid, chosen, pictures, strict=False):
        panel.imshow(picture, **_DIVERGING)
        panel.set_title(f"latent {latent}" + ("" if heights is None else f"\n{heights[latent]:.2f} nats"), fontsize=6.5)
    return figure, grid


_DIVERGING: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1.0, "vmax": 1.0, "interpolation": "nearest"}


def _picture(column: Tensor) -> NDArray:
    values = _array(column)
    values = values / max(float(np.abs(values).max()), 1e-30)
    return values[0] if len(values) == 1 else 0.5 + 0.5 * values.transpose(1, 2, 0)


@_styled
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
    values = np.array([float(v) for v in value]) if isinstance(value, Sequence) else _array(value).reshape(-1)
    if values.size == 0 or (not isinstance(value, Sequence) and values.size > 1):
        raise ValueError("a number or a sequence of numbers is needed")
    figure = Figure(figsize=(3.2, 2.4), layout="constrained") if ax is None else _figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    if len(values) == 1:
        error = 0.0 if standard_error is None else float(standard_error)
        ax.errorbar([0], values, yerr=2 * error if math.isfinite(error) else None, fmt="o", color=BLUE, ms=4, capsize=3)
        ax.set(xticks=[], ylabel=label)
    else:
        ax.plot(values, color=BLUE, lw=1.2, marker="o" if len(values) <= _FEW else "", ms=3.5)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set(xlabel="step", ylabel=label)
    return figure, ax


def _array(values: Any) -> NDArray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=float)


def _vector(values: Any, name: str) -> NDArray:
    vector = _array(values)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} must be a non-empty vector, got shape {vector.shape}")
    return vector


def _thinned(count: int) -> list[int]:
    """Positions of ticks: all, or every so many that at most a dozen remain."""
    return list(range(0, count, next(_step for _step in _steps() if count <= _step * _MAX_TICKS)))


def _steps() -> Iterator[int]:
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


def _figure_of(ax: Axes) -> Any:
    figure = ax.get_figure()
    if not isinstance(figure, FigureBase):
        raise ValueError("the axes belong to no figure")
    return figure
