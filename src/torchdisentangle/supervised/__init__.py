"""Scores of codes against known factors.

All take ``update(codes, factors, log_variance=None, index=None)``: codes or posterior means ``(n, d)``, factor values
``(n, F)``.

From the information of binned codes about factors, in one shared state: :class:`MutualInformationMatrix`,
:class:`MutualInformationGap`, :class:`MIGSup`, :class:`DCIMIG`, :class:`Modularity`; and of binned posteriors:
:class:`RobustMIG`, :class:`JEMMIG`.
"""

from torchdisentangle.supervised.code_gaps import DCIMIG, MIGSup
from torchdisentangle.supervised.information import MutualInformationMatrix
from torchdisentangle.supervised.mig import MutualInformationGap
from torchdisentangle.supervised.modularity import Modularity
from torchdisentangle.supervised.robust import JEMMIG, RobustMIG

__all__ = [
    "DCIMIG",
    "JEMMIG",
    "MIGSup",
    "Modularity",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "RobustMIG",
]
