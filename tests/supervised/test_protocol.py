"""What holds for every supervised score: how rows come in, what they are called, and one value for any split."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from torchdisentangle.supervised import (
    CodeFactorSample,
    MutualInformationGap,
    RowScore,
    SupervisedScore,
    registered_scores,
    supervised_metrics,
)
from torchdisentangle.supervised.registry import _SCORES

GENERATOR = torch.Generator().manual_seed(0)
NUM_ROWS = 48
FACTORS = torch.cartesian_prod(torch.arange(4), torch.arange(3)).repeat(4, 1)
CODES = FACTORS + 0.6 * torch.randn(NUM_ROWS, 2, generator=GENERATOR)
LOG_VARIANCE = torch.randn(NUM_ROWS, 2, generator=GENERATOR) - 2
NAMES = sorted(registered_scores())


def make(name: str, **settings: Any) -> Any:
    score, own = registered_scores()[name]
    return score(**{**own, **settings})


def add(metric: Any, rows: Tensor, *, index: bool = False) -> Any:
    """Add rows, which have no number by default."""
    numbers = rows if index else None
    metric.update(CODES[rows], FACTORS[rows], log_variance=LOG_VARIANCE[rows], index=numbers)
    return metric


def close(found: Any, expected: Any) -> None:
    # sums of the same rows in another order
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.fixture
def _own_names() -> Iterator[None]:
    before = dict(_SCORES)
    yield
    _SCORES.clear()
    _SCORES.update(before)


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


def test_every_score_is_registered() -> None:
    library = {cls for cls in subclasses(SupervisedScore) if cls.__module__.startswith("torchdisentangle")}
    concrete = {cls for cls in library if not getattr(cls, "__abstractmethods__", None)}
    assert {entry.score for entry in registered_scores().values()} == concrete - {CodeFactorSample}
    for cls in library:
        assert cls.__mro__.index(Metric) <= 4, f"{cls.__name__} is too deep"


@pytest.mark.usefixtures("_own_names")
def test_a_score_of_ones_own_registers_itself() -> None:
    class Spread(RowScore):
        """Standard deviation of the codes."""

        name = "spread"

        def compute(self) -> Tensor:
            return self._rows().codes.std()

        def _scored(self) -> Tensor:
            return torch.ones(self._rows().factors.shape[1], dtype=torch.bool)

    metrics = supervised_metrics(["spread", "irs"])
    assert len(metrics.compute_groups) == 1
    add(metrics, torch.arange(NUM_ROWS))
    close(metrics.compute()["spread"], CODES.double().std())
    assert Spread().key == "spread"

    class MyGap(MutualInformationGap):
        """Another class of an inherited name."""

    assert MyGap().key == "my_gap"
    assert registered_scores()["mig"].score is MutualInformationGap
    with pytest.raises(TypeError, match="Wrong cannot be called 'mig': that is MutualInformationGap"):
        type("Wrong", (RowScore,), {"name": "mig"})


@pytest.mark.parametrize("name", NAMES)
def test_rows_in_the_wrong_place_are_refused(name: str) -> None:
    metric = make(name)
    rows = {"log_variance": LOG_VARIANCE}
    with pytest.raises(TypeError, match="positional arguments"):
        metric.update(CODES, FACTORS, torch.arange(NUM_ROWS))
    refused: list[tuple[tuple[Any, Any], dict[str, Any], type[Exception], str]] = [
        ((FACTORS, FACTORS), rows, TypeError, r"codes must be floating point .*, got torch.int64 of shape \(48, 2\)"),
        ((None, FACTORS), rows, TypeError, "codes must be a tensor or a NumPy array, got NoneType"),
        ((CODES, "factors"), rows, TypeError, "factors must be a tensor or a NumPy array, got str"),
        ((CODES, FACTORS * 1j), rows, TypeError, "factors must be integers or floats"),
        ((CODES, FACTORS), {**rows, "index": CODES[:, 0]}, TypeError, "index must be integers"),
        ((CODES, FACTORS), {"log_variance": FACTORS}, TypeError, "log_variance must be floating point like codes"),
        ((CODES, FACTORS), {"log_variance": LOG_VARIANCE[:, :1]}, ValueError, "must have the same shape"),
        ((CODES[0], FACTORS[0]), rows, ValueError, r"codes must have shape \(n, d\), got \(2,\)"),
        ((CODES, FACTORS[:5]), rows, ValueError, r"factors must have shape \(48, F\), .*got \(5, 2\)"),
        ((CODES, FACTORS), {**rows, "index": torch.arange(3)}, ValueError, "index must be integers of shape"),
    ]
    for positional, keywords, error, message in refused:
        with pytest.raises(error, match=message):
            metric.update(*positional, **keywords)
    if "log_variance" in metric.needs:
        with pytest.raises(ValueError, match=re.escape(f"{metric!r} is a score of posteriors: it needs log_variance")):
            metric.update(CODES, FACTORS)
    add(metric, torch.arange(40))
    value, size = metric.compute(), metric.sample_size()
    for codes, factors, message in (
        (CODES[:, :1], FACTORS, "columns of codes"),
        (CODES, FACTORS[:, 0], "had 2 factors"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.update(codes, factors, log_variance=codes)
    close(metric.compute(), value)  # what was refused has left no trace
    assert metric.sample_size() == size == 40


@pytest.mark.parametrize("name", NAMES)
def test_needs_are_those_of_the_registry(name: str) -> None:
    assert make(name).needs == registered_scores()[name].needs
    assert make(name).key == name


@pytest.mark.parametrize("name", NAMES)
def test_arrays_and_whole_floats(name: str) -> None:
    arrays = make(name)
    arrays.update(CODES.numpy(), FACTORS.double().numpy(), log_variance=LOG_VARIANCE.numpy())
    close(arrays.compute(), add(make(name), torch.arange(NUM_ROWS)).compute())


@pytest.mark.parametrize("name", sorted({*NAMES} - {"sap", "robust_mig", "interpretability"}))
def test_names_of_values_do_not_matter(name: str) -> None:
    """Where rows are kept, a factor's values may be any whole numbers (in SAP they have an order and a distance)."""
    renamed = make(name)
    renamed.update(CODES, 10**6 * FACTORS - 7, log_variance=LOG_VARIANCE, index=torch.arange(NUM_ROWS))
    close(renamed.compute(), add(make(name), torch.arange(NUM_ROWS), index=True).compute())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("index", [False, True])
