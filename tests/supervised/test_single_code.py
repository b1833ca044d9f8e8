"""SNC: bins of equal counts, and codes whose accuracy is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle import SNC
from torchdisentangle.functional.supervised.single_code import bins_of_factor, equal_count_edges, values_of_bins

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.stack([torch.randint(size, (900,), generator=GENERATOR) for size in (3, 5)], 1)
JITTER = 0.5 * torch.rand(900, 2, generator=GENERATOR)
NOISE = torch.randn(900, 2, generator=GENERATOR)


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


def test_bins_hold_equally_many_rows() -> None:
    code = torch.randn(1200, generator=GENERATOR).double()
    assert bins_of_factor(code, 6).bincount().tolist() == [200] * 6
    integers = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2, 2]).double()  # equal values are never cut apart
    assert equal_count_edges(integers, 3).tolist() == [0.5, 1.5]
    assert bins_of_factor(torch.ones(5), 3).tolist() == [0] * 5
    assert values_of_bins(torch.tensor([0, 1, 2, 2]), torch.tensor([2, 0, 1, 1]), 3).tolist() == [2, 0, 1]


def test_perfect_codes_in_any_order_and_scale() -> None:
    for codes in (FACTORS, FACTORS.flip(1) * torch.tensor([-2.0, 1e3]), torch.cat([NOISE, FACTORS], 1)):
        assert float(filled(SNC(), codes).compute()) == 1.0
    assert filled(SNC(), torch.cat([NOISE, FACTORS], 1)).matching().tolist() == [2, 3]
    # values are not equally frequent among 600 rows, and bins of a continuous code are: a few rows in each are lost
    assert 0.9 < float(filled(SNC(), FACTORS + JITTER).compute()) < 1


def test_a_bit_that_is_rare() -> None:
    """A fifth of the rows; half of them in the upper bin: 0.5 + 0.2 are right, less than by guessing."""
    bit = (torch.arange(3000) % 5 == 0).long()[:, None]
    score = filled(SNC(), bit + 0.5 * torch.rand(3000, 1, generator=GENERATOR), bit)
    assert float(score.compute()) == pytest.approx(0.70, abs=0.03)  # a third of the rows is tested on


def test_noise_is_at_chance_and_rotations_below() -> None:
    assert filled(SNC(), NOISE).per_factor().tolist() == pytest.approx([1 / 3, 1 / 5], abs=0.08)
    rotated = FACTORS / torch.tensor([2.0, 4.0]) @ torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    assert float(filled(SNC(), rotated).compute()) < 0.7


def test_missing_codes_guess_the_most_frequent_value() -> None:
    skewed = (torch.rand(900, 1, generator=GENERATOR) < 0.3).long()
    assert float(filled(SNC(), torch.zeros(900, 1), skewed).compute()) == pytest.approx(0.7, abs=0.05)
    fewer = filled(SNC(), FACTORS[:, :1])
    assert fewer.matching().tolist() == [0, -1]
    assert float(fewer.per_factor()[0]) == 1.0
    assert float(fewer.per_factor()[1]) == pytest.approx(0.2, abs=0.08)


def test_a_factor_of_one_value() -> None:
    constant = torch.cat([FACTORS[:90], torch.ones(90, 1, dtype=torch.int64)], 1)
    metric = filled(SNC(), FACTORS[:90], constant)
    with pytest.warns(UserWarning, match="leaves out factors"):
        metric.compute()
    assert metric.unscored_factors() == ["2"]
    assert metric.per_factor()[2].isnan()
