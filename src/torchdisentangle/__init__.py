"""Disentanglement and alignment metrics for generative models, as torchmetrics classes."""

from torchdisentangle.informativeness import (
    MISJED,
    Informativeness,
    Interpretability,
    PairwiseMutualInformation,
    Separability,
    informativeness_metrics,
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

__version__ = "0.1.0"

__all__ = [
    "MISJED",
    "Informativeness",
    "Interpretability",
    "ActiveUnits",
    "CodeMutualInformation",
    "DimensionWiseKL",
    "ELBODecomposition",
    "GaussianTotalCorrelation",
    "GaussianWassersteinCorrelation",
    "IndexCodeMutualInformation",
    "LatentKL",
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
    "TotalCorrelation",
    "elbo_metrics",
    "manifold_metrics",
]
