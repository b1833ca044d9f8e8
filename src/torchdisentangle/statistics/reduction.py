"""One reduction for all sums: what crosses the network is a short header and one all-reduce for each dtype."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torchdisentangle.statistics.base import Statistic

_MAX_NDIM = 4
_ABSENT = -1  # stands for the size of a dimension in the header of a process that has no data yet


def all_reduce_sums(statistics: Sequence[Statistic], group: Any | None = None) -> None:
    """Replace the sums of statistics by their totals over all processes.

    Three kinds of collectives, whatever the number of metrics: one that makes sure that all processes came with the
    same metrics, one that agrees on the shapes (a process without data has none yet), and one for each dtype. Bytes do
    not depend on the number of samples.

    Args:
        statistics: the same list on every process.
        group: the process group; ``None``: all processes.

    Raises:
        RuntimeError: on every process, if the processes hold different metrics or sums of different shapes.
    """
    device = statistics[0].device
    sums = [(statistic, name) for statistic in statistics for name in statistic.sum_names]
    _agree_on_metrics(statistics, device, group)
    shapes = _agree_on_shapes([getattr(statistic, name) for statistic, name in sums], device, group)
    for dtype in (torch.float64, torch.int64):
        packed = [
            (statistic, name, shape)
            for (statistic, name), shape in zip(sums, shapes, strict=True)
            if getattr(statistic, name).dtype == dtype
        ]
        if not packed:
            continue
        flat = torch.cat([_padded(getattr(statistic, name), shape) for statistic, name, shape in packed])
        dist.all_reduce(flat, group=group)
        parts = flat.split([shape.numel() for _, _, shape in packed])
        for (statistic, name, shape), total in zip(packed, parts, strict=True):
            setattr(statistic, name, total.view(shape))


def _agree_on_metrics(statistics: Sequence[Statistic], device: torch.device, group: Any | None) -> None:
    described = repr([(type(s).__name__, s.state_names, s.configuration.tolist()) for s in statistics])
    signature = int.from_bytes(hashlib.blake2b(described.encode(), digest_size=7).digest(), "big")
    both = torch.tensor([signature, -signature], device=device)
    dist.all_reduce(both, op=dist.ReduceOp.MAX, group=group)
    if both[0] != -both[1]:
        raise RuntimeError(f"the processes hold different metrics or settings; this one has {described}")


def _agree_on_shapes(states: Sequence[Tensor], device: torch.device, group: Any | None) -> list[torch.Size]:
    sizes = torch.full((len(states), 1 + _MAX_NDIM), _ABSENT, dtype=torch.int64)
    for row, state in zip(sizes, states, strict=True):
        row[: 1 + state.ndim] = torch.tensor([state.ndim, *state.shape])
    present = sizes[:, :1] > 0
    smallest = torch.where(present, -sizes, torch.iinfo(torch.int64).min)  # the maximum of the negative, where present
    bounds = torch.stack([sizes, smallest]).to(device)
    dist.all_reduce(bounds, op=dist.ReduceOp.MAX, group=group)
    largest, smallest = bounds.cpu().unbind()
    disagree = (largest != -smallest) & (largest[:, :1] > 0)
    disagree[:, 1] = False  # the first dimension counts classes, and a process may have seen fewer of them
    if disagree.any():
        shapes = [tuple(state.shape) for state in states]
        raise RuntimeError(f"the processes hold sums of different shapes; this one has {shapes}")
    return [torch.Size(row[1 : 1 + max(int(row[0]), 0)].tolist()) for row in largest]


def _padded(state: Tensor, shape: torch.Size) -> Tensor:
    if state.shape == shape:
        return state.reshape(-1)
    flat = state.new_zeros(shape.numel())
    if state.ndim:
        flat[: state.numel()] = state.reshape(-1)  # missing classes are missing rows at the end
    elif len(shape) == 0:
        flat[0] = state
    return flat
