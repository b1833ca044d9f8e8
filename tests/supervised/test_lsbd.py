"""D_LSBD: circles, ellipses, lines and noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle import LSBD
from torchdisentangle.functional import rotation_loss

VALUES = torch.arange(64)[:, None]
ANGLE = 2 * math.pi * VALUES[:, 0].double() / 64
GENERATOR = torch.Generator().manual_seed(0)
# principal components come from a singular value decomposition
ROUNDING = 1e-9


def circle(angle: Tensor, times: int = 1) -> Tensor:
    return torch.stack([(times * angle).cos(), (times * angle).sin()], 1)


def filled(codes: Tensor, factors: Tensor = VALUES) -> Any:
    metric = LSBD()
    metric.update(codes.double(), factors)
    return metric


@pytest.mark.parametrize("times", [1, 2, 7])
def test_circles_and_ellipses(times: int) -> None:
    for codes in (circle(ANGLE, times), circle(ANGLE, times) * torch.tensor([3.0, 1.0]), circle(-ANGLE, times)):
        metric = filled(codes)
        assert float(metric.compute()) == pytest.approx(0.0, abs=ROUNDING)
        assert metric.frequencies().tolist() == [times]


def test_a_line_has_no_second_component() -> None:
    """The angle itself: the first Fourier coefficient of a saw-tooth of variance one is sqrt(3) / pi."""
    thousand = torch.arange(1000)[:, None]
    for codes in (thousand, thousand @ torch.tensor([[1, 2, -1]])):  # on an axis, or off it
        assert float(filled(codes, thousand).compute()) == pytest.approx(1 - 3 / math.pi**2, abs=1e-3)


def test_random_codes() -> None:
    noise = torch.randn(64, 2, generator=GENERATOR).double()
    values = [float(filled(torch.randn(64, 2, generator=GENERATOR)).compute()) for _ in range(20)]
    assert sum(values) / 20 == pytest.approx(0.94, abs=0.02)  # of 21 frequencies the best; spread of 20 samples
    assert max(values) <= 1
    assert float(filled(noise).compute()) == pytest.approx(float(filled(5 * noise + 3).compute()), abs=ROUNDING)
    many = torch.arange(2000)[:, None]
    assert float(filled(torch.randn(2000, 2, generator=GENERATOR), many).compute()) == pytest.approx(0.998, abs=0.002)


def test_factors_of_a_torus_and_of_a_rotated_one() -> None:
    factors = torch.cartesian_prod(torch.arange(10), torch.arange(12))
    angles = 2 * math.pi * factors.double() / torch.tensor([10, 12])
    torus = torch.cat([circle(angles[:, 0]), circle(angles[:, 1], 2)], 1)
    mixing = torch.linalg.qr(torch.randn(4, 4, generator=GENERATOR).double())[0]
    for codes in (torus, torus @ mixing):  # linear: any basis will do
        metric = filled(codes, factors)
        assert metric.per_factor().tolist() == pytest.approx([0.0, 0.0], abs=ROUNDING)
        assert metric.frequencies().tolist() == [1, 2]
    entangled = circle(angles.sum(1))  # one circle turned by both
    assert filled(entangled, factors).per_factor().max() > 0.5
    holes = torch.ones(120, dtype=torch.bool)
    holes[:10] = False  # the first factor's first value lacks ten values of the second
    assert float(filled(torus[holes], factors[holes]).compute()) == pytest.approx(0.0, abs=ROUNDING)


def test_what_is_not_there() -> None:
    assert float(filled(torch.zeros(64, 3)).compute()) == 1.0
    assert float(rotation_loss(torch.full((8, 2), 0.1), ANGLE[:8]).loss) == 1.0
    tied = torch.stack([VALUES[:, 0], VALUES[:, 0] // 32], 1)  # the values of one are never complete
    metric = filled(circle(ANGLE), tied)
    with pytest.raises(ValueError, match="no rows of all their values"):
        metric.compute()
    constant = torch.cat([VALUES, 0 * VALUES], 1)
    metric = filled(circle(ANGLE), constant)
    with pytest.warns(UserWarning, match="leaves out factors"):
        assert float(metric.compute()) == pytest.approx(0.0, abs=ROUNDING)
    assert metric.frequencies().tolist() == [1, -1]


def test_coverage() -> None:
    """Two circles of radius one with noise of deviation s: n / (1 + n) of the variance is n = 2 s^2 (1 - 1/V) in noise.

    Of 60 data sets, at least 51 intervals cover: fewer happen with probability 0.0005 where 95 % do.
    """
    factors = torch.cartesian_prod(torch.arange(12), torch.arange(12))
    angles = 2 * math.pi * factors.double() / 12
    clean, noise = torch.cat([circle(angles[:, 0]), circle(angles[:, 1])], 1), 2 * 0.5**2 * (1 - 1 / 12)
    ends = [filled(clean + 0.5 * torch.randn(144, 4, generator=GENERATOR), factors).interval() for _ in range(60)]
    assert sum(float(low) <= noise / (1 + noise) <= float(high) for low, high in ends) >= 51
    assert sum(float(high - low) for low, high in ends) / 60 < 0.12


def test_an_interval_needs_several_traversals() -> None:
    with pytest.raises(ValueError, match="too few rows for an interval: a factor has a single complete traversal"):
        filled(circle(ANGLE) + 0.1).interval()
    exact = filled(circle(ANGLE).repeat(2, 1), torch.stack([VALUES.repeat(2, 1)[:, 0], torch.arange(128) // 64], 1))
    low, high = exact.interval()
    assert float(exact.per_factor()[0]) == pytest.approx(0.0, abs=ROUNDING)
    assert torch.isfinite(low)
    assert torch.isfinite(high)
