"""Collectives that several processes must enter together: sums of tensors, and agreement on sizes.

Each succeeds on a process with the result of all, or raises a :class:`ReductionError`. If a process fails, is late, or
does something else, the others raise within the group's time-out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_MAX_NDIM = 4
_ABSENT = -1  # stands for the size of a dimension in the header of a process that has no data yet
_SMALLEST = torch.iinfo(torch.int64).min


class ReductionError(RuntimeError):
    """The states of the processes could not be brought together; the message names the metrics."""


@contextmanager
def explained(names: str, group: Any | None = None) -> Iterator[None]:
    """Turn what a backend raises when a process is missing into a :class:`ReductionError` that names the metrics.

    Args:
        names: of the metrics.
        group: the process group; ``None``: all processes.
    """
    try:
        yield
    except ReductionError:
        raise
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise ReductionError(
            f"{names}: process {dist.get_rank(group)} could not reduce with the other {dist.get_world_size(group) - 1}"
            f": one failed, or did not arrive within the time-out of the process group ({reason})"
        ) from error


def agree_on_content(description: str, device: torch.device, group: Any | None = None) -> int:
    """Make sure that all processes come with the same metrics.

    Args:
        description: of the metrics and their settings.
        device: of the message.
        group: the process group; ``None``: all processes.

    Returns:
        A number that stands for the description, to sign further messages with.

    Raises:
        ReductionError: on every process, if the descriptions differ.
    """
    signature = int.from_bytes(hashlib.blake2b(description.encode(), digest_size=7).digest(), "big")
    if agree_on_sizes([signature], device, group) is None:
        raise ReductionError(f"the processes hold different metrics or settings; this one has {description}")
    return signature


def agree_on_sizes(sizes: Sequence[int], device: torch.device, group: Any | None = None) -> tuple[int, ...] | None:
    """Find the sizes that all processes with data have in common, in one collective.

    Args:
        sizes: of this process's data, as many on every process; -1 where it has no data.
        device: of the message.
        group: the process group; ``None``: all processes.

    Returns:
        The sizes, -1 where no process has data; ``None`` if the processes disagree.
    """
    own = torch.tensor(sizes, dtype=torch.int64)
    both = torch.stack([own, torch.where(own >= 0, -own, _SMALLEST)]).to(device)
    dist.all_reduce(both, op=dist.ReduceOp.MAX, group=group)  # the maximum of x and of -x
    largest, smallest = both.cpu().unbind()
    if bool(((largest >= 0) & (largest != -smallest)).any()):
        return None
    return tuple(largest.tolist())


def sum_over_processes(
    states: Sequence[Tensor], signature: int, device: torch.device, group: Any | None = None
) -> list[Tensor]:
    """Totals of tensors over all processes: one collective to agree on shapes, and one for each dtype.

    A scalar adds to anything, and missing rows at the end count as zeros (a process may have seen fewer classes). Bytes
    do not depend on the number of samples.

    Args:
        states: as many on every process, float64 or int64.
        signature: the same number on every process; it tells this message from any other of the same size.
        device: of the messages.
        group: the process group; ``None``: all processes.

    Returns:
        The totals, in the largest of the processes' shapes.

    Raises:
        ReductionError: on every process, if the shapes do not fit.
        RuntimeError: if another process takes part with a different communication.
    """
    shapes = _agree_on_shapes(states, device, group)
    totals: list[Tensor] = list(states)
    for dtype in (torch.float64, torch.int64):
        positions = [i for i, state in enumerate(states) if state.dtype == dtype]
        if not positions:
            continue
        flat = torch.cat([_padded(states[i], shapes[i]) for i in positions])
        parts = _signed_sum(flat, signature, group).split([shapes[i].numel() for i in positions])
        for i, total in zip(positions, parts, strict=True):
            totals[i] = total.view(shapes[i])
    return totals


def _signed_sum(flat: Tensor, signature: int, group: Any | None) -> Tensor:
    """The sum, in one message that is signed: a backend adds up whatever has the right size, from any communication."""
    signed = torch.cat([flat, flat.new_full((1,), signature % 2**40)])  # its sum is exact also in float64
    dist.all_reduce(signed, group=group)
    if signed[-1] != signature % 2**40 * dist.get_world_size(group):
        raise RuntimeError("another process took part with a different communication")
    return signed[:-1]


def _agree_on_shapes(states: Sequence[Tensor], device: torch.device, group: Any | None) -> list[torch.Size]:
    sizes = torch.full((len(states), 1 + _MAX_NDIM), _ABSENT, dtype=torch.int64)
    for row, state in zip(sizes, states, strict=True):
        row[: 1 + state.ndim] = torch.tensor([state.ndim, *state.shape])
    present = sizes[:, :1] > 0
    bounds = torch.stack([sizes, torch.where(present, -sizes, _SMALLEST)]).to(device)
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
