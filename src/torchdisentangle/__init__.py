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
from torchdisentangle.topology import GeometryScore, ManifoldTopologyScore, SupervisedManifoldTopologyScore

__version__ = "0.1.0"

__all__ = [
    "DCIMIG",
    "JEMMIG",
    "MISJED",
    "ActiveUnits",
    "CodeMutualInformation",
    "DimensionWiseKL",
    "ELBODecomposition",
    "GaussianTotalCorrelation",
    "GaussianWassersteinCorrelation",
    "GeometryScore",
    "IndexCodeMutualInformation",
    "Informativeness",
    "Interpretability",
    "LatentKL",
    "MIGSup",
    "ManifoldCrossPairwiseMutualInformation",
    "ManifoldEntropy",
    "ManifoldEntropySpectrum",
    "ManifoldMutualInformation",
    "ManifoldPairwiseMutualInformation",
    "ManifoldSummary",
    "ManifoldTopologyScore",
    "ManifoldTotalCorrelation",
    "MeanDecoderJacobian",
    "Modularity",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "PairwiseMutualInformation",
    "PosteriorMutualInformationGap",
    "RobustMIG",
    "Separability",
    "StatisticCollection",
    "SupervisedManifoldTopologyScore",
    "TotalCorrelation",
    "elbo_metrics",
    "informativeness_metrics",
    "manifold_metrics",
]
