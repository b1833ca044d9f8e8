"""Figures of the manifold metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from torchdisentangle.plots.style import (
    BLUE,
    FEW,
    GREY,
    ORANGE,
    Plot,
    Values,
    as_array,
    as_vector,
    figure_of,
    say_if_some,
    styled,
    thinned,
)


@styled
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
    values = as_vector(entropies, "entropies")
    errors = np.zeros_like(values) if standard_error is None else as_vector(standard_error, "standard_error")
    errors = np.where(np.isfinite(errors), errors, 0.0)
    classes = np.empty((0, len(values))) if per_class is None else as_array(per_class)
    descending = np.argsort(-values, kind="stable")
    if ax is not None:
        _draw_spectrum(ax, values, errors, classes, floor)
        ax.set(xlabel="latent", ylabel="manifold entropy $H_i$ (nats)")
        return figure_of(ax), ax
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    raw, ordered = figure.subplots(1, 2, sharey=True)
    _draw_spectrum(raw, values, errors, classes, floor)
    _draw_spectrum(ordered, values[descending], errors[descending], classes[:, descending], floor, line=True)
    raw.set(title="in latent order", xlabel="latent $i$", ylabel="manifold entropy $H_i$ (nats)")
    ordered.set(title="sorted", xlabel="rank")
    if len(values) <= FEW:  # the latents' names still fit
        shown = thinned(len(values))
        ordered.set_xticks(shown, [str(descending[i]) for i in shown])
        ordered.set_xlabel("latent $i$, by entropy")
    return figure, np.array([raw, ordered])


def _draw_spectrum(
    ax: Axes, values: NDArray, errors: NDArray, classes: NDArray, floor: float, line: bool = False
) -> None:
    index = np.arange(len(values))
    alive = values > floor
    bottom = values[alive].min() if alive.any() else 0.0
    few = len(values) <= FEW
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
        ax.set_xticks(thinned(len(values)))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.margins(x=0.04)
    ax.grid(axis="y", color="#E5E5E5", lw=0.5)
    ax.set_axisbelow(True)


@styled
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
    values = as_vector(parts, "parts")
    names = [str(i) for i in range(len(values))] if labels is None else list(labels)
    if len(names) != len(values):
        raise ValueError(f"{len(values)} parts need as many labels, got {len(names)}")
    shared, whole = float(mutual_information), float(total)
    width = float(np.clip(0.28 * len(values) + 2.2, 3.0, 6.4))
    figure = Figure(figsize=(width, 2.6), layout="constrained") if ax is None else figure_of(ax)
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
    shown = thinned(len(values))
    ax.set_xticks([*position[shown], *ends], [*(names[i] for i in shown), "shared", "total"])
    if max(map(len, names)) > 3:
        ax.tick_params(axis="x", rotation=45)
    ax.set(ylabel="nats", title=r"$H = \sum_S H(q_S) - \mathrm{MTC}$", xlabel="entropy of each part of the latents")
    ax.tick_params(axis="x", length=0)
    ax.spines["bottom"].set_visible(False)
    ax.margins(y=0.12)
    return figure, ax


@styled
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
    chosen = as_vector(order, "order").astype(int)[:max_columns]
    pictures = [_picture(columns[:, i].reshape(shape)) for i in chosen]
    if ax is not None:
        pad = [(1, 1), (1, 1), (0, 0)][: pictures[0].ndim]
        ax.imshow(
            np.concatenate([np.pad(picture, pad, constant_values=0) for picture in pictures], axis=1), **_DIVERGING
        )
        ax.set_axis_off()
        return figure_of(ax), ax
    across = min(len(chosen), 10)
    down = math.ceil(len(chosen) / across)
    figure = Figure(figsize=(max(0.78 * across, 2.0), 1.0 * down + 0.1), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for panel in grid:
        panel.set_axis_off()
    heights = None if entropies is None else as_vector(entropies, "entropies")
    say_if_some(figure, len(chosen), columns.shape[1])
    for panel, latent, picture in zip(grid, chosen, pictures, strict=False):
        panel.imshow(picture, aspect="auto" if len(picture) == 1 else "equal", **_DIVERGING)  # data that are no image
        panel.set_title(f"latent {latent}" + ("" if heights is None else f"\n{heights[latent]:.2f} nats"), fontsize=6.5)
    return figure, grid


_DIVERGING: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1.0, "vmax": 1.0, "interpolation": "nearest"}


def _picture(column: Tensor) -> NDArray:
    values = as_array(column)
    values = values / max(float(np.abs(values).max()), 1e-30)
    return values[0] if len(values) == 1 else 0.5 + 0.5 * values.transpose(1, 2, 0)
