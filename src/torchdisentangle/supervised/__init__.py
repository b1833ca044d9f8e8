"""Scores of codes against known factors.

From the information of binned codes about factors, ``update(codes, factors, log_variance=None, index=None)``:
:class:`MutualInformationMatrix`, :class:`MutualInformationGap`, :class:`MIGSup`, :class:`DCIMIG`, :class:`Modularity`,
:class:`Minimality`, :class:`Sufficiency`, and of binned posteriors :class:`RobustMIG`, :class:`JEMMIG`. Those with the
same bins share one state.

From posteriors without bins, ``update(mean, log_variance, factors, index=None)``:
:class:`PosteriorMutualInformationGap`, :class:`PosteriorMinimality`, :class:`PosteriorSufficiency`.
All but the last take ``update(codes, factors)``, codes ``(n, D)`` and factors ``(n, F)``, and ``index=``, the rows'
positions in the data set, where they keep rows. Those of one state share it.

- Moments of codes and factors: :class:`SAP`.
- Joint counts of binned codes and factors: :class:`MutualInformationMatrix`, :class:`MutualInformationGap`,
  :class:`MIGSup`, :class:`DCIMIG`, :class:`Modularity`; of binned posteriors, ``log_variance=``: :class:`RobustMIG`,
  :class:`JEMMIG`.
- A uniform sample of rows, to fit a predictor to: :class:`DCI`, :class:`Explicitness`, :class:`DiscreteSAP`; to find
  groups in that agree in a factor: :class:`IRS`, :class:`BetaVAEScore`, :class:`FactorVAEScore`, :class:`ZMax`; and
  the rows themselves: :class:`CodeFactorSample`.
- Posteriors without bins, ``update(mean, log_variance, factors, index=None)``: :class:`PosteriorMutualInformationGap`.
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
