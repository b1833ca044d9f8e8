"""Informativeness, separability and independence of latents: read-outs of an encoder's posteriors, without labels.

All take ``update(mean, log_variance, *, index=None)``: diagonal Gaussian posteriors ``(n, d)``. Two estimators exist.
``"bins"`` quantises each latent and keeps sums: all data count, nothing is kept, single latents and pairs only.
``"sampling"`` keeps a bounded sample of posteriors and evaluates densities of the aggregate posterior at latents drawn
from them: any set of latents, without bins; its metrics share one state with the ELBO's decomposition.

:class:`Informativeness` (what each latent tells about the data), :class:`Separability` (what it alone tells: SEP,
SEPIN, WSEPIN, INDIN, WINDIN), :class:`PairwiseMutualInformation` and :class:`MISJED` (independence of pairs). With
factors, see :class:`~torchdisentangle.supervised.Interpretability` (RMIG and JEMMIG).

Reference: Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.
"""

from torchdisentangle.informativeness.collection import InformativenessMetrics, informativeness_metrics
from torchdisentangle.informativeness.informativeness import Informativeness
from torchdisentangle.informativeness.misjed import MISJED
from torchdisentangle.informativeness.pairwise import PairwiseMutualInformation
from torchdisentangle.informativeness.separability import Separability
from torchdisentangle.supervised.soft_gaps import Interpretability

__all__ = [
    "MISJED",
    "Informativeness",
    "InformativenessMetrics",
    "Interpretability",
    "PairwiseMutualInformation",
    "Separability",
    "informativeness_metrics",
]
