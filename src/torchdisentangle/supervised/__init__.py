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
]
