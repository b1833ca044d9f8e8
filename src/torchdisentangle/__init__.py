"""Disentanglement and alignment metrics for generative models, as torchmetrics classes."""

from torchdisentangle.elbo import (
    ActiveUnits,
    CodeMutualInformation,
    DimensionWiseKL,
    ELBODecomposition,
    GaussianTotalCorrelation,
    GaussianWassersteinCorrelation,
    IndexCodeMutualInformation,
    LatentKL,
    TotalCorrelation,
    elbo_metrics,
)
from torchdisentangle.manifold import (
    ManifoldCrossPairwiseMutualInformation,
    ManifoldEntropy,
    ManifoldEntropySpectrum,
    ManifoldMutualInformation,
    ManifoldPairwiseMutualInformation,
    ManifoldSummary,
    ManifoldTotalCorrelation,
    MeanDecoderJacobian,
    manifold_metrics,
)
from torchdisentangle.statistics import StatisticCollection
from torchdisentangle.topology import GeometryScore, ManifoldTopologyScore, SupervisedManifoldTopologyScore

__version__ = "0.1.0"

__all__ = [
    "ActiveUnits",
    "CodeMutualInformation",
    "DimensionWiseKL",
    "ELBODecomposition",
    "GaussianTotalCorrelation",
    "GaussianWassersteinCorrelation",
    "GeometryScore",
    "IndexCodeMutualInformation",
    "LatentKL",
    "ManifoldCrossPairwiseMutualInformation",
    "ManifoldEntropy",
    "ManifoldEntropySpectrum",
    "ManifoldMutualInformation",
    "ManifoldPairwiseMutualInformation",
    "ManifoldSummary",
    "ManifoldTopologyScore",
    "ManifoldTotalCorrelation",
    "MeanDecoderJacobian",
    "StatisticCollection",
    "SupervisedManifoldTopologyScore",
    "TotalCorrelation",
    "elbo_metrics",
    "manifold_metrics",
]
