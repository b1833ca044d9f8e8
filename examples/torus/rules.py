"""What must hold of the flows, by rules that were written before the runs that they judge."""

from __future__ import annotations

from collections.abc import Mapping

from judging import Rule
from recovery import Recovered

Seed = Mapping[str, Recovered]  # by objective
ML, MANIFOLDS = "maximum likelihood", "principal manifolds"
SOON: tuple[Rule[Seed], ...] = (
    Rule(
        "principal manifolds come nearer to the spectrum: their mean error over that of maximum likelihood",
        lambda seed: seed[MANIFOLDS].mean_error / seed[ML].mean_error,
        0.5,
        below=True,
    ),
    Rule(
        "and to the latents: their MCPMI with the match, above that of maximum likelihood",
        lambda seed: seed[MANIFOLDS].diagonal - seed[ML].diagonal,
        0.0,
    ),
)
LATER: tuple[Rule[Seed], ...] = (
    Rule(
        "both flows know the distribution: nats per dimension that the worse one misses",
        lambda seed: max(flow.missing for flow in seed.values()),
        0.1,
        below=True,
    ),
    Rule(
        "principal manifolds recover the spectrum: its mean error in nats",
        lambda seed: seed[MANIFOLDS].mean_error,
        0.15,
        below=True,
    ),
    Rule("maximum likelihood does not: its mean error in nats", lambda seed: seed[ML].mean_error, 0.5),
    Rule(
        "latents of principal manifolds are the true ones: MCPMI with the match",
        lambda seed: seed[MANIFOLDS].diagonal,
        0.8,
    ),
    Rule("and share little with the others: MCPMI elsewhere", lambda seed: seed[MANIFOLDS].elsewhere, 0.15, below=True),
    Rule("those of maximum likelihood are not: MCPMI with the match", lambda seed: seed[ML].diagonal, 0.7, below=True),
)
