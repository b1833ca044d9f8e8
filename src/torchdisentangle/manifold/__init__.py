"""Manifold entropic metrics: read-outs of the same sums over decoder Jacobians.

All take ``update(jacobian, *, labels=None, log_det=None)``: decoder Jacobians ``(N, D, d)`` from
:func:`~torchdisentangle.functional.decoder_jacobian`, optionally the class of each sample, and for flows the model's
own log-determinant. With labels every quantity is computed per class and the classes are averaged with equal weight.
All are in nats, report ``standard_error()``, ``per_class()`` and ``estimate()`` (value and standard error), and those
with the same settings share one state.

With ``estimator="probes", num_probes=m`` they take random projections ``(N, m, d)`` in the Jacobians' place, from
:func:`~torchdisentangle.functional.probed_jacobian`: ``m`` products a sample instead of ``d``, for values that are
unbiased and have a standard error that holds the projections' noise too.

Reference: Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025.
"""

from torchdisentangle.manifold.collection import ManifoldMetrics, manifold_metrics
from torchdisentangle.manifold.compositionality import (
    CompositionalContrast,
)
from torchdisentangle.manifold.entropy import (
    ManifoldEntropy,
    ManifoldEntropySpectrum,
    ManifoldMutualInformation,
    ManifoldTotalCorrelation,
)
from torchdisentangle.manifold.independent_mechanisms import (
    IMAContrast,
    JacobianAmariDistance,
)
from torchdisentangle.manifold.orthogonality import (
    DistanceToOrthogonality,
)
from torchdisentangle.manifold.pairwise import (
    ManifoldCrossPairwiseMutualInformation,
    ManifoldPairwiseMutualInformation,
)
from torchdisentangle.manifold.path_length import (
    LatentPathLength,
)
from torchdisentangle.manifold.summary import ManifoldSummary, MeanDecoderJacobian

__all__ = [
    "CompositionalContrast",
    "DistanceToOrthogonality",
    "IMAContrast",
    "JacobianAmariDistance",
    "LatentPathLength",
    "ManifoldCrossPairwiseMutualInformation",
    "ManifoldEntropy",
    "ManifoldEntropySpectrum",
    "ManifoldMetrics",
    "ManifoldMutualInformation",
    "ManifoldPairwiseMutualInformation",
    "ManifoldSummary",
    "ManifoldTotalCorrelation",
    "MeanDecoderJacobian",
    "manifold_metrics",
]