def test_forward_gives_the_value_of_the_batch_and_then_of_all(name: str, index: bool) -> None:
    """Numbered or not: the value depends on the rows alone, not on how they were split or in which order they came."""
    whole = add(make(name), torch.arange(NUM_ROWS), index=index).compute()
    order = torch.randperm(NUM_ROWS, generator=torch.Generator().manual_seed(1))
    for parts in (torch.arange(NUM_ROWS).split(24), order.split(24), order.split([30, 18])):
        forwarded, updated = make(name), make(name)
        for rows in parts:
            numbers = rows if index else None
            try:
                expected = add(make(name), rows, index=index).compute()
            except ValueError:  # too few rows of the batch agree in all factors but one
                assert name == "z_max"
                add(forwarded, rows, index=index)
            else:
                batch = forwarded(CODES[rows], FACTORS[rows], log_variance=LOG_VARIANCE[rows], index=numbers)
                close(batch, expected)
            add(updated, rows, index=index)
        close(forwarded.compute(), whole)
        close(updated.compute(), whole)


def interleaved(rank: int, world_size: int, index: bool) -> dict[str, Any]:
    values = {}
    for name in NAMES:
        metric = make(name)
        for rows in torch.arange(rank, NUM_ROWS, world_size).split(7):
            add(metric, rows, index=index)
        values[name] = metric.compute()
        values[f"{name} unscored"] = metric.unscored_factors()
        values[f"{name} size"] = metric.sample_size()
    return values


@pytest.mark.parametrize("index", [False, True])
def test_two_interleaved_processes_give_the_value_of_one(run_processes: Callable, index: bool) -> None:
    expected = interleaved(0, 1, index)
    for found in run_processes(2, interleaved, 2, index):
        for name in expected:
            if isinstance(expected[name], Tensor | dict):
                close(found[name], expected[name])
            else:
                assert found[name] == expected[name]


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_no_numbers_are_left_out(name: str) -> None:
    codes, factors, log_variance = CODES.double(), FACTORS.double(), LOG_VARIANCE.double()
    codes[3, 1], codes[8, 0], codes[9, 0], factors[20, 0] = math.nan, math.inf, 1e160, math.nan
    log_variance[30, 1], log_variance[31, 0] = -math.inf, 1e4
    metric = make(name)
    bad = [3, 8, 9, 20, 30, 31] if "log_variance" in metric.needs else [3, 8, 9, 20]
    with pytest.warns(UserWarning, match=rf"left out; their number is in num_nonfinite \({len(bad)} in this batch\)"):
        metric.update(codes, factors, log_variance=log_variance)
    assert metric.num_nonfinite == len(bad)
    good = torch.tensor([row for row in range(NUM_ROWS) if row not in bad])
    assert metric.sample_size() == len(good)
    expected = make(name)
    expected.update(codes[good], factors[good], log_variance=log_variance[good])
    close(metric.compute(), expected.compute())


