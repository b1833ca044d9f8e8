"""Scores that compare codes with known factors.

All take ``update(codes, factors)``, codes ``(n, D)`` and factors ``(n, F)``; those that keep rows also take
``index=``, the rows' positions in the data set. They share two states: moments of codes and factors, and a bounded
uniform sample of rows.
"""

from torchdisentangle.supervised.collection import supervised_metrics
from torchdisentangle.supervised.dci import DCI
from torchdisentangle.supervised.explicitness import Explicitness
from torchdisentangle.supervised.intervention import BetaVAEScore, FactorVAEScore, ZMax
from torchdisentangle.supervised.robustness import IRS
from torchdisentangle.supervised.row_metric import CodeFactorSample
from torchdisentangle.supervised.sap import SAP, DiscreteSAP

__all__ = [
    "DCI",
    "IRS",
    "SAP",
    "BetaVAEScore",
    "CodeFactorSample",
    "DiscreteSAP",
    "Explicitness",
    "FactorVAEScore",
    "ZMax",
    "supervised_metrics",
"""Scores of codes against known factors.

From the information of binned codes about factors, ``update(codes, factors, log_variance=None, index=None)``:
:class:`MutualInformationMatrix`, :class:`MutualInformationGap`, :class:`MIGSup`, :class:`DCIMIG`, :class:`Modularity`,
and of binned posteriors :class:`RobustMIG`, :class:`JEMMIG`. Those with the same bins share one state.

From posteriors without bins, ``update(mean, log_variance, factors, index=None)``:
:class:`PosteriorMutualInformationGap`.
"""

from torchdisentangle.supervised.code_gaps import DCIMIG, MIGSup
from torchdisentangle.supervised.information import MutualInformationMatrix
from torchdisentangle.supervised.mig import MutualInformationGap
from torchdisentangle.supervised.modularity import Modularity
from torchdisentangle.supervised.posterior import PosteriorMutualInformationGap
from torchdisentangle.supervised.robust import JEMMIG, RobustMIG

__all__ = [
    "DCIMIG",
    "JEMMIG",
    "MIGSup",
    "Modularity",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "PosteriorMutualInformationGap",
    "RobustMIG",
]
