"""Metrics that can be estimated in more than one way."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torchdisentangle.statistics.posterior import PosteriorStatistic

Estimator = Literal["bins", "sampling"]


class EstimatedMetric(PosteriorStatistic):
    """Base of metrics with an argument ``estimator``: what is constructed is the subclass for that estimator.

    The estimators need different states, so each is a class of its own that inherits the metric and a statistic.

    Args:
        estimator: which one; subclasses know their own.
        kwargs: settings of the estimator's statistic.

    Raises:
        ValueError: for an unknown estimator.
    """

    is_differentiable: bool = False
    estimator: ClassVar[str] = ""

    def __new__(cls, *args: Any, estimator: Estimator = "bins", **kwargs: Any) -> EstimatedMetric:
        """An instance of the subclass for ``estimator``."""
        if cls.estimator:
            return super().__new__(cls)
        kinds = {kind.estimator: kind for kind in cls.__subclasses__()}
        if estimator not in kinds:
            raise ValueError(f"estimator must be one of {sorted(kinds)}, got {estimator!r}")
        return super().__new__(kinds[estimator])

    def __init__(self, *, estimator: Estimator = "bins", **kwargs: Any) -> None:
        super().__init__(**kwargs)
