"""Rows in blocks whose intermediate results fit in memory."""

from __future__ import annotations

from collections.abc import Iterator


def row_blocks(num_rows: int, numbers_per_row: int, at_once: int = 2**20) -> Iterator[slice]:
    """Cut rows into blocks.

    Args:
        num_rows: how many rows.
        numbers_per_row: how many numbers are held for each row.
        at_once: how many may be held at a time; a block has at least one row. Smaller blocks stay in a processor's
            cache.

    Yields:
        Slices that cover all rows in order.

    Example:
        >>> list(row_blocks(5, 10, at_once=25))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(at_once // max(numbers_per_row, 1), 1)
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))
