"""What a decoder makes of latents that are moved one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from torchdisentangle.plots.style import BLUE, FEW, Plot, Values, as_array, as_vector, figure_of, say_if_some, styled


@styled
def plot_traversals(
    data: Tensor,
    values: Values,
    *,
    labels: Sequence[Any] | None = None,
    num_latents: int | None = None,
    ax: Axes | None = None,
) -> Plot:
    """Latent traversals: a row for each latent, a column for each value that it is moved to.

    Images, ``(channels, H, W)`` with one or three channels, are shown as one mosaic. Other data are drawn as curves
    over their entries, one panel for each latent, light for small values and dark for large ones.

    Args:
        data: decoded latents, ``(rows, steps, *data_shape)``.
        values: that the latents were moved to, ``(steps,)``.
        labels: names of the rows; by default their numbers.
        num_latents: how many there are, to say so if not all are shown.
        ax: where to draw (images only); ``None``: a new figure.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: if values or labels do not fit the data, or data that are no images are to be drawn into one panel.

    Example:
        >>> import torch
        >>> figure, ax = plot_traversals(torch.rand(3, 5, 1, 8, 8), [-2, -1, 0, 1, 2])
        >>> ax.get_ylabel()
        'latent'
    """
    steps = as_vector(values, "values")
    names = [str(i) for i in range(len(data))] if labels is None else [str(label) for label in labels]
    if data.ndim < 3 or data.shape[:2] != (len(names), len(steps)):
        raise ValueError(f"data must have shape ({len(names)}, {len(steps)}, *data_shape), got {tuple(data.shape)}")
    array = as_array(data)
    if data.ndim == 5 and data.shape[2] in (1, 3):
        figure, axes = _images(array, steps, names, ax)
    elif ax is not None:
        raise ValueError("only images can be drawn into a given panel")
    else:
        figure, axes = _curves(array.reshape(*array.shape[:2], -1), steps, names)
    if ax is None and num_latents is not None:
        say_if_some(figure, len(names), num_latents)
    return figure, axes


def _images(data: NDArray, steps: NDArray, names: list[str], ax: Axes | None) -> Plot:
    rows, columns, channels, height, width = data.shape
    canvas: NDArray = data.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    low, high = float(canvas.min()), float(canvas.max())
    if low < 0 or high > 1:  # data that are not in [0, 1] are stretched to it
        canvas = (canvas - low) / max(high - low, 1e-12)
    size = (min(max(0.5 * columns, 2.0), 6.4), min(max(0.5 * rows * height / width, 1.0), 8.0) + 0.5)
    figure = Figure(figsize=size, layout="constrained") if ax is None else figure_of(ax)
    ax = figure.subplots() if ax is None else ax
    picture = canvas[..., 0] if channels == 1 else canvas
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0), interpolation="nearest")
    shown = sorted({0, columns // 2, columns - 1})
    ax.set_xticks([i + 0.5 for i in shown], [f"{steps[i]:g}" for i in shown])
    ax.set_yticks([i + 0.5 for i in range(rows)], names)
    ax.set_aspect(height / width)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="value of the latent", ylabel="latent")
    return figure, ax


def _curves(data: NDArray, steps: NDArray, names: list[str]) -> Plot:
    across = min(len(names), 5)
    down = -(-len(names) // across)
    figure = Figure(figsize=(1.5 * across + 0.3, 1.2 * down + 0.3), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    shades = np.linspace(0.15, 1.0, len(steps))
    for ax, of_latent, name in zip(grid.flat, data, names, strict=False):
        for curve, shade in zip(of_latent, shades, strict=True):
            ax.plot(curve, color=BLUE, alpha=shade, lw=0.9, marker="o" if len(curve) <= FEW else "", ms=2)
        ax.set_title(f"latent {name}", fontsize=7)
    for ax in grid.flat[len(names) :]:
        ax.set_axis_off()
    for ax in grid[-1]:
        ax.set_xlabel("entry")
    return figure, grid
