"""Scores of codes against known factors.

All take ``update(codes, factors, index=None)``, codes ``(n, d)``, factors ``(n, F)``, and the rows' positions in the
data set where they keep rows; but for the last group. Those of one group with equal settings share their state.

- Joint counts of binned codes and factors: :class:`MutualInformationMatrix`, :class:`MutualInformationGap`,
  :class:`MIGSup`, :class:`DCIMIG`, :class:`Modularity`, :class:`Minimality`, :class:`Sufficiency`; of binned
  posteriors, with ``log_variance=``: :class:`RobustMIG`, :class:`JEMMIG`.
- Moments of codes and factors: :class:`SAP`.
- A uniform sample of rows, to fit a predictor to: :class:`DCI`, :class:`Explicitness`, :class:`DiscreteSAP`; to find
  groups in that agree in a factor: :class:`IRS`, :class:`BetaVAEScore`, :class:`FactorVAEScore`, :class:`ZMax`; and
  the rows themselves: :class:`CodeFactorSample`.
- Posteriors without bins, ``update(mean, log_variance, factors, index=None)``: :class:`PosteriorMutualInformationGap`,
  :class:`PosteriorMinimality`, :class:`PosteriorSufficiency`.
"""

from torchdisentangle.supervised.code_gaps import DCIMIG, MIGSup
from torchdisentangle.supervised.collection import supervised_metrics
from torchdisentangle.supervised.dci import DCI
from torchdisentangle.supervised.explicitness import Explicitness
from torchdisentangle.supervised.information import MutualInformationMatrix
from torchdisentangle.supervised.intervention import BetaVAEScore, FactorVAEScore, ZMax
from torchdisentangle.supervised.mig import MutualInformationGap
from torchdisentangle.supervised.minimality import Minimality, PosteriorMinimality, PosteriorSufficiency, Sufficiency
from torchdisentangle.supervised.modularity import Modularity
from torchdisentangle.supervised.posterior import PosteriorMutualInformationGap
from torchdisentangle.supervised.robust import JEMMIG, RobustMIG
from torchdisentangle.supervised.robustness import IRS
from torchdisentangle.supervised.row_metric import CodeFactorSample
from torchdisentangle.supervised.sap import SAP, DiscreteSAP

__all__ = [
    "DCI",
    "DCIMIG",
    "IRS",
    "JEMMIG",
    "SAP",
    "BetaVAEScore",
    "CodeFactorSample",
    "DiscreteSAP",
    "Explicitness",
    "FactorVAEScore",
    "MIGSup",
    "Minimality",
    "Modularity",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "PosteriorMinimality",
    "PosteriorMutualInformationGap",
    "PosteriorSufficiency",
    "RobustMIG",
    "Sufficiency",
    "ZMax",
    "supervised_metrics",
]
