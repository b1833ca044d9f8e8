"""Formulas: tensors in, tensors out; no state, no logging, no process groups."""

from torchdisentangle.functional.gram import gram_matrix, log_column_norms, log_volume, tangent_correlation
from torchdisentangle.functional.jacobian import decoder_jacobian, decoder_jacobian_chunks
from torchdisentangle.functional.manifold import (
    EntropicDecomposition,
    active_latents,
    effective_dimension,
    entropic_decomposition,
    manifold_cross_pairwise_mutual_information,
    manifold_entropy,
    manifold_entropy_spectrum,
    manifold_mutual_information,
    manifold_pairwise_mutual_information,
    manifold_total_correlation,
    match_latents,
)
from torchdisentangle.functional.probes import probed_jacobian, probed_jacobian_chunks

__all__ = [
    "EntropicDecomposition",
    "active_latents",
    "decoder_jacobian",
    "decoder_jacobian_chunks",
    "effective_dimension",
    "entropic_decomposition",
    "gram_matrix",
    "log_column_norms",
    "log_volume",
    "manifold_cross_pairwise_mutual_information",
    "manifold_entropy",
    "manifold_entropy_spectrum",
    "manifold_mutual_information",
    "manifold_pairwise_mutual_information",
    "manifold_total_correlation",
    "match_latents",
    "probed_jacobian",
    "probed_jacobian_chunks",
    "tangent_correlation",
]
