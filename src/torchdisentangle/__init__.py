"""Disentanglement and alignment metrics for generative models, as torchmetrics classes."""

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
    "GeometryScore",
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
    "manifold_metrics",
]
