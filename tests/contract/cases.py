"""Every public metric, with rows that it takes: what the contract is checked on.

A new metric is one more entry of ``CASES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import torchdisentangle as td
from torchdisentangle import functional as F
from torchdisentangle.statistics import DataRange, Statistic

NUM_ROWS = 48


@dataclass(frozen=True)
class Case:
    """A metric, and an update of it.

    Args:
        make: makes the metric.
        inputs: makes the arguments of an update: positional ones and keywords, tensors with ``NUM_ROWS`` rows.
        functional: the same value by a function of the arguments, where there is one.
        numbered: whether the numbers of rows that come without an index matter, so that their order does.
        without: read-outs that do not exist with these settings.
        rows: whether an update takes rows with an index.
    """

    make: Callable[[], Statistic]
    inputs: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]
    functional: Callable[..., Any] | None = None
    numbered: bool = False
    without: frozenset[str] = frozenset()
    rows: bool = True


def factors() -> Tensor:
    """Two factors of three and four values, each pair four times."""
    return torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(NUM_ROWS // 12, 1)


def codes(width: int = 3) -> Tensor:
    """Codes that know the factors, one of them noisily."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.3 * torch.randn(NUM_ROWS, width, generator=generator)
    known = factors().float()
    return torch.cat([known, known[:, :1] + known[:, 1:]], dim=1)[:, :width] + noise


def posteriors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return 0.5 * codes(), torch.randn(NUM_ROWS, 3, generator=generator) - 3.0


def jacobians(width: int = 3) -> Tensor:
    return torch.randn(NUM_ROWS, 5, width, generator=torch.Generator().manual_seed(2))


def index() -> dict[str, Tensor]:
    return {"index": torch.arange(NUM_ROWS)}


def with_factors() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (codes(), factors()), {"log_variance": posteriors()[1], "data": codes(2).view(NUM_ROWS, 2, 1), **index()}


def with_posteriors() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return posteriors(), index()


def with_labels() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return posteriors(), {"labels": factors(), **index()}


def codes_alone() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (codes(),), index()


def with_jacobians() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (jacobians(),), {"labels": torch.arange(NUM_ROWS) % 2}


def with_two_jacobians() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (jacobians(), jacobians(2)), {"labels": torch.arange(NUM_ROWS) % 2}


def with_an_unmixing() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (jacobians().mT.contiguous(), jacobians().flip(0)), {"labels": torch.arange(NUM_ROWS) % 2}


def with_paths() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (torch.randn(NUM_ROWS, 6, 2, generator=torch.Generator().manual_seed(4)),), {}


def with_two_spaces() -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (codes(), jacobians()[:, :, 0] + codes(1)), index()


