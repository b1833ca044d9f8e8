"""Shapes of traversals that are known: lines on and off an axis, circles, and what the rows allow."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle import TraversalShape
from torchdisentangle.functional import traversal_shape

LINE = torch.linspace(0, 1, 8, dtype=torch.float64)
ZERO = torch.zeros_like(LINE)
TURN = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
GRID = torch.cartesian_prod(torch.arange(4), torch.arange(5))


def shape(*columns: Tensor) -> list[float]:
    return [float(part) for part in traversal_shape(torch.stack(columns, 1)[None])]


@pytest.mark.parametrize(
    ("columns", "axis", "linear", "flatness"),
    [
        ([LINE, ZERO], 1, 1, 1),
        ([LINE], 1, 1, 1),
        ([LINE, LINE], 0, 1, math.sqrt(0.5)),
        ([LINE, -LINE, LINE, LINE], 0, 1, 0.5),  # 1 / sqrt d
        ([TURN.cos(), TURN.sin()], 0, 0, 2 / 7),  # eight points of a circle, steps of length 1
        ([ZERO, ZERO], 0, 0, 0),
        ([ZERO + 0.1, LINE], 1, 1, 1),
    ],
)
def test_known_shapes(columns: list[Tensor], axis: float, linear: float, flatness: float) -> None:
    assert shape(*columns) == pytest.approx([axis, linear, flatness], abs=1e-7)  # roots of rounding
    scaled = [3.0 * column + 5 for column in columns]
    assert shape(*scaled) == pytest.approx([axis, linear, flatness], abs=1e-6)


def test_ratios_by_hand() -> None:
    """Deviations 3 : 1 of uncorrelated codes: three quarters, a half above equal shares."""
    first, second = torch.tensor([3.0, 3, -3, -3]).double(), torch.tensor([1.0, -1, -1, 1]).double()
    assert shape(first, second)[:2] == pytest.approx([0.5, 0.5], abs=1e-12)
    rotated = [(first - second) / math.sqrt(2), (first + second) / math.sqrt(2)]
    assert shape(*rotated)[:2] == pytest.approx([0.0, 0.5], abs=1e-12)  # equal deviations, the same principal axes


def values(metric: Any, codes: Tensor, factors: Tensor = GRID) -> list[float]:
    metric.update(codes.double(), factors)
    value = metric.compute()
    return [float(value[f"traversal_{part}"]) for part in ("axis", "linear", "alignment", "flatness")]


def test_codes_of_a_grid() -> None:
    assert values(TraversalShape(), GRID) == pytest.approx([1, 1, 1, 1], abs=1e-7)
    rotated = torch.stack([GRID.sum(1), GRID[:, 0] - GRID[:, 1]], 1)
    assert values(TraversalShape(), rotated) == pytest.approx([0, 1, 0, math.sqrt(0.5)], abs=1e-6)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    again = GRID.repeat(3, 1)[shuffled]  # rows that agree in all factors are averaged
    noise = torch.tensor([1.0, -1.0, 0.0]).repeat_interleave(20)[shuffled][:, None]
    assert values(TraversalShape(), again + noise, again) == pytest.approx([1, 1, 1, 1], abs=1e-6)


def test_means_over_factors() -> None:
    """The first factor moves along an axis, the second along a diagonal of the two others."""
    codes = torch.stack([GRID[:, 0], GRID[:, 1], GRID[:, 1]], 1)
    metric = TraversalShape()
    axis, linear, alignment, flatness = values(metric, codes)
    of_diagonal = (0.5 - 1 / 3) / (1 - 1 / 3)
    assert metric.per_factor()["axis"].tolist() == pytest.approx([1, of_diagonal], abs=1e-7)
    assert (axis, linear) == pytest.approx((math.sqrt(of_diagonal), 1), abs=1e-7)
    assert alignment == pytest.approx(axis, abs=1e-7)
    assert flatness == pytest.approx((1 + math.sqrt(0.5)) / 2, abs=1e-7)


def test_what_is_not_there() -> None:
    assert values(TraversalShape(), 0 * GRID) == [0, 0, 0, 0]
    assert values(TraversalShape(), GRID[:, :1]) == pytest.approx([0, 0, 0, 0.5], abs=1e-7)  # one factor not encoded
    tied = torch.stack([GRID[:, 0], GRID[:, 0], GRID[:, 1]], 1)
    metric = TraversalShape()
    with pytest.warns(UserWarning, match="no two rows that differ in them alone"):
        assert values(metric, GRID, tied)[0] == pytest.approx(1, abs=1e-7)
    assert metric.unscored_factors() == ["0", "1"]
    with pytest.raises(ValueError, match="none of the factors"):
        values(TraversalShape(), GRID[:4], GRID[:1].expand(4, -1))
