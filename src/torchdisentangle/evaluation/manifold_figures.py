"""Figures of manifold metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from torchdisentangle.functional.manifold.entropy import EntropicDecomposition
from torchdisentangle.plots import plot_decomposition, plot_jacobian_columns, plot_pairwise, plot_spectrum

_MOST_BARS = 16  # single latents whose entropies are drawn as bars


def manifold_figures(
    values: Mapping[str, Tensor],
    errors: Mapping[str, Tensor],
    decomposition: EntropicDecomposition,
    *,
    image_shape: Sequence[int] | None,
    part_names: Sequence[str] | None,
    normalize: bool,
) -> dict[str, Callable[[], Any]]:
    """Functions that draw the figures of an evaluation.

    Args:
        values: of the metrics, by the members' names.
        errors: standard errors, by the same names.
        decomposition: of the total entropy.
        image_shape: shape of the data if they are images.
        part_names: of the partition, if there is one.
        normalize: whether the pairwise values are Linfoot coefficients.

    Returns:
        Functions by the figures' names.
    """
    spectrum = values["spectrum"]
    order = spectrum.argsort(descending=True, stable=True)
    label = "MPMI (Linfoot coefficient)" if normalize else "MPMI (nats)"
    figures: dict[str, Callable[[], Any]] = {
        "spectrum": partial(plot_spectrum, spectrum, errors["spectrum"]),
        "pairwise": partial(plot_pairwise, values["pairwise"], order=order, label=label),
    }
    if decomposition.total.isfinite() and (part_names is not None or len(spectrum) <= _MOST_BARS):
        figures["decomposition"] = partial(plot_decomposition, *decomposition, labels=part_names)
    if "mean_jacobian" in values:
        figures["mean_jacobian"] = partial(
            plot_jacobian_columns, values["mean_jacobian"], image_shape or (), order=order, entropies=spectrum
        )
    return figures


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of data if they are images of one or three channels.

    Example:
        >>> image_shape((8, 8)), image_shape((64,))
        ((1, 8, 8), None)
    """
    shape = (1, *shape) if len(shape) == 2 else shape
    return shape if len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 1 else None