def of_covariance(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A functional form on the covariance of two spaces side by side."""
    return lambda a, b: function(torch.cat([a, b], dim=1).double().mT.cov(), a.shape[1])


def gram_of(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """A functional form on Gram matrices, averaged over the two classes."""
    return per_class(lambda jacobian: function(F.gram_matrix(jacobian)))


def per_class(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A functional form on Jacobians, averaged over the two classes."""

    def value(*jacobians: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([function(*(part[labels == label] for part in jacobians)) for label in range(2)]).mean(0)

    return value


SUPERVISED: dict[str, Callable[[], Statistic]] = {
    "MutualInformationMatrix": td.MutualInformationMatrix,
    "MutualInformationGap": td.MutualInformationGap,
    "MutualInformationGap of fixed bins": lambda: td.MutualInformationGap(edges="prior", num_bins=5),
    "MutualInformationGap of posteriors": lambda: td.MutualInformationGap(estimator="posterior", num_queries=20),
    "MutualInformationGap of neighbours": lambda: td.MutualInformationGap(estimator="neighbours"),
    "MIGSup": td.MIGSup,
    "DCIMIG": td.DCIMIG,
    "Modularity": td.Modularity,
    "RobustMIG": td.RobustMIG,
    "JEMMIG": td.JEMMIG,
    "Interpretability": td.Interpretability,
    "Minimality": td.Minimality,
    "Minimality of posteriors": lambda: td.Minimality(estimator="posterior", num_queries=20),
    "Sufficiency": td.Sufficiency,
    "InfoM": td.InfoM,
    "InfoM of posteriors": lambda: td.InfoM(estimator="posterior", num_queries=20),
    "InfoC": td.InfoC,
    "InfoE": lambda: td.InfoE(continuous=True),  # a linear regression, which takes no hundred steps
    "MED": lambda: td.MED(top_k=1),
    "AxisAlignment": td.AxisAlignment,
    "LatentMatchingScore": td.LatentMatchingScore,
    "DependencyAwareGap": td.DependencyAwareGap,
    "DependencyAwareGap of fixed bins": lambda: td.DependencyAwareGap("dlig", edges=(-1.0, 4.0), num_bins=5),
    "DependencyAwareGap of posteriors": lambda: td.DependencyAwareGap(estimator="posterior", num_queries=20),
    "DCIES": lambda: td.DCIES(max_features=16),
    "DCIES of perceptrons": lambda: td.DCIES("mlp", widths=(0, 2)),
    "DCIES of Fourier features": lambda: td.DCIES("fourier", max_features=32),
    "UniBound": td.UniBound,
    "UniBound by posteriors": lambda: td.UniBound("posterior", num_queries=20),
    "SNC": td.SNC,
    "DistanceAgreement": lambda: td.DistanceAgreement(num_triplets=200),
    "DistanceAgreement with data": lambda: td.DistanceAgreement(num_triplets=200, data_width=8),
    "Unfairness": lambda: td.Unfairness("tree"),
    "StrongGeneralizationGap": lambda: td.StrongGeneralizationGap("tree", num_repeats=1),
    "DownstreamAccuracy": lambda: td.DownstreamAccuracy("tree"),
    "NK": lambda: td.NK("tree"),
    "SAP": td.SAP,
    "MCC": td.MCC,
    "MCC of ranks": lambda: td.MCC("spearman"),
    "MCC of held-out rows": lambda: td.MCC(held_out=True),
    "LinearR2": td.LinearR2,
    "CCA": td.CCA,
    "DiscreteSAP": td.DiscreteSAP,
    "DCI": lambda: td.DCI("lasso"),
    "Explicitness": td.Explicitness,
    "IRS": td.IRS,
    "BetaVAEScore": lambda: td.BetaVAEScore(num_groups=20),
    "FactorVAEScore": lambda: td.FactorVAEScore(num_groups=20),
    "ZMax": td.ZMax,
    "OMES": td.OMES,
    "LSBD": td.LSBD,
    "TraversalShape": td.TraversalShape,
    "CodeFactorSample": td.CodeFactorSample,
}

POSTERIORS: dict[str, Callable[[], Statistic]] = {
    "ELBODecomposition": lambda: td.ELBODecomposition(num_queries=20),
    "TotalCorrelation": lambda: td.TotalCorrelation(num_queries=20),
    "TotalCorrelation of fewer rows": lambda: td.TotalCorrelation(num_queries=20, max_rows=30),
    "IndexCodeMutualInformation": lambda: td.IndexCodeMutualInformation(num_queries=20),
    "DimensionWiseKL": lambda: td.DimensionWiseKL(num_queries=20),
    "ActiveUnits": td.ActiveUnits,
    "Informativeness": td.Informativeness,
    "Informativeness by sampling": lambda: td.Informativeness(estimator="sampling", num_queries=20),
    "PairwiseMutualInformation": lambda: td.PairwiseMutualInformation(num_bins=10),
    "PairwiseMutualInformation by sampling": lambda: td.PairwiseMutualInformation(estimator="sampling", num_queries=20),
    "MISJED": lambda: td.MISJED(num_bins=10),
    "Separability": lambda: td.Separability(num_queries=20, top_k=2),
}

MANIFOLD: dict[str, Callable[[], Statistic]] = {
    "ManifoldMutualInformation": lambda: td.ManifoldMutualInformation([0], [1, 2]),
    "ManifoldSummary": td.ManifoldSummary,
    "MeanDecoderJacobian": td.MeanDecoderJacobian,
}

SIMILARITY: dict[str, Callable[[], Statistic]] = {
    "BhattacharyyaFingerprint": lambda: td.BhattacharyyaFingerprint(num_points=NUM_ROWS),
    "ChannelInformation": lambda: td.ChannelInformation(num_points=NUM_ROWS),
    "ChannelSimilarity": lambda: td.ChannelSimilarity(num_points=NUM_ROWS),
    "LabelSimilarity": lambda: td.LabelSimilarity(num_points=NUM_ROWS),
}

OF_COUNTS = frozenset({"ceiling", "joint_counts", "plug_in_bias"})


def missing(name: str) -> frozenset[str]:
    """Read-outs of supervised scores that these do not have."""
    if name == "CodeFactorSample":
        return frozenset({"interval"})
    if name.startswith("DependencyAwareGap") and "of posteriors" not in name:
        return frozenset({"ceiling"})
    without_counts = ("of posteriors" in name, "of neighbours" in name, name in ("InfoM", "InfoC"))
    return OF_COUNTS if any(without_counts) else frozenset()


CASES: dict[str, Case] = {
    **{name: Case(make, with_factors, without=missing(name)) for name, make in SUPERVISED.items()},
    **{name: Case(make, with_posteriors, numbered="fewer" in name) for name, make in POSTERIORS.items()},
    **{name: Case(make, with_labels, numbered=True) for name, make in SIMILARITY.items()},
    **{name: Case(make, with_jacobians, rows=False) for name, make in MANIFOLD.items()},
    "LatentKL": Case(
        td.LatentKL,
        with_posteriors,
        lambda mean, log_variance: F.gaussian_kl(mean.double(), log_variance.double()).mean(0),
    ),
    "ManifoldEntropy": Case(td.ManifoldEntropy, with_jacobians, gram_of(F.manifold_entropy), rows=False),
    "ManifoldEntropySpectrum": Case(
        td.ManifoldEntropySpectrum, with_jacobians, gram_of(F.manifold_entropy_spectrum), rows=False
    ),
    "ManifoldTotalCorrelation": Case(
        td.ManifoldTotalCorrelation, with_jacobians, gram_of(F.manifold_total_correlation), rows=False
    ),
    "ManifoldPairwiseMutualInformation": Case(
        td.ManifoldPairwiseMutualInformation,
        with_jacobians,
        gram_of(F.manifold_pairwise_mutual_information),
        rows=False,
    ),
    "ManifoldCrossPairwiseMutualInformation": Case(
        td.ManifoldCrossPairwiseMutualInformation, with_two_jacobians, rows=False
    ),
    "IMAContrast": Case(td.IMAContrast, with_jacobians, gram_of(F.ima_contrast), rows=False),
    "LatentPathLength": Case(td.LatentPathLength, with_jacobians, gram_of(F.latent_path_length), rows=False),
    "DistanceToOrthogonality": Case(
        td.DistanceToOrthogonality, with_jacobians, gram_of(F.distance_to_orthogonality), rows=False
    ),
    "CompositionalContrast": Case(
        lambda: td.CompositionalContrast([[0], [1, 2]]),
        with_jacobians,
        per_class(lambda jacobian: F.compositional_contrast(jacobian, [[0], [1, 2]])),
        rows=False,
    ),
    "JacobianAmariDistance": Case(
        td.JacobianAmariDistance, with_an_unmixing, per_class(F.jacobian_amari_distance), rows=False
    ),
    "LinearCKA": Case(td.LinearCKA, with_two_spaces, of_covariance(F.linear_cka)),
    "SVCCA": Case(td.SVCCA, with_two_spaces, of_covariance(F.svcca)),
    "ProcrustesDistance": Case(td.ProcrustesDistance, with_two_spaces, of_covariance(F.procrustes_distance)),
    "RSA": Case(td.RSA, with_two_spaces, F.representational_similarity),
    "AttributeSmoothness": Case(td.AttributeSmoothness, with_paths, F.smoothness, rows=False),
    "AttributeMonotonicity": Case(td.AttributeMonotonicity, with_paths, F.monotonicity, rows=False),
    "AttributeRange": Case(
        td.AttributeRange, with_paths, lambda paths: (paths.amax(1) - paths.amin(1)).double().mean(0), rows=False
    ),
    "GaussianTotalCorrelation": Case(
        td.GaussianTotalCorrelation, codes_alone, lambda codes: F.gaussian_total_correlation(codes.double().mT.cov())
    ),
    "GaussianWassersteinCorrelation": Case(
        td.GaussianWassersteinCorrelation,
        codes_alone,
        lambda codes: F.gaussian_wasserstein_correlation(codes.double().mT.cov()),
    ),
    "CodeMutualInformation": Case(lambda: td.CodeMutualInformation(num_bins=4), codes_alone),
    "IOSS": Case(lambda: td.IOSS(num_points=100), codes_alone),
    "HausdorffFactorizedSupport": Case(
        td.HausdorffFactorizedSupport,
        codes_alone,
        lambda codes: F.hausdorff_factorization(codes.double() / codes.double().std(0)).triu().sum(),
    ),
    "DataRange": Case(
        DataRange, lambda: ((codes(),), {}), lambda codes: (codes.double().amin(0), codes.double().amax(0)), rows=False
    ),
}

OTHERWISE = {"ManifoldTopologyScore", "SupervisedManifoldTopologyScore", "GeometryScore"}
"""Metrics that are not updated with rows, and have tests of their own."""
