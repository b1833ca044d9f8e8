"""What must hold of the flows of the plane, by rules that were written before the runs that they judge."""

from __future__ import annotations

from collections.abc import Mapping

from judging import Rule
from objectives import OBJECTIVES
from representation import Representation

Seed = Mapping[str, Representation]  # by objective
ML, MTC, CORE = OBJECTIVES


def _of_others(seed: Seed) -> float:
    """The larger total correlation of those that are to have little."""
    return max(seed[name].total_correlation for name in (MTC, CORE))


def _lead(seed: Seed) -> float:
    """How much further the last one's entropies are apart than those of any other."""
    return seed[CORE].fall - max(seed[name].fall for name in (ML, MTC))


SOON: tuple[Rule[Seed], ...] = (
    Rule("maximum likelihood entangles: its total correlation in nats", lambda seed: seed[ML].total_correlation, 0.25),
    Rule(
        "the others do not: the larger of their total correlations over that of maximum likelihood",
        lambda seed: _of_others(seed) / seed[ML].total_correlation,
        0.5,
        below=True,
    ),
    Rule(
        "the last is the most aligned: the core's entropy above the detail's, more than in any other, in nats",
        _lead,
        0.0,
    ),
)
LATER: tuple[Rule[Seed], ...] = (
    Rule(
        "the total entropies agree: their largest difference in nats",
        lambda seed: max(of.total_entropy for of in seed.values()) - min(of.total_entropy for of in seed.values()),
        0.1,
        below=True,
    ),
    Rule(
        "latents of the others are orthogonal: the larger of their total correlations in nats",
        _of_others,
        0.12,
        below=True,
    ),
    Rule(
        "the last is aligned by far: the same difference as above, in nats",
        _lead,
        1.5,
    ),
)
