"""The scores from rows and moments: where they start and end, what leaves them unchanged, and degenerate data."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.svm import LinearSVC
from torch import Tensor

from torchdisentangle.supervised import (
    DCI,
    IRS,
    MCC,
    SAP,
    BetaVAEScore,
    CodeFactorSample,
    DiscreteSAP,
    Explicitness,
    FactorVAEScore,
    MutualInformationGap,
    ZMax,
)

NUM_ROWS, NUM_VALUES = 900, 5
GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.randint(NUM_VALUES, (NUM_ROWS, 4), generator=GENERATOR)
PERFECT = (FACTORS.double() - 2) / 2**0.5  # standard deviation one
ROTATION = torch.linalg.qr(torch.randn(4, 4, generator=GENERATOR).double())[0]
NOISE = torch.randn(NUM_ROWS, 4, generator=GENERATOR).double()
CODES = {
    "perfect": PERFECT,
    "twice": torch.cat([PERFECT, PERFECT], 1),
    "dead": torch.cat([torch.full((NUM_ROWS, 1), 0.3), PERFECT, torch.zeros(NUM_ROWS, 2)], 1),
    "rotated": PERFECT @ ROTATION,
    "noise": NOISE,
    "constant": torch.full((NUM_ROWS, 3), 0.1).double(),
}

# the ideal, and what is known of the others: within so much
EXPECTED: list[tuple[Any, str, float, float]] = [
    (SAP, "perfect", 1.0, 0.01),
    (SAP, "twice", 0.0, 1e-9),
    (SAP, "dead", 1.0, 0.01),
    (SAP, "noise", 0.0, 0.01),
    (SAP, "constant", 0.0, 0.0),
    (DiscreteSAP, "perfect", 1.0, 0.06),
    (DiscreteSAP, "twice", 0.0, 1e-9),
    (DiscreteSAP, "noise", 0.0, 0.06),
    (DiscreteSAP, "constant", 0.0, 0.0),
    (Explicitness, "perfect", 1.0, 0.001),
    (Explicitness, "rotated", 1.0, 0.001),
    (Explicitness, "dead", 1.0, 0.001),
    (Explicitness, "noise", 0.0, 0.06),
    (Explicitness, "constant", 0.0, 0.0),
    (IRS, "perfect", 1.0, 0.0),
    (IRS, "dead", 1.0, 0.0),
    (IRS, "twice", 1.0, 0.0),
    (IRS, "noise", 0.0, 0.07),
    (IRS, "constant", 0.0, 0.0),
    (BetaVAEScore, "perfect", 1.0, 0.0),
    (BetaVAEScore, "dead", 1.0, 0.0),
    (BetaVAEScore, "noise", 0.25, 0.08),
    (BetaVAEScore, "constant", 0.25, 0.0),
    (FactorVAEScore, "perfect", 1.0, 0.0),
    (FactorVAEScore, "dead", 1.0, 0.0),
    (FactorVAEScore, "twice", 1.0, 0.0),
    (FactorVAEScore, "noise", 0.25, 0.1),
    (FactorVAEScore, "constant", 0.0, 0.0),
    (ZMax, "perfect", 1.0, 0.0),
    (ZMax, "dead", 1.0, 0.0),
    (ZMax, "noise", 0.25, 0.1),
    (ZMax, "constant", 0.0, 0.0),
]


def value_of(metric: Any, codes: Tensor, factors: Tensor = FACTORS, **kwargs: Any) -> Any:
    metric.update(codes, factors, index=torch.arange(len(codes)), **kwargs)  # so that equal rows are split alike
    return metric.compute()


@pytest.mark.parametrize(("score", "codes", "expected", "within"), EXPECTED)
def test_bands(score: Any, codes: str, expected: float, within: float) -> None:
    assert value_of(score(), CODES[codes]).item() == pytest.approx(expected, abs=within + 1e-12)


# disentanglement, completeness, informativeness; ties between equal codes fall unevenly, so C is 0.67 at least
DCI_EXPECTED = {
    "perfect": (1.0, 1.0, 1.0, 0.02),
    "twice": (1.0, 1 - math.log(2) / math.log(8), 1.0, 0.04),
    "dead": (1.0, 1.0, 1.0, 0.02),
    "noise": (0.0, 0.0, 1 / NUM_VALUES, 0.04),
    "constant": (0.0, 0.0, 1 / NUM_VALUES, 0.03),
}


@pytest.mark.parametrize("codes", DCI_EXPECTED)
def test_dci_bands(codes: str) -> None:
    values = value_of(DCI(num_trees=10), CODES[codes])
    *expected, within = DCI_EXPECTED[codes]
    assert [value.item() for value in values.values()] == pytest.approx(expected, abs=within)


@pytest.mark.parametrize("predictor", ["gradient_boosting", "lasso"])
def test_other_predictors(predictor: Any) -> None:
    values = value_of(DCI(predictor, num_trees=5), CODES["perfect"])
    assert [value.item() for value in values.values()] == pytest.approx([1, 1, 1], abs=0.02)
    metric = DCI(predictor, num_trees=5)
    rotated = value_of(metric, CODES["rotated"])
    assert rotated["dci_disentanglement"] < 0.5
    if predictor == "lasso":
        assert rotated["dci_informativeness"] > 0.99
        # the coefficients, up to a little shrinkage, and standard deviations that are not quite one
        np.testing.assert_allclose(metric.matrix(), ROTATION.T.abs(), atol=0.05)


def test_continuous_factors() -> None:
    factors = torch.rand(NUM_ROWS, 3, generator=torch.Generator().manual_seed(1)).double()
    codes = factors**2 + 0.5
    values = value_of(DCI(num_trees=10, continuous=True), codes, factors)
    assert all(value > 0.97 for value in values.values())
    assert value_of(SAP(), codes, factors) > 0.9
    assert value_of(DiscreteSAP(continuous=True, num_factor_bins=5), codes, factors) > 0.85
    assert value_of(Explicitness(continuous=True, num_factor_bins=5), codes, factors) > 0.97
    assert value_of(IRS(continuous=True, num_factor_bins=20), codes, factors) > 0.9
    assert value_of(FactorVAEScore(continuous=True, num_factor_bins=10, num_groups=99), codes, factors) == 1
    assert value_of(BetaVAEScore(continuous=True, num_factor_bins=10, num_groups=99), codes, factors) == 1
    assert value_of(ZMax(continuous=True, num_factor_bins=4), codes, factors) > 0.95
    mixed = torch.cat([factors[:, :1], FACTORS[:, :1]], 1)
    values = value_of(DCI(num_trees=10, continuous=[0]), torch.cat([codes[:, :1], PERFECT[:, :1]], 1), mixed)
    assert all(value > 0.95 for value in values.values())


def test_discrete_sap_of_the_reference_weights_classes_in_training_alone() -> None:
    """As in ``disentanglement_lib``: balanced training, plain accuracy of rows; here of a factor of unequal classes."""
    generator = torch.Generator().manual_seed(3)
    factor = torch.multinomial(torch.tensor([0.8, 0.15, 0.05]), NUM_ROWS, replacement=True, generator=generator)
    codes = torch.stack([factor + 0.5 * torch.randn(NUM_ROWS, generator=generator), torch.randn(NUM_ROWS)], 1).double()
    metric = DiscreteSAP(mode="reference")
    metric.update(codes, factor[:, None])
    rows, values = metric._rows()
    train, test = metric._train_and_test(NUM_ROWS)
    expected = []
    for column in rows.T:
        machine = LinearSVC(C=0.01, class_weight="balanced").fit(column[train, None], values[train, 0])
        expected.append((machine.predict(column[test, None]) == values[test, 0].numpy()).mean())
    assert metric.matrix()[:, 0].tolist() == pytest.approx(expected)
    assert float(metric.compute()) == pytest.approx(max(expected) - min(expected))
    over_classes = DiscreteSAP("svc", rescale=False)
    over_classes.update(codes, factor[:, None])
    assert abs(float(over_classes.matrix()[0, 0]) - expected[0]) > 0.02  # balanced accuracy is another number


def test_published_forms() -> None:
    """What the defaults repair: a linear classifier on one code, the shrunk regression, the maximum below."""
    svc = value_of(DiscreteSAP(mode="reference"), CODES["perfect"])
    assert 0.1 < svc < 0.5
    assert abs(value_of(DiscreteSAP(mode="reference"), 0.1 * CODES["perfect"]) - svc) > 0.03
    assert value_of(DiscreteSAP("tree", mode="reference"), CODES["perfect"]) == svc
    few = torch.cat([CODES["perfect"][:100, :1], CODES["noise"][:100, :1]], 1)
    assert value_of(DiscreteSAP(), few, FACTORS[:100, :1]) <= 1  # a second code below chance is no credit
    assert value_of(DiscreteSAP(), 1e-9 * CODES["perfect"]) == value_of(DiscreteSAP(), CODES["perfect"])
    raw = value_of(DiscreteSAP(rescale=False), CODES["perfect"])
    assert raw == pytest.approx(0.8 * value_of(DiscreteSAP(), CODES["perfect"]).item())
    plain = value_of(Explicitness(rescale=False), CODES["noise"])
    assert plain == pytest.approx(0.5 + 0.5 * value_of(Explicitness(), CODES["noise"]).item())
    assert value_of(Explicitness(inverse_regularization=0.01), CODES["perfect"]) < 0.99
    assert value_of(IRS(mode="reference"), CODES["noise"]) > 0.2
    assert value_of(IRS(quantile=1.0), CODES["noise"]) == value_of(IRS(quantile=1.0, mode="reference"), NOISE)
    small = CODES["noise"] * torch.tensor([1e-3, 1.0, 1.0, 1.0]) + PERFECT * torch.tensor([1e-3, 1.0, 1.0, 1.0])
    assert value_of(BetaVAEScore(standardize=False), small) < value_of(BetaVAEScore(), small)
    assert value_of(BetaVAEScore(mode="reference"), small) == value_of(BetaVAEScore(standardize=False), small)
    reference = value_of(Explicitness(mode="reference"), CODES["rotated"])
    assert reference == value_of(Explicitness(rescale=False, inverse_regularization=1.0), CODES["rotated"])


@pytest.mark.parametrize("score", [FactorVAEScore, BetaVAEScore, ZMax])
def test_above_chance(score: Any) -> None:
    raw, rescaled = value_of(score(), CODES["rotated"]), value_of(score(rescale=True), CODES["rotated"])
    assert rescaled.item() == pytest.approx((raw.item() - 1 / 4) / (3 / 4))


def test_pruning() -> None:
    """A dead code has the least variance of all in relation to nothing; scale matters to the threshold alone."""
    shrunk = torch.cat([PERFECT, 0.01 * NOISE], 1)
    assert value_of(FactorVAEScore(), shrunk) == value_of(FactorVAEScore(), PERFECT)
    assert value_of(FactorVAEScore(), 0.01 * PERFECT) == 0
    assert value_of(FactorVAEScore(prune_threshold=0.0), 0.01 * PERFECT) == 1
    assert value_of(ZMax(prune_threshold=0.0), 0.01 * CODES["dead"]) == 1


@settings(max_examples=10)
@given(st.permutations(range(4)), st.floats(0.2, 5), st.floats(-3, 3))
def test_order_unit_and_origin_of_codes_do_not_matter(order: list[int], unit: float, origin: float) -> None:
    units = torch.tensor([unit, -1.0, 1.0, 2.0]).double()
    codes = (PERFECT + 0.5 * NOISE)[:300]
    moved = (units * codes + origin)[:, order]
    for score in (
        SAP(),
        BetaVAEScore(num_groups=60),
        FactorVAEScore(num_groups=60),
        ZMax(),
        Explicitness(inverse_regularization=1.0),
    ):
        expected = value_of(score, codes, FACTORS[:300])
        score.reset()
        # fits stop a little earlier or later
        assert value_of(score, moved, FACTORS[:300]).item() == pytest.approx(expected.item(), abs=0.02)
    same_unit = IRS()
    expected = value_of(same_unit, codes, FACTORS[:300])
    same_unit.reset()
    assert value_of(same_unit, (unit * codes + origin)[:, order], FACTORS[:300]).item() == pytest.approx(
        expected.item(), abs=1e-9
    )


def test_names_of_values_do_not_matter() -> None:
    renamed = 7 * FACTORS - 100
    for score in (DiscreteSAP(), Explicitness(), IRS(), FactorVAEScore(), BetaVAEScore(), ZMax()):
        expected = value_of(score, PERFECT + 0.5 * NOISE)
        score.reset()
        assert value_of(score, PERFECT + 0.5 * NOISE, renamed) == expected


ALL = [SAP, DiscreteSAP, DCI, Explicitness, IRS, BetaVAEScore, FactorVAEScore, ZMax]


def numbers(value: Any) -> list[float]:
    return [number.item() for number in value.values()] if isinstance(value, dict) else [value.item()]


@pytest.mark.parametrize("score", ALL)
def test_a_factor_with_one_value_is_named_and_left_out(score: Any) -> None:
    factors = torch.cat([FACTORS[:, :2], torch.full((NUM_ROWS, 1), 7), FACTORS[:, 2:]], 1)
    with pytest.warns(UserWarning, match=r"cannot score \(too few .*\): colour"):
        found = value_of(score(factor_names=["a", "b", "colour", "c", "d"]), PERFECT, factors)
    without = value_of(score(), PERFECT)
    assert numbers(found) == pytest.approx(numbers(without), abs=0.03)  # other draws
    with pytest.raises(ValueError, match=r"none of the factors \(0, 1\)"):
        value_of(score(), PERFECT, torch.zeros(NUM_ROWS, 2).long())


@pytest.mark.parametrize("score", ALL)
def test_one_code_and_one_factor(score: Any) -> None:
    assert all(value > 0.98 for value in numbers(value_of(score(), PERFECT[:, :1], FACTORS[:, 0])))
    one_factor = numbers(value_of(score(), PERFECT, FACTORS[:, :1]))
    one_code = numbers(value_of(score(), PERFECT[:, :1], FACTORS))
    assert all(0 <= value <= 1 for value in one_factor + one_code)
    if score in (SAP, DiscreteSAP):  # with no second code the gap is the score
        assert one_code[0] == pytest.approx(1 / 4, abs=0.05)
    if score in (BetaVAEScore, FactorVAEScore, ZMax):  # nothing to be confused with
        assert one_factor == [1.0]
        assert numbers(value_of(score(rescale=True), PERFECT, FACTORS[:, :1])) == [1.0]


def test_a_value_that_a_split_lacks() -> None:
    """One row of a rare value: it is in one of the two parts, and no score minds."""
    factors = FACTORS.clone()
    factors[5, 0] = 99
    for score in (DiscreteSAP(), DCI(num_trees=5), Explicitness(), IRS(), BetaVAEScore(), FactorVAEScore(), ZMax()):
        assert all(0.9 < value <= 1 for value in numbers(value_of(score, PERFECT, factors)))


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize("score", ALL)
def test_no_rows_and_rows_that_are_not_finite(score: Any) -> None:
    with pytest.raises(ValueError, match=r"needs at least \d rows, got 0$"):
        score().compute()
    poisoned = PERFECT.clone()
    poisoned[::3, 1] = math.nan
    metric = score()
    with pytest.warns(UserWarning, match="num_nonfinite"):
        metric.update(poisoned, FACTORS)
    assert all(value > 0.9 for value in numbers(metric.compute()))
    assert metric.num_nonfinite == 300
    with pytest.warns(UserWarning, match="num_nonfinite"), pytest.raises(ValueError, match="3 were NaN or infinite"):
        value_of(score(), torch.full((3, 2), math.inf), FACTORS[:3])


@pytest.mark.parametrize("score", ALL[1:])
def test_seeded_and_bounded(score: Any) -> None:
    codes = PERFECT + NOISE
    state = torch.get_rng_state()
    first, second = (value_of(score(max_rows=400), codes) for _ in range(2))
    assert numbers(first) == numbers(second)
    assert torch.equal(torch.get_rng_state(), state)
    assert numbers(value_of(score(max_rows=400, seed=1), codes)) != numbers(first)
    shuffled = torch.randperm(NUM_ROWS, generator=torch.Generator().manual_seed(3))
    metric = score(max_rows=400)
    for part in shuffled.split(77):
        metric.update(codes[part], FACTORS[part], index=part)
    assert numbers(metric.compute()) == numbers(first)


def test_a_fit_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    original = DCI._fit_one
    monkeypatch.setattr(DCI, "_fit_one", lambda self, *args: fits.append(1) or original(self, *args))
    metric = DCI(num_trees=2)
    value_of(metric, PERFECT)
    metric.matrix(), metric.informativeness(), metric.plot()
    assert len(fits) == 4
    metric.update(PERFECT, FACTORS, index=torch.arange(NUM_ROWS, 2 * NUM_ROWS))
    metric.matrix()
    assert len(fits) == 8


def test_matrices_and_figures() -> None:
    for metric in (SAP(["a", "b", "c", "d"]), DiscreteSAP(), DCI(num_trees=5), IRS()):
        value_of(metric, CODES["dead"])
        matrix = metric.matrix()
        assert matrix.shape == (7, 4)
        assert matrix.argmax(0).tolist() == [1, 2, 3, 4]
        figure, ax = metric.plot()
        assert isinstance(figure, Figure)
        np.testing.assert_allclose(ax.images[0].get_array(), matrix)
    assert value_of(SAP(), CODES["twice"]) == 0
    per_factor = SAP()
    assert value_of(per_factor, PERFECT).item() == pytest.approx(per_factor.per_factor().mean().item())
    for scalar in (FactorVAEScore(), Explicitness(), CodeFactorSample()):
        value_of(scalar, PERFECT)
        assert isinstance(scalar.plot()[0], Figure)
    explicitness = Explicitness()
    assert value_of(explicitness, PERFECT).item() == pytest.approx(explicitness.per_factor().mean().item())


def test_the_sample_itself() -> None:
    codes, factors = value_of(CodeFactorSample(max_rows=50), PERFECT)
    assert torch.equal(codes, (factors - 2) / 2**0.5)
    assert len(codes) == 50


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DCI("ridge"), "predictor must be one of"),  # type: ignore[arg-type]
        (lambda: DCI(weights="mass"), "weights must be"),  # type: ignore[arg-type]
        (lambda: DiscreteSAP("lda"), "classifier must be one of"),  # type: ignore[arg-type]
        (lambda: Explicitness(inverse_regularization=0.0), "must be positive"),
        (lambda: IRS(quantile=0.0), r"in \(0, 1\]"),
        (lambda: IRS(mode="dlib"), "mode must be"),  # type: ignore[arg-type]
        (lambda: BetaVAEScore(num_pairs=0), "must be positive"),
        (lambda: FactorVAEScore(group_size=1), "group_size at least 2"),
        (lambda: IRS(test_fraction=1.0), "between 0 and 1"),
        (lambda: IRS(num_factor_bins=1), "at least 2"),
        (lambda: IRS(max_rows=0), "max_rows must be at least 1"),
        (lambda: DCI(seed=-1), "seed must be between 0"),
        (lambda: MCC(seed=-1), "seed must be between 0"),
        (lambda: DCI(num_trees=0), "num_trees must be at least 1"),
        (lambda: MutualInformationGap(edges="prior", seed=-1), "seed must be between 0"),
    ],
)
def test_bad_settings_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("score", [DiscreteSAP, DCI, Explicitness, BetaVAEScore])
def test_a_missing_scikit_learn_is_named(score: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=rf"{score.__name__} needs scikit-learn: .*torchdisentangle\[supervised\]"):
        score()
    for independent in (SAP(), IRS(), FactorVAEScore(), ZMax()):
        assert value_of(independent, PERFECT) > 0.9


def test_forward() -> None:
    """The value of a batch alone, and of all in the end."""
    for score in (SAP(), IRS(max_rows=500)):
        twin = score.clone()
        for codes, factors in zip((PERFECT + NOISE).split(300), FACTORS.split(300), strict=True):
            fresh = score.clone()
            fresh.reset()
            assert twin(codes, factors).item() == pytest.approx(value_of(fresh, codes, factors).item(), rel=1e-12)
        assert twin.compute().item() == pytest.approx(value_of(score, PERFECT + NOISE).item(), rel=1e-12)


@pytest.mark.parametrize("build", [SAP, DiscreteSAP, IRS, partial(DCI, num_trees=5)])
def test_what_compute_gives_can_be_drawn(build: Callable[..., Any]) -> None:
    metric = build()
    value = value_of(metric, CODES["perfect"])
    _, ax = metric.plot(value)
    if isinstance(value, dict):  # named values are drawn side by side, one on each line
        np.testing.assert_allclose(ax.lines[0].get_xdata(), list(value.values()))
    else:
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [value])
