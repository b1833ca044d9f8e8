"""Formulas: tensors in, tensors out; no state, no logging, no process groups."""

from torchdisentangle.functional.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.bhattacharyya import (
    bhattacharyya_coefficients,
    bhattacharyya_distance,
    continuity,
    label_coefficients,
    space_coefficients,
)
from torchdisentangle.functional.binning import (
    assign_bins,
    assign_equal_bins,
    density_bins,
    equal_width_edges,
    normal_quantile_edges,
    soft_bins,
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
from torchdisentangle.functional.coclustering import CoClustering, block_score, co_cluster
from torchdisentangle.functional.correlation import gaussian_total_correlation, gaussian_wasserstein_correlation
from torchdisentangle.functional.counts import joint_counts, joint_weights
from torchdisentangle.functional.elbo import (
    ELBOTerms,
    elbo_decomposition,
    elbo_terms,
    minibatch_elbo_decomposition,
    minibatch_log_densities,
    minibatch_total_correlation,
)
from torchdisentangle.functional.gaussian import gaussian_entropy, gaussian_kl, gaussian_log_density
from torchdisentangle.functional.gram import gram_matrix, log_column_norms, log_volume, tangent_correlation
from torchdisentangle.functional.importance import (
    completeness_per_factor,
    dci_completeness,
    dci_disentanglement,
    disentanglement_per_code,
)
from torchdisentangle.functional.information import (
    entropy,
    expected_mutual_information,
    joint_entropy,
    mutual_information,
    plug_in_bias,
)
from torchdisentangle.functional.information_gap import (
    dci_mig,
    jemmig,
    modularity,
    mutual_information_gap,
    mutual_information_gap_sup,
    normalized_jemmig,
)
from torchdisentangle.functional.intervention import (
    above_chance,
    interventional_robustness,
    irs_score,
    majority_vote_accuracy,
)
from torchdisentangle.functional.jacobian import decoder_jacobian, decoder_jacobian_chunks
from torchdisentangle.functional.living_times import geometry_score, relative_living_times
from torchdisentangle.functional.manifold import (
    EntropicDecomposition,
    entropic_decomposition,
    manifold_entropy,
    manifold_entropy_spectrum,
    manifold_mutual_information,
    manifold_total_correlation,
)
from torchdisentangle.functional.manifold_pairs import (
    manifold_cross_pairwise_mutual_information,
    manifold_pairwise_mutual_information,
    match_latents,
)
from torchdisentangle.functional.monte_carlo import SpaceSimilarity, space_information, space_similarity
from torchdisentangle.functional.posterior_bins import informativeness, misjed, quantize_posterior
from torchdisentangle.functional.posterior_information import posterior_mutual_information
from torchdisentangle.functional.predictability import one_vs_rest_auc, predictability_gap, squared_correlation
from torchdisentangle.functional.probes import probed_jacobian, probed_jacobian_chunks
from torchdisentangle.functional.rtd import cross_barcode, representation_topology_divergence
from torchdisentangle.functional.separation import (
    LatentInformation,
    SeparabilityScores,
    latent_information,
    pairwise_information,
    separability,
)
from torchdisentangle.functional.spectrum import active_latents, effective_dimension
from torchdisentangle.functional.submanifold import conditional_latents
from torchdisentangle.functional.witness import witness_holes

__all__ = [
    "AggregateLogSums",
    "ChannelComparison",
    "CoClustering",
    "ELBOTerms",
    "EntropicDecomposition",
    "LatentInformation",
    "SeparabilityScores",
    "SpaceSimilarity",
    "above_chance",
    "active_latents",
    "aggregate_log_sums",
    "assign_bins",
    "assign_equal_bins",
    "bhattacharyya_coefficients",
    "bhattacharyya_distance",
    "block_score",
    "channel_information",
    "co_cluster",
    "compare_channels",
    "compare_posteriors",
    "compare_with_labels",
    "completeness_per_factor",
    "conditional_latents",
    "continuity",
    "cross_barcode",
    "dci_completeness",
    "dci_disentanglement",
    "dci_mig",
    "decoder_jacobian",
    "decoder_jacobian_chunks",
    "density_bins",
    "disentanglement_per_code",
    "effective_dimension",
    "elbo_decomposition",
    "elbo_terms",
    "entropic_decomposition",
    "entropy",
    "equal_width_edges",
    "expected_mutual_information",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_density",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "geometry_score",
    "gram_matrix",
    "informativeness",
    "interventional_robustness",
    "irs_score",
    "jemmig",
    "joint_counts",
    "joint_entropy",
    "joint_information",
    "joint_weights",
    "label_coefficients",
    "latent_information",
    "log_column_norms",
    "log_volume",
    "majority_vote_accuracy",
    "manifold_cross_pairwise_mutual_information",
    "manifold_entropy",
    "manifold_entropy_spectrum",
    "manifold_mutual_information",
    "manifold_pairwise_mutual_information",
    "manifold_total_correlation",
    "match_latents",
    "minibatch_elbo_decomposition",
    "minibatch_log_densities",
    "minibatch_total_correlation",
    "misjed",
    "modularity",
    "mutual_information",
    "mutual_information_gap",
    "mutual_information_gap_sup",
    "normal_quantile_edges",
    "normalized_jemmig",
    "normalized_mutual_information",
    "one_vs_rest_auc",
    "pairwise_information",
    "plug_in_bias",
    "posterior_mutual_information",
    "predictability_gap",
    "probed_jacobian",
    "probed_jacobian_chunks",
    "quantize_posterior",
    "relative_living_times",
    "representation_topology_divergence",
    "separability",
    "soft_bins",
    "space_coefficients",
    "space_information",
    "space_similarity",
    "squared_correlation",
    "tangent_correlation",
    "variation_of_information",
    "witness_holes",
]
