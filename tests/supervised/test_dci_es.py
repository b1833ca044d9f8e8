"""Explicitness and size: curves in closed form, probes against scikit-learn, codes whose capacity is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from torchdisentangle import DCIES
from torchdisentangle.functional import LossCurves, explicitness_of_curves, informativeness_of_curves
from torchdisentangle.functional.supervised.capacity import nested_ridge, random_features

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.rand(600, 3, generator=GENERATOR).double()
ROTATION = torch.linalg.qr(torch.randn(3, 3, generator=GENERATOR).double())[0]
NOISE = torch.rand(600, 3, generator=GENERATOR).double()


def scores(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> list[float]:
    metric.update(codes, factors, index=torch.arange(len(codes)))
    value = metric.compute()
    return [float(value[f"dci_es_{part}"]) for part in ("explicitness", "informativeness", "size")]


def test_curves_in_closed_form() -> None:
    capacity = torch.arange(11.0, dtype=torch.float64)
    curves = {
        "zeros": (torch.zeros(11), 1.0),
        "a line": (1 - capacity / 10, 0.0),
        "only the largest": ((capacity < 10).double(), -0.9),
        "all but the smallest": ((capacity < 1).double(), 0.9),
        "half": (torch.full((11,), 0.5), 1.0),
        "nothing": (torch.ones(11), 1.0),
        "worse than a constant": (torch.full((11,), 3.0), 1.0),
        "up again": (torch.tensor([0.0, *([1.0] * 10)]), 1.0),  # the running minimum
    }
    loss = torch.stack([curve.double() for curve, _ in curves.values()], 1)
    found = explicitness_of_curves(LossCurves(capacity, loss, torch.ones(len(curves)).double()))
    assert found.tolist() == pytest.approx([expected for _, expected in curves.values()], abs=1e-12)
    for scale in (0.5, 7.0):  # neither the unit of the loss nor of capacity matters
        again = LossCurves(scale * capacity + 3, scale * loss, torch.full((len(curves),), scale).double())
        torch.testing.assert_close(explicitness_of_curves(again), found)
    known = informativeness_of_curves(LossCurves(capacity, loss, torch.ones(len(curves)).double()))
    assert known.tolist() == pytest.approx([1, 1, 1, 1, 0.5, 0, 0, 1])
    for bad in (capacity[:1], capacity.flip(0)):
        with pytest.raises(ValueError, match="ascending capacities"):
            explicitness_of_curves(LossCurves(bad, loss[: len(bad)], torch.ones(len(curves)).double()))


def test_nested_ridge_is_scikit_learns_for_every_size() -> None:
    features = random_features(FACTORS, 40, GENERATOR)
    fits = nested_ridge(features, NOISE, slice(100, None), [3, 17, 40], 0.01)
    for size, fit in zip((3, 17, 40), fits, strict=True):
        ridge = Ridge(alpha=0.01 * 500).fit(features[100:, :size].numpy(), NOISE[100:].numpy())
        np.testing.assert_allclose(fit, ridge.predict(features[:, :size].numpy()), atol=1e-8)


def test_random_features_have_the_moments_that_are_said() -> None:
    features = random_features(torch.randn(1000, 5, generator=GENERATOR), 500, GENERATOR)
    assert float(features.mean()) == pytest.approx(0.0, abs=0.05)  # 500 features: a standard error of 0.02
    assert float(features.square().mean()) == pytest.approx(1.0, abs=0.05)


def test_linear_probes_read_rotations() -> None:
    for codes in (FACTORS, FACTORS @ ROTATION, torch.cat([FACTORS @ ROTATION, NOISE], 1)):
        explicitness, informativeness, size = scores(DCIES(continuous=True), codes)
        assert (explicitness, informativeness) == pytest.approx((1.0, 1.0), abs=1e-3)  # the penalty
        assert size == pytest.approx(3 / codes.shape[1])


def test_what_is_not_linear_takes_capacity() -> None:
    warped = (FACTORS - 0.5) ** 3
    explicitness, informativeness, _ = scores(DCIES(continuous=True), warped)
    assert 0.85 < explicitness < 0.97
    assert informativeness > 0.9
    curves = DCIES(continuous=True)
    scores(curves, warped)
    assert curves.curves().capacity.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert float(curves.curves().loss[0].mean()) == pytest.approx(0.16, abs=0.03)  # 1 - 0.9165 ** 2 by integration


def test_codes_that_know_nothing_are_explicit_and_uninformative() -> None:
    for codes in (NOISE, torch.zeros(600, 2)):
        explicitness, informativeness, _ = scores(DCIES(continuous=True), codes)
        assert explicitness == pytest.approx(1.0, abs=0.02)
        assert informativeness == pytest.approx(0.0, abs=0.02)


def test_forests_need_depth_for_rotations() -> None:
    forest: Any = {"probe": "random_forest", "continuous": True}
    first = FACTORS[:400, :1]
    perfect, rotated = (scores(DCIES(**forest), codes[:400], first) for codes in (FACTORS, FACTORS @ ROTATION))
    assert perfect[:2] == pytest.approx([0.99, 1.0], abs=0.01)
    assert 0.9 < rotated[0] < 0.97
    assert DCIES(**forest).needs == {"scikit-learn"}
    assert DCIES().needs == frozenset()


def test_discrete_factors_count_wrong_predictions() -> None:
    bits = torch.randint(2, (600, 2), generator=GENERATOR)
    assert scores(DCIES(), bits.double(), bits) == pytest.approx([1.0, 1.0, 1.0])
    metric = DCIES()
    scores(metric, torch.rand(600, 2, generator=GENERATOR), (torch.rand(600, 1, generator=GENERATOR) < 0.2).long())
    assert float(metric.curves().base) == pytest.approx(0.2, abs=0.05)  # the rarer value
    five = torch.randint(5, (600, 1), generator=GENERATOR)
    ordered = DCIES()
    explicitness, informativeness, _ = scores(ordered, five.double(), five)
    assert informativeness == pytest.approx(1.0)
    assert explicitness < 0.95  # a linear function of one code cannot single out the middle values
    assert scores(DCIES(continuous=True), five.double(), five)[:2] == pytest.approx([1.0, 1.0], abs=1e-3)


def test_factors_that_cannot_be_scored() -> None:
    factors = torch.cat([FACTORS[:, :1], torch.ones(600, 1).double()], 1)
    metric = DCIES(continuous=True)
    with pytest.warns(UserWarning, match="leaves out factors"):
        explicitness, informativeness, size = scores(metric, FACTORS, factors)
    assert (explicitness, informativeness, size) == pytest.approx((1.0, 1.0, 1 / 3), abs=1e-3)
    assert metric.unscored_factors() == ["1"]
    assert metric.per_factor()[1].isnan()
    with pytest.raises(ValueError, match="probe must be one of"):
        DCIES("mlp")  # type: ignore[arg-type]
    for wrong in (8, 100):
        with pytest.raises(ValueError, match="max_features must be 16, 32"):
            DCIES(max_features=wrong)
