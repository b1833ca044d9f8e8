"""Rows in blocks whose intermediate results fit in memory."""

from __future__ import annotations

from collections.abc import Iterator

from torchdisentangle.functional.device import Device, sizes_of


def row_blocks(
    num_rows: int, numbers_per_row: int, at_once: int | None = None, *, device: Device = "cpu"
) -> Iterator[slice]:
    """Cut rows into blocks.

    Args:
        num_rows: how many rows.
        numbers_per_row: how many numbers are held for each row.
        at_once: how many may be held at a time; a block has at least one row. ``None``: as many as suit the device.
        device: where the work is done.

    Yields:
        Slices that cover all rows in order.

    Example:
        >>> list(row_blocks(5, 10, at_once=25))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    at_once = sizes_of(device).numbers_at_once if at_once is None else at_once
    size = max(at_once // max(numbers_per_row, 1), 1)
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))
