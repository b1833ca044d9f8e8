"""States that merge exactly over batches, objects and processes, and the base of all metrics."""

from torchdisentangle.statistics.base import MergedState, MetricSettings, Statistic
from torchdisentangle.statistics.collection import StatisticCollection
from torchdisentangle.statistics.moments import RowMoments
from torchdisentangle.statistics.range import DataRange
from torchdisentangle.statistics.readout import readout
from torchdisentangle.statistics.reduction import ReductionError
from torchdisentangle.statistics.sample import RowSample, SampledRows

__all__ = [
    "DataRange",
    "MergedState",
    "MetricSettings",
    "ReductionError",
    "RowMoments",
    "RowSample",
    "SampledRows",
    "Statistic",
    "StatisticCollection",
    "readout",
]
