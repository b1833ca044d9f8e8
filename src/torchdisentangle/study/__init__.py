"""Studies: many runs of one function, on the cores of a machine or on a cluster, that go on where they were stopped."""

from torchdisentangle.study.agreement import (
    BootstrapEstimate,
    bootstrap_over_runs,
    consensus,
    rank_agreement,
    ranks_of_runs,
    votes_of_kinds,
)
from torchdisentangle.study.run import Run, finished_runs, save_run
from torchdisentangle.study.study import Study
from torchdisentangle.study.variance import variance_shares

__all__ = [
    "BootstrapEstimate",
    "Run",
    "Study",
    "bootstrap_over_runs",
    "consensus",
    "finished_runs",
    "rank_agreement",
    "ranks_of_runs",
    "save_run",
    "variance_shares",
    "votes_of_kinds",
]
