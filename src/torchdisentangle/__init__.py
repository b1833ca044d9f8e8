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
from torchdisentangle.similarity import (
    BhattacharyyaFingerprint,
    ChannelInformation,
    ChannelSimilarity,
    Fingerprint,
    LabelSimilarity,
    compare_fingerprints,
    find_hot_spots,
    fuse_channels,
)
from torchdisentangle.statistics import StatisticCollection

__version__ = "0.1.0"

__all__ = [
    "BhattacharyyaFingerprint",
    "ChannelInformation",
    "ChannelSimilarity",
    "Fingerprint",
    "LabelSimilarity",
    "ManifoldCrossPairwiseMutualInformation",
    "ManifoldEntropy",
    "ManifoldEntropySpectrum",
    "ManifoldMutualInformation",
    "ManifoldPairwiseMutualInformation",
    "ManifoldSummary",
    "ManifoldTotalCorrelation",
    "MeanDecoderJacobian",
    "StatisticCollection",
    "compare_fingerprints",
    "find_hot_spots",
    "fuse_channels",
    "manifold_metrics",
]
