"""Studies: many runs of one function, on the cores of a machine or on a cluster, that go on where they were stopped."""

from torchdisentangle.study.run import Run, finished_runs, save_run
from torchdisentangle.study.study import Study

__all__ = ["Run", "Study", "finished_runs", "save_run"]
