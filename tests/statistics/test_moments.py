"""Moments of rows over processes: those of all rows, in messages whose size does not depend on the processes."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.helpers import RunProcesses
from torchdisentangle.statistics import RowMoments, Statistic

ROWS = 1e6 + torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).double()
GROUPS = torch.arange(60) % 4


class GroupedMoments(Statistic):
    """Moments of four groups of rows."""

    def __init__(self) -> None:
        super().__init__("grouped moments")
        self.moments = RowMoments(num_groups=4)
        self.add_state_of(self.moments)

    def update(self, rows: Tensor, groups: Tensor) -> None:
        self.moments.add(self, rows, groups=groups)

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.num_rows, self.row_mean, self.row_products


def work(rank: int, cuts: list[int]) -> tuple[tuple[Tensor, Tensor, Tensor], int]:
    """The moments of all, and the bytes that this process was sent."""
    metric, mine = GroupedMoments(), slice(cuts[rank], cuts[rank + 1])
    metric.update(ROWS[mine], GROUPS[mine])
    received = []

    def counted(name: str) -> Any:
        collective = getattr(dist, name)

        def call(into: Any, *args: Any, **settings: Any) -> None:
            received.extend(part.nbytes for part in (into if isinstance(into, list) else [into]))
            collective(into, *args, **settings)

        return call

    with patch.multiple(dist, **{name: counted(name) for name in ("all_reduce", "all_gather")}):
        return metric.compute(), sum(received)


@pytest.mark.parametrize("cuts", [[0, 30, 60], [0, 60, 60], [0, 2, 2, 60]])
def test_processes_have_the_moments_of_all_rows(run_processes: RunProcesses, cuts: list[int]) -> None:
    """Digits are kept beside a mean that is a million standard deviations."""
    for (counts, mean, products), _ in run_processes(len(cuts) - 1, work, cuts):
        for group in range(4):
            rows = ROWS[group == GROUPS]
            assert counts[group] == 15
            torch.testing.assert_close(mean[group], rows.mean(0), rtol=1e-14, atol=0)
            torch.testing.assert_close(products[group], 14 * rows.T.cov(), rtol=1e-8, atol=1e-8)  # eps times 1e6


def test_more_processes_send_no_more_bytes(run_processes: RunProcesses) -> None:
    two, three = (run_processes(len(cuts) - 1, work, cuts)[0][1] for cuts in ([0, 30, 60], [0, 20, 40, 60]))
    assert two == three
