"""One reduction for all sums: what crosses the network is a short header and one all-reduce for each dtype.

It succeeds on a process with the totals of all, or raises and leaves the process's own states as they were. If a
process fails, is late, or does something else, the others raise a :class:`ReductionError` within the group's time-out.
"""

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


class ReductionError(RuntimeError):
    """The states of the processes could not be brought together; the message names the metrics."""


def reduce_states(statistics: Sequence[Statistic], group: Any | None = None) -> None:
    """Replace the states of statistics by those over all processes, or raise and leave them as they were.

    Args:
        statistics: the same list on every process.
        group: the process group; ``None``: all processes.

    Raises:
        ReductionError: on every process, if they hold different metrics or states of different shapes; and on the
            processes that are left, if one has failed, has not arrived within the group's time-out, or takes part in
            another communication instead.
    """
    before = [{name: getattr(statistic, name) for name in statistic.state_names} for statistic in statistics]
    try:
        all_reduce_sums(statistics, group)
        for statistic in statistics:
            statistic.reduce_others(group)
    except BaseException as error:
        for statistic, states in zip(statistics, before, strict=True):
            for name, state in states.items():
                setattr(statistic, name, state)
        if not isinstance(error, RuntimeError) or isinstance(error, ReductionError):
            raise
        names = ", ".join(dict.fromkeys(type(statistic).__name__ for statistic in statistics))
        reason = str(error).strip().split("\n")[0][:300]
        raise ReductionError(
            f"{names}: process {dist.get_rank(group)} could not reduce with the other {dist.get_world_size(group) - 1}"
            f": one failed, or did not arrive within the time-out of the process group ({reason})"
        ) from error


def all_reduce_sums(statistics: Sequence[Statistic], group: Any | None = None) -> None:
    """Replace the sums of statistics by their totals over all processes.

    Three kinds of collectives, whatever the number of metrics: one that makes sure that all processes came with the
    same metrics, one that agrees on the shapes (a process without data has none yet), and one for each dtype. Bytes do
    not depend on the number of samples.

    Args:
        statistics: the same list on every process.
        group: the process group; ``None``: all processes.

    Raises:
        ReductionError: on every process, if the processes hold different metrics or sums of different shapes; and
            where a message came from something else than this reduction.
    """
    device = statistics[0].device
    sums = [(statistic, name) for statistic in statistics for name in statistic.sum_names]
    signature = _agree_on_metrics(statistics, device, group)
    shapes = _agree_on_shapes([getattr(statistic, name) for statistic, name in sums], device, group)
    totals: list[tuple[Statistic, str, Tensor]] = []
    for dtype in (torch.float64, torch.int64):
        packed = [
            (statistic, name, shape)
            for (statistic, name), shape in zip(sums, shapes, strict=True)
            if getattr(statistic, name).dtype == dtype
        ]
        if not packed:
            continue
        flat = torch.cat([_padded(getattr(statistic, name), shape) for statistic, name, shape in packed])
        parts = _sum_over_processes(flat, signature, group).split([shape.numel() for _, _, shape in packed])
        totals += [
            (statistic, name, total.view(shape)) for (statistic, name, shape), total in zip(packed, parts, strict=True)
        ]
    for statistic, name, total in totals:
        setattr(statistic, name, total)


def _sum_over_processes(flat: Tensor, signature: int, group: Any | None) -> Tensor:
    """The sum, in one message that is signed: a backend adds up whatever has the right size, from any communication."""
    signed = torch.cat([flat, flat.new_full((1,), signature % 2**40)])  # its sum is exact also in float64
    dist.all_reduce(signed, group=group)
    if signed[-1] != signature % 2**40 * dist.get_world_size(group):
        raise RuntimeError("another process took part with a different communication")
    return signed[:-1]


def _agree_on_metrics(statistics: Sequence[Statistic], device: torch.device, group: Any | None) -> int:
    described = repr([(type(s).__name__, s.state_names, s.configuration.tolist()) for s in statistics])
    signature = int.from_bytes(hashlib.blake2b(described.encode(), digest_size=7).digest(), "big")
    both = torch.tensor([signature, -signature], device=device)
    dist.all_reduce(both, op=dist.ReduceOp.MAX, group=group)
    if both[0] != -both[1]:
        raise ReductionError(f"the processes hold different metrics or settings; this one has {described}")
    return signature


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
        raise ReductionError(f"the processes hold sums of different shapes; this one has {shapes}")
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
