"""Where processes of one machine can run at once: on its cores, and on shares of its GPUs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import torch

_ROUNDING = 1e-9  # 1 / 0.1 and the like, which floats miss by less


def places(workers: int | None, num_cpus: int, num_gpus: float) -> list[str | None]:
    """The GPUs that each process sees, as ``CUDA_VISIBLE_DEVICES`` names them; ``None``: those that this one sees.

    Args:
        workers: number of processes; ``None``: as many as there is room for.
        num_cpus: cores of a process.
        num_gpus: GPUs of a process, also a fraction of one.

    Raises:
        ValueError: if there are not enough GPUs.

    Example:
        >>> places(2, 1, 0.0)
        [None, None]
    """
    most = max(1, _cores() // num_cpus) if workers is None else workers
    if num_gpus == 0:
        return [None] * most
    gpus = _visible_gpus()
    found = shares(gpus, num_gpus)
    if not found or (workers is not None and workers > len(found)):
        raise ValueError(f"{most} workers with {num_gpus} GPUs each need more than there are: {len(gpus)}")
    return [*found[:most]]


def shares(gpus: Sequence[str], num_gpus: float) -> list[str]:
    """Shares of GPUs, so that the first ones are on different GPUs.

    Raises:
        ValueError: if a share is more than one GPU, but no whole number of them.

    Example:
        >>> shares(["0", "1"], 0.4), shares(["0", "1", "2"], 2)
        (['0', '1', '0', '1'], ['0,1'])
    """
    if num_gpus < 1:
        return [*gpus] * math.floor(1 / num_gpus + _ROUNDING)
    size = int(num_gpus)
    if size != num_gpus:
        raise ValueError(f"num_gpus above 1 must be a whole number, got {num_gpus}")
    return [",".join(gpus[first : first + size]) for first in range(0, len(gpus) - size + 1, size)]


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _visible_gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [*map(str, range(torch.cuda.device_count()))] if named is None else [gpu for gpu in named.split(",") if gpu]
