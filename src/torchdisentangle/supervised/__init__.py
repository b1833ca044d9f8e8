"""Scores of codes against known factors.

From the information of binned codes about factors, ``update(codes, factors, log_variance=None, index=None)``:
:class:`MutualInformationMatrix`, :class:`MutualInformationGap`, :class:`MIGSup`, :class:`DCIMIG`, :class:`Modularity`,
:class:`Minimality`, :class:`Sufficiency`, and of binned posteriors :class:`RobustMIG`, :class:`JEMMIG`. Those with the
same bins share one state.

From posteriors without bins, ``update(mean, log_variance, factors, index=None)``:
:class:`PosteriorMutualInformationGap`, :class:`PosteriorMinimality`, :class:`PosteriorSufficiency`.
"""

from torchdisentangle.supervised.code_gaps import DCIMIG, MIGSup
from torchdisentangle.supervised.information import MutualInformationMatrix
from torchdisentangle.supervised.mig import MutualInformationGap
from torchdisentangle.supervised.minimality import Minimality, PosteriorMinimality, PosteriorSufficiency, Sufficiency
from torchdisentangle.supervised.modularity import Modularity
from torchdisentangle.supervised.posterior import PosteriorMutualInformationGap
from torchdisentangle.supervised.robust import JEMMIG, RobustMIG

__all__ = [
    "DCIMIG",
    "JEMMIG",
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
]
