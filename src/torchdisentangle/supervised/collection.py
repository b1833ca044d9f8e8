"""The supervised scores by their short names, and collections of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchmetrics import Metric, MetricCollection

from torchdisentangle.statistics.collection import StatisticCollection
from torchdisentangle.statistics.factors import Continuous
from torchdisentangle.supervised.dci import DCI
from torchdisentangle.supervised.explicitness import Explicitness
from torchdisentangle.supervised.intervention import BetaVAEScore, FactorVAEScore, ZMax
from torchdisentangle.supervised.robustness import IRS
from torchdisentangle.supervised.row_metric import RowMetric
from torchdisentangle.supervised.sap import SAP, DiscreteSAP

SCORES: dict[str, type[Any]] = {
    "sap": SAP,
    "irs": IRS,
    "factor_vae": FactorVAEScore,
    "z_max": ZMax,
    "beta_vae": BetaVAEScore,
    "dci": DCI,
    "explicitness": Explicitness,
    "discrete_sap": DiscreteSAP,
}
"""The scores by the names under which they are logged."""

QUICK = ("sap", "irs", "factor_vae")
"""Those that take well under a second, and need no extra."""

SLOW = ("dci", "explicitness", "discrete_sap", "beta_vae")
"""Those that fit predictors of scikit-learn to the rows: up to minutes for factors with many values."""


def supervised_metrics(
    names: Sequence[str] | None = None,
    *,
    max_rows: int = 10_000,
    continuous: Continuous = False,
    factor_names: Sequence[str] | None = None,
    seed: int = 0,
    **settings: Any,
) -> StatisticCollection:
    """Supervised scores as a collection in which those of one state are updated and reduced once.

    Args:
        names: which, of :data:`SCORES`; by default all.
        max_rows: how many rows the scores that need rows keep.
        continuous: columns of the factors that are real numbers; ``True``: all.
        factor_names: for messages and figures.
        seed: of the sample of rows, and of what is drawn or fitted.
        settings: further ones of all members, such as ``sync_on_compute``.

    Returns:
        A collection with the names as members.

    Raises:
        ValueError: for an unknown name.
        ImportError: if a score needs scikit-learn and it is missing.

    Example:
        >>> import torch
        >>> metrics = supervised_metrics(["sap", "irs", "factor_vae"])
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> metrics.update(1.0 * factors, factors)
        >>> {name: round(float(value), 3) for name, value in metrics.compute().items()}
        {'factor_vae': 1.0, 'irs': 1.0, 'sap': 1.0}
        >>> len(metrics.compute_groups)
        2
    """
    members: dict[str, Metric | MetricCollection] = {}
    for name in SCORES if names is None else names:
        if name not in SCORES:
            raise ValueError(f"there is no score {name!r}; there are {', '.join(SCORES)}")
        score = SCORES[name]
        own = {"factor_names": factor_names, **settings}
        if issubclass(score, RowMetric):
            own |= {"max_rows": max_rows, "continuous": continuous, "seed": seed}
        members[name] = score(**own)
    return StatisticCollection(members)
