"""Disentanglement and alignment metrics for generative models, as torchmetrics classes."""

from torchdisentangle.informativeness import (
    MISJED,
    Informativeness,
    Interpretability,
    PairwiseMutualInformation,
    Separability,
    informativeness_metrics,
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

__version__ = "0.1.0"

__all__ = [
    "MISJED",
    "Informativeness",
    "Interpretability",
    "ManifoldCrossPairwiseMutualInformation",
    "ManifoldEntropy",
    "ManifoldEntropySpectrum",
    "ManifoldMutualInformation",
    "ManifoldPairwiseMutualInformation",
    "ManifoldSummary",
    "ManifoldTotalCorrelation",
    "MeanDecoderJacobian",
    "PairwiseMutualInformation",
    "Separability",
    "StatisticCollection",
    "informativeness_metrics",
    "manifold_metrics",
]
