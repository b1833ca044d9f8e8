"""The aggregate posterior's log-sums, with the rows shared out over processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums


def shared_aggregate_log_sums(
    z: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    *,
    log_weights: Tensor | None = None,
    factors: Tensor | None = None,
    group: Any | None = None,
    **settings: Any,
) -> AggregateLogSums:
    """:func:`~torchdisentangle.functional.aggregate_log_sums`, of which each process computes a share of the rows.

    A collective: all processes of the group must call it, with the same queries and the same rows.

    Args:
        z: queries, ``(S, d)``.
        mean: of all rows, ``(N, d)``.
        log_variance: of all rows, ``(N, d)``.
        log_weights: of all rows, ``(N,)``.
        factors: of all rows, ``(N, F)``.
        group: the process group; ``None``: all processes.
        settings: further arguments of :func:`~torchdisentangle.functional.aggregate_log_sums`.

    Returns:
        The log-sums over all rows, the same on every process.
    """
    share = slice(dist.get_rank(group), None, dist.get_world_size(group))
    own = aggregate_log_sums(
        z,
        mean[share],
        log_variance[share],
        log_weights=None if log_weights is None else log_weights[share],
        factors=None if factors is None else factors[share],
        **settings,
    )
    return all_reduce_log_sums(own, group)


def all_reduce_log_sums(sums: AggregateLogSums, group: Any | None = None) -> AggregateLogSums:
    """Merge the log-sums of processes that hold different rows, at the same queries: two reductions, whatever is in it.

    Args:
        sums: over this process's rows.
        group: the process group; ``None``: all processes.

    Returns:
        The log-sums over the rows of all processes.
    """
    present = [value for value in sums if value is not None]
    flat = torch.cat([value.reshape(-1) for value in present])
    top = flat.clone()
    dist.all_reduce(top, op=dist.ReduceOp.MAX, group=group)
    top = top.clamp(min=torch.finfo(top.dtype).min)  # no row anywhere: minus infinity minus itself is no number
    scaled = (flat - top).exp()
    dist.all_reduce(scaled, group=group)
    parts = iter((scaled.log() + top).split([value.numel() for value in present]))
    return AggregateLogSums._make(None if value is None else next(parts).view(value.shape) for value in sums)
