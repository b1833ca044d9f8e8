r"""Logarithms of sums of exponentials that were made by products of matrices, and what such sums lose to underflow.

A product of matrices sums exponentials :math:`e^{x_n - t}` with one shift :math:`t` for many sums, so that some of them
may underflow. They are left out, with an upper bound of what is missing. When all blocks of rows are added up, most of
what was left out is too little to matter, and only the rest has to be summed from the logarithms. So a GPU is asked
once, and not in every block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_TINY = 1e-290  # sums below this have lost digits
_NEGLIGIBLE = math.log(2.0**-80)  # the share of a sum that changes no digit of it, in however many blocks


class LogSums(NamedTuple):
    """Logarithms of sums, without those that underflowed, and upper bounds of what is left out; of one shape."""

    value: Tensor
    left_out: Tensor

    def merge(self, other: LogSums) -> LogSums:
        """The logarithms of the sums of both."""
        return LogSums(torch.logaddexp(self.value, other.value), torch.maximum(self.left_out, other.left_out))

    @property
    def doubtful(self) -> Tensor:
        """Where what is left out might change a digit, booleans."""
        return self.left_out > self.value + _NEGLIGIBLE


def log_sums(sums: Tensor, shift: Tensor, present: Tensor | None = None) -> LogSums:
    r"""Logarithms of shifted sums, :math:`\log s + t`.

    Args:
        sums: :math:`s`, of numbers up to 1.
        shift: :math:`t`, broadcasts with the sums.
        present: where anything was added up; by default everywhere.

    Returns:
        The logarithms; :math:`-\infty` where the sum underflowed, or nothing is present.

    Example:
        >>> found = log_sums(torch.tensor([1.0, 0.0]).double(), torch.zeros(1).double())
        >>> found.value, found.doubtful
        (tensor([0., -inf], dtype=torch.float64), tensor([False,  True]))
    """
    lost = sums < _TINY
    value = (sums.masked_fill(lost, 1.0).log() + shift).masked_fill(lost, -torch.inf)
    bound = (shift + math.log(_TINY)).expand_as(sums)
    return LogSums(value, bound.masked_fill(~lost if present is None else ~(lost & present), -torch.inf))


def no_log_sums(value: Tensor) -> LogSums:
    """Of no numbers at all, in the shape of a tensor."""
    nothing = torch.full_like(value, -torch.inf)
    return LogSums(nothing, nothing)
