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
from torchdisentangle.supervised import (
    DCIMIG,
    JEMMIG,
    MIGSup,
    Modularity,
    MutualInformationGap,
    MutualInformationMatrix,
    PosteriorMutualInformationGap,
    RobustMIG,
)

__version__ = "0.1.0"

__all__ = [
    "DCIMIG",
    "JEMMIG",
    "MIGSup",
    "ManifoldCrossPairwiseMutualInformation",
    "ManifoldEntropy",
    "ManifoldEntropySpectrum",
    "ManifoldMutualInformation",
    "ManifoldPairwiseMutualInformation",
    "ManifoldSummary",
    "ManifoldTotalCorrelation",
    "MeanDecoderJacobian",
    "Modularity",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "PosteriorMutualInformationGap",
    "RobustMIG",
    "StatisticCollection",
    "manifold_metrics",
]
