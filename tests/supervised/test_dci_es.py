"""DCI-ES: curves and importances in closed form, probes against scikit-learn, codes whose capacity is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from torchdisentangle import DCIES
from torchdisentangle.functional import (
    LossCurves,
    explicitness_of_curves,
    informativeness_of_curves,
    shapley_importance,
)
from torchdisentangle.functional.supervised.capacity import RandomFeatures, nested_ridge

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


def test_a_common_range_extends_curves_flat() -> None:
    """As a last point of equal loss does; what a smaller probe would lose is not counted."""
    capacity = torch.tensor([2.0, 3.0, 5.0])
    curves = LossCurves(capacity, torch.tensor([[0.8, 0.4, 0.2]]).mT, torch.ones(1))
    longer = LossCurves(torch.tensor([2.0, 3.0, 5.0, 9.0]), torch.tensor([[0.8, 0.4, 0.2, 0.2]]).mT, torch.ones(1))
    assert float(explicitness_of_curves(curves, (2.0, 9.0))) == pytest.approx(float(explicitness_of_curves(longer)))
    area = (0.6 + 0.2) / 2 + 0.2
    assert float(explicitness_of_curves(curves, (1.0, 9.0))) == pytest.approx(1 - 2 * area / 8)
    for narrow in ((2.5, 9.0), (2.0, 4.0)):
        with pytest.raises(ValueError, match="not in capacity_range"):
            explicitness_of_curves(curves, narrow)


def test_nested_ridge_is_scikit_learns_for_every_size() -> None:
    """Also for more features than the 50 rows that are fitted."""
    features = RandomFeatures.of_random_phase(3, 80, GENERATOR)(FACTORS)
    for rows, sizes in ((500, (3, 17, 80)), (50, (3, 50, 51, 80)), (50, (80,))):
        fits = nested_ridge(features[:rows], NOISE[:rows], sizes, 0.01)
        for size, fit in zip(sizes, fits, strict=True):
            ridge = Ridge(alpha=0.01 * rows).fit(features[:rows, :size].numpy(), NOISE[:rows].numpy())
            np.testing.assert_allclose(fit(features), ridge.predict(features[:, :size].numpy()), atol=1e-8)


def test_random_features_have_the_moments_that_are_said() -> None:
    codes = torch.randn(1000, 5, generator=GENERATOR)
    features = RandomFeatures.of_random_phase(5, 500, GENERATOR)(codes)
    assert float(features.mean()) == pytest.approx(0.0, abs=0.05)  # 500 features: a standard error of 0.02
    assert float(features.square().mean()) == pytest.approx(1.0, abs=0.05)
    pairs = RandomFeatures.of_pairs(5, 500, 0.08, GENERATOR)(codes)
    torch.testing.assert_close(pairs[:, ::2] ** 2 + pairs[:, 1::2] ** 2, torch.full((1000, 250), 2.0).double())
    # their kernel is exp(-(2 pi gain |z - z'|)² / 2); 250 frequencies: a standard error of at most 0.06
    kernel = torch.exp(-(2 * math.pi * 0.08 * (codes[0] - codes[1]).norm()).square() / 2)
    assert float(pairs[0] @ pairs[1]) / 500 == pytest.approx(float(kernel), abs=0.2)


def test_shapley_values_of_a_linear_function() -> None:
    """Of independent codes: each weight's square times the code's variance, all of them what is explained."""
    grid = torch.cartesian_prod(*[torch.arange(4.0).double()] * 3)
    weights = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]]).double()
    values = shapley_importance(lambda z: z @ weights, grid, grid @ weights, grid, GENERATOR)
    torch.testing.assert_close(values.sum(0), (grid @ weights).var(0, correction=0))  # efficiency, whatever the orders
    torch.testing.assert_close(values[2], torch.tensor([0.0, 9.0]).double() * 1.25)
    many = grid.repeat(100, 1)  # 6,400 orders
    values = shapley_importance(lambda z: z @ weights, many, many @ weights, grid, GENERATOR)
    torch.testing.assert_close(values, weights**2 * 1.25, rtol=0, atol=0.15)  # a standard error of 0.05


def test_shapley_values_over_all_orders() -> None:
    """Of a product of bits, by their definition: 3/4 of the variance is that of the product alone."""
    bits = torch.cartesian_prod(*[torch.arange(2.0).double()] * 2)

    def error(known: tuple[int, ...]) -> float:
        mixed = [[torch.stack([row[k] if k in known else other[k] for k in (0, 1)]) for other in bits] for row in bits]
        guesses = torch.stack([torch.stack([z.prod() for z in of_row]).mean() for of_row in mixed])
        return float((bits.prod(1) - guesses).square().mean())

    expected = [
        sum(error(order[: order.index(k)]) - error(order[: order.index(k) + 1]) for order in ((0, 1), (1, 0))) / 2
        for k in (0, 1)
    ]
    assert expected == pytest.approx([3 / 32, 3 / 32])
    many = bits.repeat(2000, 1)
    values = shapley_importance(lambda z: z.prod(1, keepdim=True), many, many.prod(1, keepdim=True), bits, GENERATOR)
    assert values[:, 0].tolist() == pytest.approx(expected, abs=0.01)  # a standard error of 0.002


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
    metric = DCIES(**forest)
    scores(metric, FACTORS)
    curves = metric.curves()
    of_log = LossCurves(curves.capacity.log(), curves.loss, curves.base)  # the axis is part of the score
    assert float(explicitness_of_curves(of_log).mean()) == pytest.approx(0.93, abs=0.02)
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
        DCIES("svm")  # type: ignore[arg-type]
    for wrong in (8, 100):
        with pytest.raises(ValueError, match="max_features must be 16, 32"):
            DCIES(max_features=wrong)
    for few in ((14,), (14, 14), (-1, 14)):
        with pytest.raises(ValueError, match="widths must be at least two different"):
            DCIES(widths=few)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_perceptrons_are_those_of_scikit_learn() -> None:
    """Linear without units; capacity is the logarithm of the parameters that scikit-learn has, mean over factors."""
    warped = (FACTORS - 0.5) ** 3
    metric = DCIES("mlp", widths=(7, 0), continuous=True)
    explicitness, informativeness, _ = scores(metric, warped)
    curves = metric.curves()
    train, test = metric._train_and_test(600)
    codes, factors = metric._rows()
    linear = LinearRegression().fit(codes[train], factors[train])
    missed = (linear.predict(codes[test].numpy()) - factors[test].numpy()) ** 2
    base = ((factors[test] - factors[train].mean(0)) ** 2).mean(0)
    np.testing.assert_allclose(curves.loss[0], missed.mean(0) / base.numpy(), rtol=1e-9)
    assert informativeness > 0.99
    assert explicitness == pytest.approx(1 - float(curves.loss[0].mean()), abs=0.02)  # two probes: a single step
    labels = torch.stack([torch.arange(600) % 3, torch.arange(600) % 5], 1)
    discrete = DCIES("mlp", widths=(0, 7, 9))
    scores(discrete, FACTORS, labels)
    for t, width in enumerate((7, 9), start=1):
        fitted = [MLPClassifier((width, width), max_iter=1).fit(FACTORS, column) for column in labels.unbind(1)]
        numbers = [sum(x.size for x in itertools.chain(one.coefs_, one.intercepts_)) for one in fitted]
        assert float(discrete.curves().capacity[t]) == pytest.approx(math.log(np.mean(numbers)))
    assert float(discrete.curves().capacity[0]) == pytest.approx(math.log(4 * (3 + 5) / 2))
    assert DCIES("mlp").needs == {"scikit-learn"}


def test_fourier_features_read_what_is_smooth() -> None:
    """Capacities are logarithms; more features than training rows do no harm to what fewer read."""
    metric = DCIES("fourier", continuous=True, max_features=512)
    explicitness, informativeness, _ = scores(metric, FACTORS @ ROTATION)
    assert (explicitness, informativeness) == pytest.approx((1.0, 1.0), abs=0.01)
    assert metric.curves().capacity.exp().tolist() == pytest.approx([16, 32, 64, 128, 256, 512])
    assert float(metric.curves().loss[-1].max()) < 1e-3


@pytest.mark.parametrize("probe", ["ridge", "random_forest", "mlp", "fourier"])
def test_disentanglement_and_completeness(probe: Any) -> None:
    """Of the most informative probe: perfect codes, copies, and codes that mix the factors equally."""
    factors = FACTORS[:, :2]
    settings: Any = {"continuous": True, "widths": (0, 7), "max_features": 128}

    def found(codes: Tensor) -> tuple[float, float]:
        metric = DCIES(probe, **settings)
        metric.update(codes, factors, index=torch.arange(len(codes)))
        value = metric.compute()
        shares = metric.matrix().sum(0)
        torch.testing.assert_close(shares, torch.ones_like(shares))
        return float(value["dci_es_disentanglement"]), float(value["dci_es_completeness"])

    assert found(factors) == pytest.approx((1.0, 1.0), abs=0.01)
    mixed = torch.stack([factors.sum(1), factors[:, 0] - factors[:, 1]], 1)
    assert found(mixed) == pytest.approx((0.0, 0.0), abs=0.06)  # trees prefer one of the two a little
    if probe == "ridge":  # the penalty makes copies share; others choose by chance, or differ where copies would
        copies = found(factors[:, [0, 0, 1]])
        assert copies == pytest.approx((1.0, (2 - math.log(2) / math.log(3)) / 2), abs=0.01)


def test_a_factor_without_a_score_has_no_importance() -> None:
    factors = torch.cat([FACTORS[:, :1], torch.ones(600, 1).double()], 1)
    for probe in ("ridge", "random_forest"):
        metric = DCIES(probe, continuous=True)
        with pytest.warns(UserWarning, match="leaves out factors"):
            scores(metric, FACTORS, factors)
        assert metric.matrix()[:, 1].isnan().all()
        assert metric.matrix()[:, 0].tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-3)
