"""Neighbours of numbers: how far the k-th is, and how many lie within a distance.

Both work on sorted numbers in segments, and compare differences of the numbers themselves: a search for
:math:`x \\pm r` would take in the neighbour at distance :math:`r` or leave it out as rounding has it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def neighbour_distance(ordered: Tensor, first: Tensor, last: Tensor, num_neighbours: Tensor) -> Tensor:
    """Distance of each number to its k-th nearest neighbour in its segment, itself not counted.

    The nearest ``k`` neighbours of a sorted number are ``j`` on its left and ``k - j`` on its right, for one ``j``.

    Args:
        ordered: ascending within each segment, ``(d, N)``.
        first: where the segment of each number begins, ``(N,)`` integers.
        last: where it ends, exclusive, ``(N,)``.
        num_neighbours: ``k`` of each number, ``(N,)``, less than the size of its segment.

    Returns:
        ``(d, N)``.

    Example:
        >>> ordered, start = torch.tensor([[0.0, 1.0, 3.0, 3.5]]), torch.zeros(4, dtype=torch.int64)
        >>> neighbour_distance(ordered, start, start + 4, start + 2)
        tensor([[3.0000, 2.0000, 2.0000, 2.5000]])
    """
    here = torch.arange(ordered.shape[1], device=ordered.device)
    nearest = torch.full_like(ordered, torch.inf)
    for on_left in range(int(num_neighbours.max()) + 1):
        left, right = here - on_left, here + num_neighbours - on_left
        possible = (on_left <= num_neighbours) & (left >= first) & (right < last)
        left, right = left.where(possible, here), right.where(possible, here)
        distance = torch.maximum(ordered - ordered[:, left], ordered[:, right] - ordered)
        nearest = torch.minimum(nearest, distance.where(possible, torch.inf))
    return nearest


def count_within(ordered: Tensor, first: Tensor, last: Tensor, radius: Tensor) -> Tensor:
    """How many numbers of a segment are nearer than a radius, the number itself and its equals among them.

    Args:
        ordered: ascending within each segment, ``(d, N)``.
        first: where the segment of each number begins, ``(N,)`` integers.
        last: where it ends, exclusive, ``(N,)``.
        radius: of each number, ``(d, N)``, at least 0.

    Returns:
        ``(d, N)`` integers, at least 1.

    Example:
        >>> ordered, start = torch.tensor([[0.0, 1.0, 3.0, 3.0]]), torch.zeros(4, dtype=torch.int64)
        >>> count_within(ordered, start, start + 4, torch.tensor([[1.0, 1.5, 0.0, 9.0]]))
        tensor([[1, 2, 2, 4]])
    """
    here = torch.arange(ordered.shape[1], device=ordered.device).expand_as(ordered)
    inside, outside_left, outside_right = here, first.expand_as(here) - 1, last.expand_as(here)

    def is_inside(place: Tensor) -> Tensor:
        distance = (ordered.gather(1, place) - ordered).abs()
        return (distance < radius) | (distance == 0)

    def farthest(inside: Tensor, outside: Tensor) -> Tensor:
        """The last place inside, on the way from a place inside to one outside."""
        for _ in range(ordered.shape[1].bit_length()):
            middle = (inside + outside).div(2, rounding_mode="floor")
            middle = torch.where((inside - outside).abs() > 1, middle, inside)
            found = is_inside(middle)
            inside, outside = middle.where(found, inside), outside.where(found, middle)
        return inside

    return farthest(inside, outside_right) - farthest(inside, outside_left) + 1
