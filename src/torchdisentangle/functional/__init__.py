"""Formulas: tensors in, tensors out; no state, no logging, no process groups."""

from torchdisentangle.functional.bhattacharyya import (
    bhattacharyya_coefficients,
    bhattacharyya_distance,
    continuity,
    label_coefficients,
    space_coefficients,
)
from torchdisentangle.functional.channels import (
    ChannelComparison,
    channel_information,
    compare_channels,
    compare_posteriors,
    compare_with_labels,
    joint_information,
    normalized_mutual_information,
    variation_of_information,
)
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
from torchdisentangle.functional.monte_carlo import SpaceSimilarity, space_information, space_similarity

__all__ = [
    "ChannelComparison",
    "EntropicDecomposition",
    "SpaceSimilarity",
    "active_latents",
    "bhattacharyya_coefficients",
    "bhattacharyya_distance",
    "channel_information",
    "compare_channels",
    "compare_posteriors",
    "compare_with_labels",
    "continuity",
    "decoder_jacobian",
    "decoder_jacobian_chunks",
    "effective_dimension",
    "entropic_decomposition",
    "gram_matrix",
    "joint_information",
    "label_coefficients",
    "log_column_norms",
    "log_volume",
    "manifold_cross_pairwise_mutual_information",
    "manifold_entropy",
    "manifold_entropy_spectrum",
    "manifold_mutual_information",
    "manifold_pairwise_mutual_information",
    "manifold_total_correlation",
    "match_latents",
    "normalized_mutual_information",
    "space_coefficients",
    "space_information",
    "space_similarity",
    "tangent_correlation",
    "variation_of_information",
]
