"""What must hold of the sweep, by rules that were written before the runs that they judge."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean

from judging import Rule
from spectra import Run

Sweep = Sequence[Run]  # the runs of one seed, by rising beta


def _mean(values: Sequence[float | None]) -> float:
    """Of those that there are; NaN if there are none, so that nothing is decided."""
    found = [value for value in values if value is not None]
    return mean(found) if found else float("nan")


def _share_of_inactive(run: Run) -> float | None:
    """Of the total correlation, where there are some active latents and at most half are."""
    if not 0 < run.num_active <= len(run.spectrum) / 2:
        return None
    return 1 - run.active_mtc / run.values["MTC"]


RULES: tuple[Rule[Sweep], ...] = (
    Rule(
        "with the smallest beta nearly all latents are active: their share",
        lambda sweep: sweep[0].num_active / len(sweep[0].spectrum),
        0.9,
    ),
    Rule("with the largest almost none: their number", lambda sweep: sweep[-1].num_active, 1.0, below=True),
    Rule(
        "in between their number falls: the largest rise from a beta to the next",
        lambda sweep: max(more.num_active - fewer.num_active for fewer, more in pairwise(sweep)),
        1.0,
        below=True,
    ),
    Rule(
        "the encoder agrees: by how many its active units differ, at most",
        lambda sweep: max(abs(run.num_active - run.values["active units"]) for run in sweep),
        1.5,
        below=True,
    ),
    Rule(
        "between active and inactive latents there is a cliff: its mean height in nats",
        lambda sweep: _mean([run.cliff for run in sweep]),
        1.0,
    ),
    Rule(
        "the cliff is the largest step of the spectrum: nats above the next",
        lambda sweep: _mean([run.lead for run in sweep]),
        0.0,
    ),
    Rule(
        "where at most half of the latents are active, most of the total correlation is of the others: a share of",
        lambda sweep: _mean([_share_of_inactive(run) for run in sweep]),
        0.5,
    ),
)
