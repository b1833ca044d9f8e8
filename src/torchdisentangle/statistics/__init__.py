"""The states that families of metrics share, and how they are reduced across processes."""

from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.collection import StatisticCollection
from torchdisentangle.statistics.range import DataRange
from torchdisentangle.statistics.reduction import ReductionError

__all__ = [
    "DataRange",
    "ReductionError",
    "Statistic",
    "StatisticCollection",
]
