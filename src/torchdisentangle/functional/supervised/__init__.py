"""Scores of codes against known factors."""

from torchdisentangle.functional.supervised.capacity import (
    LossCurves,
    explicitness_of_curves,
    informativeness_of_curves,
)
from torchdisentangle.functional.supervised.dependent_gaps import dlig, dmig, xmig
from torchdisentangle.functional.supervised.distances import AgreementOfDistances, distance_agreement
from torchdisentangle.functional.supervised.downstream import intervention_total_variation, relative_accuracy
from torchdisentangle.functional.supervised.identifiability import (
    canonical_correlations,
    correlation_matrix,
    linear_r2,
    match_codes,
    matched_correlation,
)
from torchdisentangle.functional.supervised.importance import (
    completeness_per_factor,
    dci_completeness,
    dci_disentanglement,
    disentanglement_per_code,
    shapley_importance,
)
from torchdisentangle.functional.supervised.info_mec import largest_share
from torchdisentangle.functional.supervised.information import (
    entropy,
    expected_mutual_information,
    joint_entropy,
    mutual_information,
    plug_in_bias,
)
from torchdisentangle.functional.supervised.information_gap import (
    dci_mig,
    jemmig,
    modularity,
    mutual_information_gap,
    mutual_information_gap_sup,
    normalized_jemmig,
)
from torchdisentangle.functional.supervised.information_shares import (
    MatchingScores,
    axis_alignment,
    information_shares,
    latent_matching,
    most_disentangled_codes,
)
from torchdisentangle.functional.supervised.intervention import (
    interventional_robustness,
    irs_score,
)
from torchdisentangle.functional.supervised.ksg import informational_correlation, ksg_mutual_information
from torchdisentangle.functional.supervised.lsbd import RotationLoss, rotation_loss
from torchdisentangle.functional.supervised.omes import omes_per_factor, paired_correlation
from torchdisentangle.functional.supervised.posterior_information import posterior_mutual_information
from torchdisentangle.functional.supervised.predictability import (
    one_vs_rest_auc,
    predictability_gap,
    squared_correlation,
)
from torchdisentangle.functional.supervised.ross import ross_mutual_information
from torchdisentangle.functional.supervised.traversal import ShapeOfTraversals, traversal_shape
from torchdisentangle.functional.supervised.unique_information import (
    posterior_rest_information,
    unique_information_bound,
)

__all__ = [
    "AgreementOfDistances",
    "LossCurves",
    "MatchingScores",
    "RotationLoss",
    "ShapeOfTraversals",
    "axis_alignment",
    "canonical_correlations",
    "completeness_per_factor",
    "correlation_matrix",
    "dci_completeness",
    "dci_disentanglement",
    "dci_mig",
    "disentanglement_per_code",
    "distance_agreement",
    "dlig",
    "dmig",
    "entropy",
    "expected_mutual_information",
    "explicitness_of_curves",
    "information_shares",
    "informational_correlation",
    "informativeness_of_curves",
    "intervention_total_variation",
    "interventional_robustness",
    "irs_score",
    "jemmig",
    "joint_entropy",
    "ksg_mutual_information",
    "largest_share",
    "latent_matching",
    "linear_r2",
    "match_codes",
    "matched_correlation",
    "modularity",
    "most_disentangled_codes",
    "mutual_information",
    "mutual_information_gap",
    "mutual_information_gap_sup",
    "normalized_jemmig",
    "omes_per_factor",
    "one_vs_rest_auc",
    "paired_correlation",
    "plug_in_bias",
    "posterior_mutual_information",
    "posterior_rest_information",
    "predictability_gap",
    "relative_accuracy",
    "ross_mutual_information",
    "rotation_loss",
    "shapley_importance",
    "squared_correlation",
    "traversal_shape",
    "unique_information_bound",
    "xmig",
]
