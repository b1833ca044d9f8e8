"""Scores of codes against known factors.

All take ``update(codes, factors, *, log_variance=None, data=None, index=None)``: codes ``(n, d)``, factors ``(n, F)``,
the log-variances of the codes' posteriors where a score is one of posteriors, the data where it is one of distances
between them, and the rows' positions in the data set. Scores that keep the same of the rows share their state.

- From mutual information, of counts of binned codes, or without bins with ``estimator="neighbours"`` by distances to
  nearest neighbours and with ``estimator="posterior"`` of posteriors:
  :class:`MutualInformationMatrix`, :class:`MutualInformationGap`, :class:`MIGSup`, :class:`DCIMIG`,
  :class:`Modularity`, :class:`Minimality`, :class:`Sufficiency`, :class:`InfoM`, :class:`InfoC`; from binned posteriors
  :class:`RobustMIG`, :class:`JEMMIG` and :class:`Interpretability`, which is both.
- From moments of codes and factors: :class:`SAP`.
- From a uniform sample of rows, to which a predictor is fitted: :class:`DCI`, :class:`Explicitness`,
  :class:`InfoE`, :class:`DiscreteSAP`; or in which groups agree in a factor: :class:`IRS`, :class:`BetaVAEScore`,
  :class:`FactorVAEScore`, :class:`ZMax`. :class:`CodeFactorSample` is the rows themselves.

:func:`supervised_metrics` makes them by their short names; :func:`registered_scores` lists these.
"""

from importlib import import_module
from pkgutil import iter_modules

from torchdisentangle.supervised.axis_alignment import AxisAlignment
from torchdisentangle.supervised.base import SupervisedScore
from torchdisentangle.supervised.beta_vae import BetaVAEScore
from torchdisentangle.supervised.cca import CCA
from torchdisentangle.supervised.collection import SupervisedMetrics, supervised_metrics
from torchdisentangle.supervised.dci import DCI
from torchdisentangle.supervised.dci_es import DCIES
from torchdisentangle.supervised.dcimig import DCIMIG
from torchdisentangle.supervised.dependent_gaps import DependencyAwareGap
from torchdisentangle.supervised.discrete_sap import DiscreteSAP
from torchdisentangle.supervised.distances import DistanceAgreement
from torchdisentangle.supervised.downstream import DownstreamAccuracy
from torchdisentangle.supervised.explicitness import Explicitness
from torchdisentangle.supervised.factor_vae import FactorVAEScore
from torchdisentangle.supervised.info_e import InfoE
from torchdisentangle.supervised.info_mec import InfoC, InfoM
from torchdisentangle.supervised.information import InformationScore
from torchdisentangle.supervised.information_matrix import MutualInformationMatrix
from torchdisentangle.supervised.intervals import Difference, Interval, paired_difference
from torchdisentangle.supervised.irs import IRS
from torchdisentangle.supervised.knockout import NK
from torchdisentangle.supervised.latent_matching import LatentMatchingScore
from torchdisentangle.supervised.linear_r2 import LinearR2
from torchdisentangle.supervised.lsbd import LSBD
from torchdisentangle.supervised.mcc import MCC
from torchdisentangle.supervised.med import MED
from torchdisentangle.supervised.mig import MutualInformationGap
from torchdisentangle.supervised.mig_sup import MIGSup
from torchdisentangle.supervised.minimality import Minimality, Sufficiency
from torchdisentangle.supervised.modularity import Modularity
from torchdisentangle.supervised.moment_score import MomentScore
from torchdisentangle.supervised.omes import OMES
from torchdisentangle.supervised.registry import default_scores, registered_scores
from torchdisentangle.supervised.row_score import CodeFactorSample, Rows, RowScore
from torchdisentangle.supervised.sap import SAP
from torchdisentangle.supervised.single_code import SNC
from torchdisentangle.supervised.soft_gaps import JEMMIG, Interpretability, RobustMIG
from torchdisentangle.supervised.strong_generalization import StrongGeneralizationGap
from torchdisentangle.supervised.traversal import TraversalShape
from torchdisentangle.supervised.unfairness import Unfairness
from torchdisentangle.supervised.unibound import UniBound
from torchdisentangle.supervised.z_max import ZMax

__all__ = [
    "CCA",
    "DCI",
    "DCIES",
    "DCIMIG",
    "IRS",
    "JEMMIG",
    "LSBD",
    "MCC",
    "MED",
    "NK",
    "OMES",
    "SAP",
    "SNC",
    "AxisAlignment",
    "BetaVAEScore",
    "CodeFactorSample",
    "DependencyAwareGap",
    "Difference",
    "DiscreteSAP",
    "DistanceAgreement",
    "DownstreamAccuracy",
    "Explicitness",
    "FactorVAEScore",
    "InfoC",
    "InfoE",
    "InfoM",
    "InformationScore",
    "Interpretability",
    "Interval",
    "LatentMatchingScore",
    "LinearR2",
    "MIGSup",
    "Minimality",
    "Modularity",
    "MomentScore",
    "MutualInformationGap",
    "MutualInformationMatrix",
    "RobustMIG",
    "RowScore",
    "Rows",
    "StrongGeneralizationGap",
    "Sufficiency",
    "SupervisedMetrics",
    "SupervisedScore",
    "TraversalShape",
    "Unfairness",
    "UniBound",
    "ZMax",
    "default_scores",
    "paired_difference",
    "registered_scores",
    "supervised_metrics",
]

for _module in iter_modules(__path__):  # a score registers itself when its module is imported: no list to keep
    import_module(f"{__name__}.{_module.name}")
