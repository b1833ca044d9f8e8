"""The supervised scores by their short names, and collections of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from torchmetrics import Metric, MetricCollection

from torchdisentangle.statistics.collection import StatisticCollection
from torchdisentangle.statistics.counts import Ends
from torchdisentangle.statistics.factors import Continuous
from torchdisentangle.supervised.code_gaps import DCIMIG, MIGSup
from torchdisentangle.supervised.dci import DCI
from torchdisentangle.supervised.explicitness import Explicitness
from torchdisentangle.supervised.information import MutualInformationMatrix
from torchdisentangle.supervised.intervention import BetaVAEScore, FactorVAEScore, ZMax
from torchdisentangle.supervised.mig import MutualInformationGap
from torchdisentangle.supervised.modularity import Modularity
from torchdisentangle.supervised.robust import JEMMIG
from torchdisentangle.supervised.robustness import IRS
from torchdisentangle.supervised.sap import SAP, DiscreteSAP

COUNT_SCORES: dict[str, Any] = {
    "mutual_information": MutualInformationMatrix,
    "mig": MutualInformationGap,
    "mig_sup": MIGSup,
    "dcimig": DCIMIG,
    "modularity": Modularity,
    "jemmig": partial(JEMMIG, binning="hard", normalize=True),
}
MOMENT_SCORES: dict[str, Any] = {"sap": SAP}
ROW_SCORES: dict[str, Any] = {
    "irs": IRS,
    "factor_vae": FactorVAEScore,
    "z_max": ZMax,
    "beta_vae": BetaVAEScore,
    "dci": DCI,
    "explicitness": Explicitness,
    "discrete_sap": DiscreteSAP,
}
SCORES = (*COUNT_SCORES, *MOMENT_SCORES, *ROW_SCORES)
"""The names of the scores, under which they are logged; but for the matrix, all are 1 at their ideal."""

QUICK = (*COUNT_SCORES, *MOMENT_SCORES, "irs", "factor_vae")
"""Those that take well under a second, and need no extra."""

SLOW = ("dci", "explicitness", "discrete_sap", "beta_vae")
"""Those that fit predictors of scikit-learn to the rows: seconds, or minutes for factors with many values."""


def supervised_metrics(
    names: Sequence[str] | None = None,
    *,
    max_rows: int = 10_000,
    continuous: Continuous = False,
    factor_names: Sequence[str] | None = None,
    num_bins: int = 20,
    edges: Literal["data", "prior"] | Ends = "data",
    seed: int = 0,
    **settings: Any,
) -> StatisticCollection:
    """Supervised scores as a collection in which those of one state are updated and reduced once.

    Args:
        names: which, of :data:`SCORES`; by default all.
        max_rows: how many rows are kept, by the scores that need rows and those that bin codes by their own range.
        continuous: columns of the factors that are real numbers; ``True``: all.
        factor_names: for messages and figures.
        num_bins: of a code, for the scores of counts.
        edges: of the bins, as for :class:`~torchdisentangle.statistics.counts.JointCountStatistic`.
        seed: of the sample of rows, and of what is drawn or fitted.
        settings: further ones of all members, such as ``sync_on_compute``.

    Returns:
        A collection with the names as members, in at most three compute groups: counts, moments, and rows.

    Raises:
        ValueError: for an unknown name.
        ImportError: if a score needs scikit-learn and it is missing.

    Example:
        >>> import torch
        >>> metrics = supervised_metrics(["mig", "sap", "irs", "factor_vae"])
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> metrics.update(1.0 * factors, factors)
        >>> {name: round(float(value), 3) for name, value in metrics.compute().items()}
        {'factor_vae': 1.0, 'irs': 1.0, 'mig': 1.0, 'sap': 1.0}
        >>> len(metrics.compute_groups)
        3
    """
    named = {"factor_names": factor_names, **settings}
    kept = {"max_rows": max_rows, "continuous": continuous, "seed": seed, **named}
    members: dict[str, Metric | MetricCollection] = {}
    for name in SCORES if names is None else names:
        if name not in SCORES:
            raise ValueError(f"there is no score {name!r}; there are {', '.join(SCORES)}")
        if name in MOMENT_SCORES:
            members[name] = MOMENT_SCORES[name](**named)
        elif name in COUNT_SCORES:
            members[name] = COUNT_SCORES[name](num_bins=num_bins, edges=edges, **kept)
        else:
            members[name] = ROW_SCORES[name](**kept)
    return StatisticCollection(members)
