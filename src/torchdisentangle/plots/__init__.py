"""Figures from computed values: tensors in, matplotlib figures out.

Every function returns ``(figure, axes)``. Without ``ax`` it makes a figure of its own, outside pyplot, so that pyplot's
state and backend are left alone and nothing needs to be closed.
"""

from torchdisentangle.plots.elbo import plot_elbo_decomposition, plot_latent_kl
from torchdisentangle.plots.informativeness import plot_independence, plot_informativeness
from torchdisentangle.plots.manifold import plot_decomposition, plot_jacobian_columns, plot_spectrum
from torchdisentangle.plots.matrix import plot_pairwise
from torchdisentangle.plots.runs import plot_runs
from torchdisentangle.plots.scalar import plot_by_latent, plot_scalar
from torchdisentangle.plots.similarity import plot_coefficients, plot_similarity
from torchdisentangle.plots.style import BLUE, GREEN, GREY, ORANGE, figure_style
from torchdisentangle.plots.supervised import plot_factor_matrix, plot_scores
from torchdisentangle.plots.topology import plot_coclustering, plot_living_times
from torchdisentangle.plots.traversal import plot_traversals

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "figure_style",
    "plot_by_latent",
    "plot_coclustering",
    "plot_coefficients",
    "plot_decomposition",
    "plot_elbo_decomposition",
    "plot_factor_matrix",
    "plot_independence",
    "plot_informativeness",
    "plot_jacobian_columns",
    "plot_latent_kl",
    "plot_living_times",
    "plot_pairwise",
    "plot_runs",
    "plot_scalar",
    "plot_scores",
    "plot_similarity",
    "plot_spectrum",
    "plot_traversals",
]
