"""Hashes of what rows hold: all bits count, and how rows were listed does not."""

from __future__ import annotations

import torch

from torchdisentangle.functional.device import CPU_SIZES, use_sizes
from torchdisentangle.functional.row_hash import _content, hash_content

GENERATOR = torch.Generator().manual_seed(0)
ROWS = torch.randn(400, 3, generator=GENERATOR).double()


def test_every_bit_counts() -> None:
    row = torch.tensor([[0.3, -7.0]]).double()
    bits = row.view(torch.int64)
    flipped = [bits ^ torch.tensor([[1 << bit, 0], [0, 1 << bit]]) for bit in range(63)]
    others = torch.cat([one.view(torch.float64) for one in flipped] + [-row * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])])
    assert len(torch.cat([row, others]).view(torch.int64).unique(dim=0)) == 129
    assert len(_content([torch.cat([row, others])], 0).unique()) == 129
    assert torch.equal(hash_content([0.0 * row]), hash_content([-0.0 * row]))


def test_rows_of_a_grid_do_not_collide() -> None:
    """Small whole numbers and their halves have few bits that differ; codes in float32 have none in the lower half."""
    grid = torch.cartesian_prod(*6 * [torch.arange(-3, 4)])
    rounded = torch.randn(len(grid), 6, generator=GENERATOR)
    for rows in (grid, grid / 2, rounded, rounded.half()):
        # 64 random bits agree in some pair of 10^5 rows with probability 3e-10
        assert len(_content([rows], 0).unique()) == len(rows)


def test_columns_blocks_and_order_do_not_matter() -> None:
    keys = hash_content([ROWS])
    assert torch.equal(keys, hash_content(list(ROWS.split([1, 2], 1))))
    assert torch.equal(keys.flip(0), hash_content([ROWS.flip(0)]))
    with use_sizes(CPU_SIZES._replace(numbers_at_once=64)):
        assert torch.equal(keys, hash_content([ROWS]))
    assert not (keys == hash_content([ROWS], seed=1)).any()


def test_groups_are_even_also_of_equal_rows() -> None:
    for rows in (torch.arange(20_000)[:, None], torch.arange(20_000)[:, None] % 3, torch.zeros(20_000, 1)):
        keys = hash_content([rows])
        assert len(keys.unique()) == len(rows)
        count = torch.bincount(keys.remainder(20), minlength=20).double()
        assert float(((count - 1000).square() / 1000).sum()) < 50  # chi-squared of 19 degrees: probability 1e-4
