"""Information content and similarity of representation spaces."""

from torchdisentangle.functional.similarity.bhattacharyya import (
    bhattacharyya_coefficients,
    bhattacharyya_distance,
    continuity,
    label_coefficients,
    space_coefficients,
)
from torchdisentangle.functional.similarity.channels import (
    channel_information,
    joint_information,
    normalized_mutual_information,
    variation_of_information,
)
from torchdisentangle.functional.similarity.comparison import (
    ChannelComparison,
    compare_channels,
    compare_posteriors,
    compare_with_labels,
)
from torchdisentangle.functional.similarity.monte_carlo import SpaceSimilarity, space_information, space_similarity
from torchdisentangle.functional.similarity.ranking import (
    chance_correlation,
    informative_latents,
    rank_correlations,
    relation_score,
)
from torchdisentangle.functional.similarity.spaces import (
    linear_cka,
    procrustes_distance,
    representational_similarity,
    svcca,
)

__all__ = [
    "ChannelComparison",
    "SpaceSimilarity",
    "bhattacharyya_coefficients",
    "bhattacharyya_distance",
    "chance_correlation",
    "channel_information",
    "compare_channels",
    "compare_posteriors",
    "compare_with_labels",
    "continuity",
    "informative_latents",
    "joint_information",
    "label_coefficients",
    "linear_cka",
    "normalized_mutual_information",
    "procrustes_distance",
    "rank_correlations",
    "relation_score",
    "representational_similarity",
    "space_coefficients",
    "space_information",
    "space_similarity",
    "svcca",
    "variation_of_information",
]
