"""How figures look, and what all drawings need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
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
FEW = 32  # latents that are drawn one by one
MAX_TICKS = 12


def figure_style() -> AbstractContextManager[None]:
    """Context in which figures and axes of one's own look like those of this module.

    Example:
        >>> with figure_style():
        ...     figure = Figure()
        ...     _ = figure.subplots().plot([1.0, 0.0])
    """
    return mpl.rc_context(_STYLE)


def styled(draw: Drawing) -> Drawing:
    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Plot:
        with figure_style():
            return draw(*args, **kwargs)

    return drawn  # type: ignore[return-value]


def as_array(values: Any) -> NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=float)


def as_matrix(values: Any) -> NDArray[Any]:
    matrix = as_array(values)
    matrix = matrix.reshape(1, 1) if matrix.ndim == 0 else matrix  # torchmetrics makes a number of a single entry
    if matrix.ndim != 2:
        raise ValueError(f"a matrix is needed, got shape {matrix.shape}")
    return matrix


def as_vector(values: Any, name: str) -> NDArray[Any]:
    vector = as_array(values)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} must be a non-empty vector, got shape {vector.shape}")
    return vector


def thinned(count: int) -> list[int]:
    """Positions of ticks: all, or evenly spaced ones of which at most a dozen remain."""
    return list(range(0, count, next(_step for _step in _steps() if count <= _step * MAX_TICKS)))


def _steps() -> Iterator[int]:
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


def nice_top(values: NDArray[Any]) -> float:
    """The end of a colour scale: the next of 1, 2 and 5 times a power of ten, so that steps of a training share it.

    Example:
        >>> nice_top(np.array([0.1, 0.37])), nice_top(np.array([0.42])), nice_top(np.array([np.nan]))
        (0.5, 0.5, 0.001)
    """
    finite = values[np.isfinite(values)]
    largest = max(float(finite.max(initial=0.0)), 1e-3)
    power = 10.0 ** np.floor(np.log10(largest * (1 - 1e-9)))
    return float(next(step * power for step in (1.0, 2.0, 5.0, 10.0) if largest <= step * power * (1 + 1e-9)))


def say_if_some(figure: Any, shown: int, count: int, what: str = "latents") -> None:
    """Write ``20 of 64 latents shown`` above a figure that shows some only."""
    if shown < count:
        figure.suptitle(f"{shown} of {count} {what} shown", fontsize=7, color=GREY)


def figure_of(ax: Axes) -> Any:
    figure = ax.get_figure()
    if not isinstance(figure, FigureBase):
        raise ValueError("the axes belong to no figure")
    return figure


def add_colour_bar(image: AxesImage, label: str, ax: Any = None, fraction: float = 0.046, pad: float = 0.03) -> None:
    """A colour bar without a frame, beside the image's axes or beside several."""
    bar = figure_of(image.axes).colorbar(image, ax=image.axes if ax is None else ax, fraction=fraction, pad=pad)
    bar.set_label(label)
    bar.ax.spines["outline"].set_visible(False)
