"""The supervised scores by their short names, which the classes declare themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torchmetrics import Metric

if TYPE_CHECKING:
    from torchdisentangle.supervised.base import SupervisedScore

_DEFAULT_NEEDS = frozenset({"interventions", "scikit-learn"})  # what the default scores may need


class RegisteredScore(NamedTuple):
    """A score with a short name.

    Args:
        score: the class.
        settings: those that make this variant of it.
    """

    score: type[SupervisedScore]
    settings: Mapping[str, Any]

    @property
    def cost(self) -> Literal["quick", "slow"]:
        """Whether it takes well under a second, or seconds to minutes."""
        return self.score.cost

    @property
    def by_default(self) -> bool:
        """Whether it is among those that are computed where none are named."""
        return self.score.by_default

    @property
    def needs(self) -> frozenset[str]:
        """What it needs beside codes and factors."""
        return self.score._needs_of(**self.settings)


_SCORES: dict[str, RegisteredScore] = {}


def register(score: type[SupervisedScore]) -> None:
    """Add a class with a name to the registry; a class that was defined again replaces itself.

    Args:
        score: the class.

    Raises:
        TypeError: if another class has a name of this one.
    """
    for key, settings in _variants_of(score).items():
        known = _SCORES.get(key)
        if known is not None and known.score.__qualname__ != score.__qualname__:
            raise TypeError(f"{score.__name__} cannot be called {key!r}: that is {known.score.__name__}")
        _SCORES[key] = RegisteredScore(score, settings)


def registered_scores() -> dict[str, RegisteredScore]:
    """All supervised scores by their short names, also those that a user defined.

    Example:
        >>> registered_scores()["posterior_mig"].settings
        {'estimator': 'posterior'}
        >>> sorted(registered_scores()["dci"].needs)
        ['scikit-learn']
    """
    return dict(_SCORES)


def default_scores(cost: Literal["quick", "slow"]) -> tuple[str, ...]:
    """Names of the scores that are worth watching on any data: they need neither posteriors nor rows of a design.

    Scores that say much the same as others, or are rarely reported, have ``by_default = False`` and are made by name.

    Args:
        cost: ``"quick"``: well under a second and without extras; ``"slow"``: those that fit predictors to rows.

    Example:
        >>> "mig" in default_scores("quick"), "dci" in default_scores("quick"), "dci" in default_scores("slow")
        (True, False, True)
    """
    return tuple(
        key
        for key, entry in sorted(_SCORES.items())
        if entry.by_default and entry.cost == cost and entry.needs <= _DEFAULT_NEEDS
    )


def key_of(metric: Metric) -> str:
    """The name under which a metric is logged: a score's short name, otherwise its class's name in lower case.

    Args:
        metric: any metric.

    Example:
        >>> from torchdisentangle import MutualInformationGap
        >>> key_of(MutualInformationGap()), key_of(MutualInformationGap(estimator="posterior"))
        ('mig', 'posterior_mig')
    """
    cls = type(metric)
    if vars(cls).get("name"):
        for key, settings in sorted(_variants_of(cls).items(), key=lambda variant: -len(variant[1])):
            if all(getattr(metric, name) == value for name, value in settings.items()):
                return key
        return str(vars(cls)["name"])
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def _variants_of(score: type) -> Mapping[str, Mapping[str, Any]]:
    """Those that the class declares itself; what it inherits belongs to another name."""
    return vars(score).get("variants") or {vars(score)["name"]: {}}
