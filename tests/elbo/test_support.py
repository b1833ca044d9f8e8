"""IOSS and HFS: supports whose distance from a box is known."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import directed_hausdorff
from torch import Tensor

from torchdisentangle import IOSS, HausdorffFactorizedSupport
from torchdisentangle.functional import hausdorff_factorization, independence_of_support

GENERATOR = torch.Generator().manual_seed(0)
SQUARE = torch.rand(4000, 2, generator=GENERATOR).double()
LINE = torch.linspace(0, 1, 4000, dtype=torch.float64)
DIAGONAL = torch.stack([LINE, LINE], 1)


def value(metric: Any, codes: Tensor) -> float:
    metric.update(codes, index=torch.arange(len(codes)))
    return float(metric.compute())


def test_ioss_of_a_square_and_of_its_diagonal() -> None:
    """At 99 % the distance |x - y| / sqrt(2) of a uniform point from the diagonal is 0.9 of the trimmed width."""
    assert value(IOSS(), SQUARE) == pytest.approx(0.019, abs=0.003)  # spread of such samples
    assert value(IOSS(tail=0.0), SQUARE) == pytest.approx(0.028, abs=0.008)
    closed_form = 0.9 * 0.98 / math.sqrt(2)
    # the quantile of 10,000 points has a standard error of 0.7 %
    assert value(IOSS(), DIAGONAL) == pytest.approx(closed_form, rel=0.02)
    corner = 0.98 / math.sqrt(2)  # the farthest point of the trimmed box
    assert 0.97 * corner < value(IOSS(tail=0.0), DIAGONAL) <= corner


def test_ioss_of_a_disc() -> None:
    disc = 2 * torch.rand(20_000, 2, generator=GENERATOR).double() - 1
    disc = disc[disc.norm(dim=1) <= 1][:8000]
    assert value(IOSS(), disc) == pytest.approx(0.12, abs=0.01)
    assert value(IOSS(trim=0.0, tail=0.0), disc) <= math.sqrt(0.5) - 0.5 + 0.01  # a corner, and half a gap of the rows


def test_correlated_codes_that_fill_the_square_are_fine() -> None:
    """The density is four times as high around the diagonal as off it."""
    near = (SQUARE[:, 0] - SQUARE[:, 1]).abs() < 0.2
    codes = torch.cat([SQUARE, SQUARE[near], SQUARE[near], SQUARE[near]])
    codes = codes + 1e-9 * torch.arange(len(codes))[:, None]
    assert float(np.corrcoef(codes.numpy().T)[0, 1]) > 0.3
    assert value(IOSS(), codes) == pytest.approx(value(IOSS(), SQUARE), abs=1e-3)


def test_ioss_does_not_see_scale_and_shift_but_warps() -> None:
    codes = torch.stack([LINE, torch.rand(4000, generator=GENERATOR).double()], 1)
    scaled = codes * torch.tensor([-1e3, 0.5]) + 7
    assert value(IOSS(), scaled) == pytest.approx(value(IOSS(), codes), rel=0.05)  # the sign mirrors the points
    assert value(IOSS(), codes**6) > 1.5 * value(IOSS(), codes)


def test_dead_codes_are_left_out() -> None:
    dead = torch.full((4000, 1), 3.0, dtype=torch.float64)
    for build in (IOSS, HausdorffFactorizedSupport):
        assert value(build(), torch.cat([SQUARE, dead], 1)) == value(build(), SQUARE)
        assert value(build(), dead) == 0.0
    assert value(HausdorffFactorizedSupport(), SQUARE[:, :1]) == 0.0  # no pairs
    assert value(IOSS(), LINE[:, None]) == pytest.approx(0.5 / 3999, rel=0.02)  # half a gap


def test_hfs_of_a_grid_and_of_a_line() -> None:
    grid = torch.cartesian_prod(torch.arange(4.0), torch.arange(3.0), torch.arange(2.0))
    assert float(hausdorff_factorization(grid).sum()) == 0.0
    line = torch.linspace(0, 1, 101, dtype=torch.float64)
    distances = hausdorff_factorization(torch.stack([line, line, -line], 1))
    # the corner (0, 1) is half a diagonal from the middle, which is a row
    torch.testing.assert_close(distances, 0.5 * (1 - torch.eye(3)).double(), rtol=0, atol=1e-12)


def test_hfs_is_scipys_hausdorff_distance() -> None:
    codes = torch.rand(12, 3, generator=GENERATOR).double()
    found = hausdorff_factorization(codes)
    for i, j in combinations(range(3), 2):
        pair = codes[:, [i, j]]
        recombined = torch.cartesian_prod(pair[:, 0], pair[:, 1])
        assert float(found[i, j]) == pytest.approx(directed_hausdorff(recombined.numpy(), pair.numpy())[0] ** 2)


def test_hfs_is_a_mean_over_batches_in_units_of_deviations() -> None:
    codes = SQUARE[:300]
    metric = HausdorffFactorizedSupport(batch_size=100)
    standardized = value(metric, codes)
    assert metric.sample_size() == 300
    assert value(HausdorffFactorizedSupport(batch_size=100), 50 * codes) == pytest.approx(standardized, rel=1e-12)
    plain = value(HausdorffFactorizedSupport(batch_size=100, standardize=False), 50 * codes)
    once = value(HausdorffFactorizedSupport(batch_size=100, standardize=False), codes)
    assert plain == pytest.approx(2500 * once, rel=1e-12)
    rows = metric.sample.read(metric)["codes"] / codes.std(0)
    batches = [float(hausdorff_factorization(part)[0, 1]) for part in rows.split(100)]
    assert standardized == pytest.approx(np.mean(batches), rel=1e-12)


def test_hfs_can_be_trained_on() -> None:
    codes = torch.rand(20, 2, generator=GENERATOR).double().requires_grad_()
    hausdorff_factorization(codes).sum().backward()
    assert codes.grad is not None
    assert bool(codes.grad.isfinite().all())
    assert bool((codes.grad != 0).any())


@pytest.mark.parametrize("settings", [{"num_points": 0}, {"trim": 0.5}, {"tail": 1.0}])
def test_bad_settings_of_ioss(settings: Any) -> None:
    with pytest.raises(ValueError, match="num_points must be positive"):
        IOSS(**settings)
    with pytest.raises(ValueError, match="num_points must be positive"):
        independence_of_support(SQUARE, **settings)


def test_bad_settings_of_hfs() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        HausdorffFactorizedSupport(batch_size=1)


def test_plots() -> None:
    for build in (IOSS, HausdorffFactorizedSupport):
        metric = build()
        metric.update(SQUARE[:200])
        assert metric.plot()[0].axes
        assert metric.plot([0.1, 0.2])[0].axes
