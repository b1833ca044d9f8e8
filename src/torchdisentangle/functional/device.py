"""Sizes that follow the device: what is held at once, what memory may be used, and where float64 is done.

A CPU is fastest with intermediate results that stay in its cache. A GPU is fast only with work that fills it, and
waits for every launch: hundreds of times more at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor

Device = torch.device | str


class Sizes(NamedTuple):
    """What suits a device.

    Attributes:
        numbers_at_once: float64 numbers that an intermediate result may hold.
        memory_budget: bytes that the Jacobians of a decoder, and what is needed on the way, may take by default.
        memory_margin: how many times what a decoder itself has alive a derivative of it is taken to need. Decoders and
            flows took 0.5 to 3.5 times that; a CPU is no slower with a wider margin, a GPU is.
        answers_at_once: whether results may be looked at while there is more to do; a GPU has to be waited for.
    """

    numbers_at_once: int
    memory_budget: int
    memory_margin: int
    answers_at_once: bool

    def numbers_each(self, results: int = 1) -> int:
        """Numbers that each of several intermediate results of one size may hold.

        Blocks of rows whose intermediate results are many, and cheap, need not be larger than what keeps a GPU busy.

        Args:
            results: how many share what may be held.

        Example:
            >>> CPU_SIZES.numbers_each(4) == 2**18, GPU_SIZES.numbers_each(4) == 2**22
            (True, True)
        """
        return max(min(self.numbers_at_once // results, _BUSY), 1)


CPU_SIZES = Sizes(numbers_at_once=2**20, memory_budget=2**28, memory_margin=8, answers_at_once=True)
LARGEST_GPU_BUDGET = 2**32
GPU_SIZES = Sizes(2**28, LARGEST_GPU_BUDGET, memory_margin=4, answers_at_once=False)  # with 32 GiB free

_BUSY = 2**22  # 32 MiB: to read and write so many numbers takes a GPU several times as long as a launch
_SHARE_OF_FREE = 8  # one part in so many may be used by default: a model trains beside it
_WITHOUT_FLOAT64 = ("mps",)
_given: ContextVar[Sizes | None] = ContextVar("sizes", default=None)


def sizes_of(device: Device) -> Sizes:
    """The sizes that suit a device.

    Args:
        device: where the work is done.

    Returns:
        Fixed sizes for a CPU; those of another device follow from its free memory at this moment. The block that
        intermediate results take is a part of the memory budget: a piece of float32 Jacobians that fits the budget is
        one block.

    Example:
        >>> sizes_of("cpu").numbers_at_once, sizes_of("cpu").memory_budget == 2**28
        (1048576, True)
    """
    given = _given.get()
    if given is not None:
        return given
    device = torch.device(device)
    if device.type == "cpu":
        return CPU_SIZES
    budget = min(LARGEST_GPU_BUDGET, max(_free_memory(device) // _SHARE_OF_FREE, CPU_SIZES.memory_budget))
    return GPU_SIZES._replace(numbers_at_once=budget // 16, memory_budget=budget)


def sizes_beside_training(device: Device) -> Sizes:
    """The sizes that suit a device on which a model trains, so that an evaluation does not raise its peak of memory.

    Args:
        device: where the work is done.

    Returns:
        Those of :func:`sizes_of` on a CPU. On a GPU the memory that training has used at its peak and does not use at
        this moment may be taken, and 256 MiB more.

    Example:
        >>> sizes_beside_training("cpu") == sizes_of("cpu")
        True
    """
    sizes, device = sizes_of(device), torch.device(device)
    if device.type != "cuda" or _given.get() is not None:
        return sizes
    unused = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
    budget = min(sizes.memory_budget, max(unused, 0) + CPU_SIZES.memory_budget)
    return sizes._replace(numbers_at_once=budget // 16, memory_budget=budget)


@contextmanager
def use_sizes(sizes: Sizes) -> Iterator[None]:
    """Inside this context all devices have the given sizes: to try others, or a GPU's on a CPU.

    Args:
        sizes: what :func:`sizes_of` returns.

    Example:
        >>> with use_sizes(GPU_SIZES):
        ...     print(sizes_of("cpu").memory_budget == 2**32)
        True
    """
    token = _given.set(sizes)
    try:
        yield
    finally:
        _given.reset(token)


class Answer:
    """Numbers that a device sends while it goes on, to be read later.

    It does what it is asked in order: once it was waited for on account of anything else that it was asked after this,
    the numbers are there, and reading them takes no further wait.

    Args:
        numbers: a tensor.

    Example:
        >>> Answer(torch.tensor([True, False])).read()
        [True, False]
    """

    def __init__(self, numbers: Tensor) -> None:
        self._arrival: torch.cuda.Event | None = None
        if numbers.device.type == "cuda":
            on_device, numbers = numbers.device, numbers.to("cpu", non_blocking=True)  # PyTorch pins that memory
            self._arrival = torch.cuda.current_stream(on_device).record_event()
        self._numbers = numbers

    def read(self) -> list:
        """The numbers as Python's, as soon as they have arrived."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return self._numbers.tolist()


def float64_device(device: Device) -> torch.device:
    """Where float64 is done with what lies on a device: there, or on the CPU if the device does not know float64.

    Args:
        device: where the numbers lie.

    Example:
        >>> float64_device("cuda:1"), float64_device("mps")
        (device(type='cuda', index=1), device(type='cpu'))
    """
    device = torch.device(device)
    return torch.device("cpu") if device.type in _WITHOUT_FLOAT64 else device


def to_float64(tensor: Tensor) -> Tensor:
    """The same numbers in float64, on the CPU if the tensor's device does not know float64.

    Args:
        tensor: any shape.

    Example:
        >>> to_float64(torch.ones(2)).dtype
        torch.float64
    """
    return tensor.to(float64_device(tensor.device)).double()  # in two steps: some devices cannot convert on the way


def _free_memory(device: torch.device) -> int:
    """Bytes that tensors could take, those included that PyTorch holds in reserve."""
    if device.type != "cuda":
        return 0  # unknown
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