@pytest.mark.parametrize("name", NAMES)
def test_codes_of_any_finite_size(name: str) -> None:
    """Numbers whose squares overflow count as infinite; all smaller ones have a value."""
    metric = make(name)
    metric.update(1e140 * CODES.double(), FACTORS, log_variance=LOG_VARIANCE)
    value = metric.compute()
    numbers = value.values() if isinstance(value, dict) else [value]
    assert all(number.isfinite().all() for number in numbers)
    overflowing = make(name)
    signs = 1e308 * (CODES.double() - 1).sign()
    with pytest.warns(UserWarning, match="num_nonfinite"):
        overflowing.update(signs, FACTORS, log_variance=LOG_VARIANCE)
    with pytest.raises(ValueError, match="48 were NaN or infinite"):
        overflowing.compute()


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(make(name), "num_bins")])
def test_one_bin(name: str) -> None:
    """In a single bin no code knows anything."""
    metric = add(make(name, num_bins=1), torch.arange(NUM_ROWS))
    if metric.estimator == "counts":
        assert float(metric.matrix().abs().max()) < 1e-14
    value = metric.compute()
    numbers = value.values() if isinstance(value, dict) else [value]
    assert all(bool(number.isfinite().all()) for number in numbers)


def test_results_of_several_numbers_carry_the_name_of_the_score() -> None:
    """So no two scores give a number of the same name."""
    for name in NAMES:
        value = add(make(name), torch.arange(NUM_ROWS)).compute()
        if isinstance(value, dict):
            assert all(key.startswith(f"{name}_") and number.ndim == 0 for key, number in value.items())
        else:
            assert value.shape in ((), (2, 2))


def test_typos_name_the_class() -> None:
    for entry in registered_scores().values():
        with pytest.raises(TypeError, match=f"{entry.score.__name__} has no setting 'sead'"):
            entry.score(**entry.settings, sead=1)


def test_repr_shows_settings() -> None:
    assert repr(make("minimality", threshold=0.2, seed=3)) == "Minimality(threshold=0.2, seed=3)"
    assert repr(make("discrete_sap", mode="reference")) == "DiscreteSAP(mode='reference')"
    assert repr(make("sap", factor_names=["a", "b"])) == "SAP(factor_names=('a', 'b'))"
    assert repr(make("dci")) == "DCI()"


def test_no_rows_and_factors_of_one_value() -> None:
    for name in NAMES:
        metric = make(name)
        with pytest.raises(ValueError, match=r"(has no rows|needs at least \d+ rows, got 0)$"):
            metric.unscored_factors()
        constant = torch.cat([FACTORS, torch.ones(NUM_ROWS, 1, dtype=torch.int64)], 1)
        metric.update(CODES, constant, log_variance=LOG_VARIANCE)
        if name != "z_max":  # where a factor that is constant makes no difference to the others
            assert metric.unscored_factors() == ["2"]
        with pytest.warns(UserWarning, match="leaves out factors that it cannot score"):
            metric.compute()


def test_the_published_form_of_discrete_sap() -> None:
    """Trained with equal weights of the classes, tested over rows; of classes of unequal frequency."""
    from sklearn.svm import LinearSVC

    generator = torch.Generator().manual_seed(2)
    factors = (torch.rand(600, 2, generator=generator) ** 3 * 4).long()
    codes = factors + torch.randn(600, 2, generator=generator).double()
    metric = make("discrete_sap", mode="reference")
    metric.update(codes, factors, index=torch.arange(600))
    rows = metric.sample.read(metric).columns
    z, y = rows["codes"].numpy(), rows["factors"].numpy()
    matrix = np.zeros((2, 2))
    for d in range(2):
        for f in range(2):
            fitted = LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(z[200:, [d]], y[200:, f])
            matrix[d, f] = np.mean(fitted.predict(z[:200, [d]]) == y[:200, f])
    top = np.sort(matrix, 0)
    assert float(metric.compute()) == pytest.approx((top[-1] - top[-2]).mean())
