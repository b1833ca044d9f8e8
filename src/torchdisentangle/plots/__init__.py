"""Figures from computed values: tensors in, matplotlib figures out.

Every function returns ``(figure, axes)``. Without ``ax`` it makes a figure of its own, outside pyplot, so that pyplot's
state and backend are left alone and nothing needs to be closed.
"""

from torchdisentangle.plots.manifold import plot_decomposition, plot_jacobian_columns, plot_spectrum
from torchdisentangle.plots.matrix import plot_pairwise
from torchdisentangle.plots.scalar import plot_scalar
from torchdisentangle.plots.style import BLUE, GREEN, GREY, ORANGE, figure_style
from torchdisentangle.plots.topology import plot_coclustering, plot_living_times

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "figure_style",
    "plot_coclustering",
    "plot_decomposition",
    "plot_jacobian_columns",
    "plot_living_times",
    "plot_pairwise",
    "plot_scalar",
    "plot_spectrum",
]
