"""Scores of codes against known factors."""

from torchdisentangle.functional.supervised.binning import (
    assign_bins,
    assign_equal_bins,
    density_bins,
    equal_width_edges,
    normal_quantile_edges,
    soft_bins,
)
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
)
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
from torchdisentangle.functional.supervised.intervention import (
    above_chance,
    interventional_robustness,
    irs_score,
    majority_vote_accuracy,
)
from torchdisentangle.functional.supervised.joint_counts import joint_counts, joint_weights
from torchdisentangle.functional.supervised.posterior_information import posterior_mutual_information
from torchdisentangle.functional.supervised.predictability import (
    one_vs_rest_auc,
    predictability_gap,
    squared_correlation,
)

__all__ = [
    "above_chance",
    "assign_bins",
    "assign_equal_bins",
    "canonical_correlations",
    "completeness_per_factor",
    "correlation_matrix",
    "dci_completeness",
    "dci_disentanglement",
    "dci_mig",
    "density_bins",
    "disentanglement_per_code",
    "entropy",
    "equal_width_edges",
    "expected_mutual_information",
    "interventional_robustness",
    "irs_score",
    "jemmig",
    "joint_counts",
    "joint_entropy",
    "joint_weights",
    "linear_r2",
    "majority_vote_accuracy",
    "match_codes",
    "matched_correlation",
    "modularity",
    "mutual_information",
    "mutual_information_gap",
    "mutual_information_gap_sup",
    "normal_quantile_edges",
    "normalized_jemmig",
    "one_vs_rest_auc",
    "plug_in_bias",
    "posterior_mutual_information",
    "predictability_gap",
    "soft_bins",
    "squared_correlation",
]
