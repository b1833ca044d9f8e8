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
    "Modularity",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "PosteriorMutualInformationGap",
    "RobustMIG",
    "StatisticCollection",
    "TotalCorrelation",
    "elbo_metrics",
    "manifold_metrics",
]
