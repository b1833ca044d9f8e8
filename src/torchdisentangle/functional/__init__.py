"""Formulas: tensors in, tensors out; no state, no logging, no process groups."""

from torchdisentangle.functional.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.correlation import gaussian_total_correlation, gaussian_wasserstein_correlation
from torchdisentangle.functional.elbo import (
    ELBOTerms,
    elbo_terms,
    minibatch_elbo_decomposition,
    minibatch_log_densities,
    minibatch_total_correlation,
)
from torchdisentangle.functional.gaussian import gaussian_entropy, gaussian_kl, gaussian_log_density
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
from torchdisentangle.functional.posterior_bins import informativeness, misjed, quantize_posterior
from torchdisentangle.functional.posterior_information import (
    LatentInformation,
    SeparabilityScores,
    latent_information,
    pairwise_information,
    separability,
)

__all__ = [
    "AggregateLogSums",
    "ELBOTerms",
    "EntropicDecomposition",
    "LatentInformation",
    "SeparabilityScores",
    "active_latents",
    "aggregate_log_sums",
    "decoder_jacobian",
    "decoder_jacobian_chunks",
    "effective_dimension",
    "elbo_terms",
    "entropic_decomposition",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_density",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "gram_matrix",
    "informativeness",
    "latent_information",
    "log_column_norms",
    "log_volume",
    "manifold_cross_pairwise_mutual_information",
    "manifold_entropy",
    "manifold_entropy_spectrum",
    "manifold_mutual_information",
    "manifold_pairwise_mutual_information",
    "manifold_total_correlation",
    "match_latents",
    "misjed",
    "pairwise_information",
    "quantize_posterior",
    "separability",
    "minibatch_elbo_decomposition",
    "minibatch_log_densities",
    "minibatch_total_correlation",
    "tangent_correlation",
]
