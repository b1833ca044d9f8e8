"""Similarity of representation spaces: what channels tell about the data, and what they share.

Metric classes take ``update(mean, log_variance, *, index=None, labels=None)``: diagonal Gaussian posteriors of data
points. They share one state, the posteriors of a fixed set of points. Its fingerprint can be saved, compared with those
of other models, clustered into hot spots, and fused with others into one space. Fingerprints of several runs also tell
which of them find what the others find, without labels: :func:`unsupervised_disentanglement_ranking` (UDR) and
:func:`run_stability`.

:class:`~torchdisentangle.LinearCKA`, :class:`~torchdisentangle.SVCCA`,
:class:`~torchdisentangle.ProcrustesDistance` and :class:`~torchdisentangle.RSA` compare whole spaces of codes:
``update(codes_a, codes_b, *, index=None)``.

Reference: Murphy, Dillavou & Bassett, *Comparing the information content of probabilistic representation spaces*,
TMLR 2025.
"""

from torchdisentangle.similarity.alignment import align_fingerprints
from torchdisentangle.similarity.ensemble import EnsembleComparison, compare_fingerprints
from torchdisentangle.similarity.fingerprint import Fingerprint, find_fingerprint
from torchdisentangle.similarity.fusion import Fusion, fuse_channels
from torchdisentangle.similarity.hot_spots import HotSpots, channel_distance, find_hot_spots
from torchdisentangle.similarity.measure import similarity_matrix
from torchdisentangle.similarity.metrics import (
    BhattacharyyaFingerprint,
    ChannelInformation,
    ChannelSimilarity,
    LabelSimilarity,
)
from torchdisentangle.similarity.ranking import RunRanking, lasso_weights, unsupervised_disentanglement_ranking
from torchdisentangle.similarity.run_pairs import FingerprintFiles
from torchdisentangle.similarity.space_comparison import SpaceComparison, compare_spaces
from torchdisentangle.similarity.spaces import (
    RSA,
    SVCCA,
    LinearCKA,
    ProcrustesDistance,
)
from torchdisentangle.similarity.stability import RunStability, run_stability

__all__ = [
    "RSA",
    "SVCCA",
    "BhattacharyyaFingerprint",
    "ChannelInformation",
    "ChannelSimilarity",
    "EnsembleComparison",
    "Fingerprint",
    "FingerprintFiles",
    "Fusion",
    "HotSpots",
    "LabelSimilarity",
    "LinearCKA",
    "ProcrustesDistance",
    "RunRanking",
    "RunStability",
    "SpaceComparison",
    "align_fingerprints",
    "channel_distance",
    "compare_fingerprints",
    "compare_spaces",
    "find_fingerprint",
    "find_hot_spots",
    "fuse_channels",
    "lasso_weights",
    "run_stability",
    "similarity_matrix",
    "unsupervised_disentanglement_ranking",
]
