"""Random numbers that belong to a row, not to a process: hashes of the row's global index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.row_blocks import row_blocks

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # the increment of splitmix64, as a signed integer
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def hash_index(index: Tensor, seed: int = 0) -> Tensor:
    """A pseudo-random 64-bit integer for every row, different for different rows.

    Args:
        index: global positions of rows, integers of any shape.
        seed: another seed gives other numbers.

    Returns:
        ``int64`` of the same shape, uniform over all signed values. The map is a bijection, so no two rows collide.

    Reference:
        Steele et al., *Fast splittable pseudorandom number generators*, OOPSLA 2014 (the mixing function).

    Example:
        >>> hash_index(torch.arange(2))
        tensor([8122567998495415874,  -98572288535562141])
    """
    x = index.to(torch.int64) * _GOLDEN + _seed_offset(seed)
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def hash_content(columns: Sequence[Tensor], seed: int = 0) -> Tensor:
    r"""A pseudo-random 64-bit integer for every row that depends on what the row holds.

    Equal rows get different numbers: the first, the second, ... of them each its own. So the numbers of a set of rows,
    and the order that they bring the rows into, depend on the rows alone and not on how they were listed.

    Rows are told apart by a multilinear hash of all their bits,

    .. math:: h = \sum_i a_i w_i \bmod 2^{64}

    with the halves :math:`w_i` of the row's float64 numbers, and odd multipliers :math:`a_i`. Two different rows have
    the same hash with a probability of at most :math:`2^{-32}`, mostly far less.

    Args:
        columns: of the rows, each ``(N, width)``; compared as float64.
        seed: another seed gives other numbers.

    Returns:
        ``int64`` of shape ``(N,)``, on the device of the first column.

    Reference:
        Carter & Wegman, *Universal classes of hash functions*, Journal of Computer and System Sciences 1979.

    Example:
        >>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]).double()
        >>> keys, shuffled = hash_content([rows]), hash_content([rows[[1, 2, 0]]])
        >>> torch.equal(keys.sort().values, shuffled.sort().values), len(keys.unique())
        (True, 3)
    """
    content = _content(columns, seed)
    ordered, order = content.sort(stable=True)
    if not (ordered[1:] == ordered[:-1]).any():  # as mostly: each row is the first of its kind
        return hash_index(content ^ hash_index(torch.zeros_like(content[:1])), seed)
    first = torch.searchsorted(ordered, ordered)  # where the run of equal rows begins
    occurrence = torch.arange(len(ordered), device=content.device) - first
    keys = hash_index(ordered ^ hash_index(occurrence), seed)
    return torch.empty_like(keys).index_copy(0, order, keys)


def hashed_normal(keys: Tensor, size: int, seed: int = 0) -> Tensor:
    """Standard normal noise for every row, the same on every process, in every batch and in every order.

    Args:
        keys: integers ``(N,)`` that tell rows apart: their global index, or its hash.
        size: numbers for each row.
        seed: another seed gives other noise.

    Returns:
        ``(N, size)`` in float64.

    Example:
        >>> noise = hashed_normal(torch.arange(100_000), 2)
        >>> noise.mean(0).abs().max() < 0.02, (noise.std(0) - 1).abs().max() < 0.02
        (tensor(True), tensor(True))
    """
    return RowNoise(keys, size, seed)[:]


class RowNoise:
    """:func:`hashed_normal` for some rows at a time, with what all of them share computed once.

    Args:
        keys: of all rows, integers of any shape.
        size: numbers for each row.
        seed: another seed gives other noise.

    Example:
        >>> keys = torch.arange(10)
        >>> torch.equal(RowNoise(keys, 3)[2:5], hashed_normal(keys, 3)[2:5])
        True
    """

    def __init__(self, keys: Tensor, size: int, seed: int = 0) -> None:
        self._rows, self._streams = hash_index(keys), hash_index(torch.arange(size, device=keys.device), seed)

    def __getitem__(self, rows: slice | tuple[slice, ...]) -> Tensor:
        """The noise of some rows, ``(..., size)`` in float64."""
        bits = hash_index(self._rows[rows][..., None] ^ self._streams)
        uniform = (_shift(bits, 11).double() + 0.5) * 2.0**-53
        return torch.special.ndtri(uniform)


def _content(columns: Sequence[Tensor], seed: int) -> Tensor:
    """A number for every row that is the same for equal rows, and hardly ever for others, ``(N,)``."""
    device, num_words = columns[0].device, 2 * sum(column.shape[1] for column in columns)
    multipliers = _multipliers(num_words, seed, device)
    content = torch.empty(len(columns[0]), dtype=torch.int64, device=device)
    for part in row_blocks(len(content), num_words, sizes_of(device).numbers_each(4)):
        values = torch.cat([column[part].to(device, torch.float64) for column in columns], dim=1)
        words = (values + 0.0).view(torch.int32)  # minus zero is zero
        torch.sum(words * multipliers, 1, out=content[part])
    return content


@lru_cache(16)
def _multipliers(number: int, seed: int, device: torch.device) -> Tensor:
    """Random odd numbers, so that each word matters; batches mostly have as many columns as those before."""
    return hash_index(torch.arange(number, device=device), seed) | 1


def _seed_offset(seed: int) -> int:
    """What a seed adds to every row's number, as a signed 64-bit integer."""
    mixed = (seed + 1) * (_FIRST ^ _SECOND) % 2**64
    return mixed - 2**64 if mixed >= 2**63 else mixed


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; torch's own shift repeats the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
