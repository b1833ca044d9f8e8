r"""The KL divergence of a VAE taken apart, and how dependent its latents are: metrics that need no factors.

Metrics of posteriors take ``update(mean, log_variance, *, index=None)`` with diagonal Gaussians ``(n, d)`` and
logarithms of *variances*; those of codes take ``update(codes, *, index=None)`` with ``(n, d)``. The prior is a standard
normal, and all values are in nats.

Reference: Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018.
"""

from torchdisentangle.elbo.codes import (
    CodeMutualInformation,
    GaussianTotalCorrelation,
    GaussianWassersteinCorrelation,
)
from torchdisentangle.elbo.collection import ELBOMetrics, elbo_metrics
from torchdisentangle.elbo.decomposition import (
    DimensionWiseKL,
    ELBODecomposition,
    IndexCodeMutualInformation,
    TotalCorrelation,
)
from torchdisentangle.elbo.latents import ActiveUnits, LatentKL
from torchdisentangle.elbo.support import IOSS, HausdorffFactorizedSupport

__all__ = [
    "IOSS",
    "ActiveUnits",
    "CodeMutualInformation",
    "DimensionWiseKL",
    "ELBODecomposition",
    "ELBOMetrics",
    "GaussianTotalCorrelation",
    "GaussianWassersteinCorrelation",
    "HausdorffFactorizedSupport",
    "IndexCodeMutualInformation",
    "LatentKL",
    "TotalCorrelation",
    "elbo_metrics",
]
