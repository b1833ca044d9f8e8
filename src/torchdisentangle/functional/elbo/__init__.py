"""The ELBO decomposition, Gaussian posteriors, and the aggregate posterior."""

from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.elbo.correlation import gaussian_total_correlation, gaussian_wasserstein_correlation
from torchdisentangle.functional.elbo.decomposition import (
    ELBOTerms,
    elbo_decomposition,
    elbo_terms,
)
from torchdisentangle.functional.elbo.gaussian import gaussian_entropy, gaussian_kl, gaussian_log_density
from torchdisentangle.functional.elbo.minibatch import (
    minibatch_elbo_decomposition,
    minibatch_log_densities,
    minibatch_total_correlation,
)
from torchdisentangle.functional.elbo.support import hausdorff_factorization, independence_of_support

__all__ = [
    "AggregateLogSums",
    "ELBOTerms",
    "aggregate_log_sums",
    "elbo_decomposition",
    "elbo_terms",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_density",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "hausdorff_factorization",
    "independence_of_support",
    "minibatch_elbo_decomposition",
    "minibatch_log_densities",
    "minibatch_total_correlation",
]
