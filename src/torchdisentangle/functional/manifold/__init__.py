"""Jacobians of decoders, volumes of their tangent vectors, and manifold entropic metrics."""

from torchdisentangle.functional.manifold.compositionality import (
    compositional_contrast,
)
from torchdisentangle.functional.manifold.entropy import (
    EntropicDecomposition,
    entropic_decomposition,
    manifold_entropy,
    manifold_entropy_spectrum,
    manifold_mutual_information,
    manifold_total_correlation,
)
from torchdisentangle.functional.manifold.gram import gram_matrix, log_column_norms, log_volume, tangent_correlation
from torchdisentangle.functional.manifold.independent_mechanisms import (
    ima_contrast,
    inverse_jacobian,
    jacobian_amari_distance,
)
from torchdisentangle.functional.manifold.jacobian import decoder_jacobian, decoder_jacobian_chunks
from torchdisentangle.functional.manifold.orthogonality import (
    distance_to_orthogonality,
)
from torchdisentangle.functional.manifold.pairs import (
    manifold_cross_pairwise_mutual_information,
    manifold_pairwise_mutual_information,
    match_latents,
    matched_orders,
)
from torchdisentangle.functional.manifold.path_length import (
    latent_path_length,
)
from torchdisentangle.functional.manifold.probes import probed_jacobian, probed_jacobian_chunks
from torchdisentangle.functional.manifold.spectrum import active_latents, effective_dimension, principal_spectrum

__all__ = [
    "EntropicDecomposition",
    "active_latents",
    "compositional_contrast",
    "decoder_jacobian",
    "decoder_jacobian_chunks",
    "distance_to_orthogonality",
    "effective_dimension",
    "entropic_decomposition",
    "gram_matrix",
    "ima_contrast",
    "inverse_jacobian",
    "jacobian_amari_distance",
    "latent_path_length",
    "log_column_norms",
    "log_volume",
    "manifold_cross_pairwise_mutual_information",
    "manifold_entropy",
    "manifold_entropy_spectrum",
    "manifold_mutual_information",
    "manifold_pairwise_mutual_information",
    "manifold_total_correlation",
    "match_latents",
    "matched_orders",
    "principal_spectrum",
    "probed_jacobian",
    "probed_jacobian_chunks",
    "tangent_correlation",
]
