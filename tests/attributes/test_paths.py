"""Smoothness and monotonicity along paths: closed forms, invariances, and what rounding must not decide."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import sem
from torch import Tensor

from torchdisentangle import AttributeMonotonicity, AttributeRange, AttributeSmoothness, StatisticCollection
from torchdisentangle.functional import monotonicity, path_scores, smoothness

seeds = st.integers(0, 2**16)


def line(num_steps: int) -> Tensor:
    return torch.linspace(-1, 1, num_steps, dtype=torch.float64)


@pytest.mark.parametrize("jerk", ["lehmer", "max"])
@pytest.mark.parametrize("num_steps", [3, 5, 11, 40])
def test_a_parabola(num_steps: int, jerk: str) -> None:
    path = line(num_steps).square()[None]
    assert float(smoothness(path, jerk)) == pytest.approx(1 - 1 / (num_steps - 2), abs=1e-12)
    assert float(monotonicity(path, step=2 / (num_steps - 1))) == 0


def test_a_parabola_of_eleven_steps() -> None:
    assert float(smoothness(line(11).square()[None])) == pytest.approx(0.8889, abs=5e-5)


@pytest.mark.parametrize("jerk", ["lehmer", "max"])
def test_a_step(jerk: str) -> None:
    path = (line(10) > 0.1).double()[None]
    assert float(smoothness(path, jerk)) == 0
    assert float(monotonicity(path)) == 1


def test_falling() -> None:
    assert float(monotonicity(-line(7)[None])) == -1


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(3, 60), st.booleans())
def test_a_straight_line_is_smooth_whatever_its_rounding(offset: float, slope: float, steps: int, single: bool) -> None:
    path = offset + slope * torch.linspace(-2, 2, steps, dtype=torch.float32 if single else torch.float64)
    assert float(smoothness(path[None])) == 1


@given(seeds)
def test_a_level_attribute_is_smooth_and_has_no_direction(seed: int) -> None:
    noise = torch.rand(4, 9, generator=torch.Generator().manual_seed(seed)) * 2**-23
    path = 5 + noise  # all of it rounding
    assert (path_scores(path).smoothness == 1).all()
    assert path_scores(path).monotonicity.isnan().all()
    assert monotonicity(path).isnan()


@given(seeds, st.floats(-5, 5).filter(lambda x: abs(x) > 0.01), st.floats(-5, 5))
def test_smoothness_does_not_see_the_unit_nor_the_direction(seed: int, scale: float, offset: float) -> None:
    path = torch.randn(3, 9, generator=torch.Generator().manual_seed(seed)).double()
    for changed in (scale * path + offset, path.flip(1)):
        torch.testing.assert_close(smoothness(changed), smoothness(path), rtol=1e-8, atol=1e-10)
    assert (path_scores(path).smoothness >= 0).all()
    assert (path_scores(path).smoothness < 1).all()


@given(seeds)
def test_step_by_step(seed: int) -> None:
    path = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed)).double()
    step, threshold = 0.3, 0.5
    scores = path_scores(path, "lehmer", step, threshold)
    for values, smooth, direction, span in zip(path.tolist(), *scores, strict=True):
        slopes = [(b - a) / step for a, b in pairwise(values)]
        bends = [abs(b - a) / step for a, b in pairwise(slopes)]
        lehmer = sum(bend**2 for bend in bends) / sum(bends)
        assert float(smooth) == pytest.approx(1 - lehmer / ((max(slopes) - min(slopes)) / step), abs=1e-10)
        steep = [slope for slope in slopes if abs(slope) > threshold]
        if steep:
            assert float(direction) == pytest.approx(sum(1 if slope > 0 else -1 for slope in steep) / len(steep))
        else:
            assert direction.isnan()
        assert float(span) == pytest.approx(max(values) - min(values))


def test_the_metrics_are_means_with_errors_and_share_their_state() -> None:
    metrics = StatisticCollection([AttributeSmoothness(), AttributeMonotonicity(), AttributeRange()])
    paths = torch.randn(20, 7, 3, 2, generator=torch.Generator().manual_seed(0))
    paths[4] = 1.0  # level: it has no direction, but the others do
    metrics.update(paths[:6])
    metrics.update(paths[6:])
    assert len(metrics.compute_groups) == 1
    values = metrics.compute()
    for metric, scores in zip(metrics.values(), path_scores(paths), strict=True):
        assert values[type(metric).__name__].shape == (3, 2)
        torch.testing.assert_close(values[type(metric).__name__], scores.nanmean(0))
        expected = torch.from_numpy(sem(scores.numpy(), axis=0, nan_policy="omit")).double()
        torch.testing.assert_close(metric.standard_error(), expected)


def test_a_path_that_is_not_finite_costs_the_others_nothing() -> None:
    paths = torch.randn(6, 5, 2, generator=torch.Generator().manual_seed(0))
    broken = paths.clone()
    broken[2, 3, 0] = torch.nan
    metric = AttributeRange()
    with pytest.warns(UserWarning, match=r"paths with NaN .* \(1 in this batch\)"):
        metric.update(broken)
    kept = torch.arange(6) != 2
    expected = torch.stack([path_scores(paths[kept, :, 0]).range.mean(), path_scores(paths[:, :, 1]).range.mean()])
    torch.testing.assert_close(metric.compute(), expected)


def test_nothing_but_level_paths() -> None:
    metric = AttributeMonotonicity()
    metric.update(torch.ones(3, 5, 2))
    assert metric.compute().isnan().all()
    assert metric.standard_error().isnan().all()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: smoothness(torch.zeros(2, 2)), "at least 3 steps"),
        (lambda: monotonicity(torch.zeros(2, 1)), "at least 2 steps"),
        (lambda: monotonicity(torch.zeros(2, 5), step=0.0), "step must be positive"),
        (lambda: smoothness(torch.zeros(2, 5), "mean"), "'lehmer' or 'max'"),
        (lambda: AttributeSmoothness(jerk="mean"), "'lehmer' or 'max'"),
        (lambda: AttributeMonotonicity(step=-1.0), "step must be positive"),
        (lambda: AttributeRange().update(torch.zeros(4, 2, 3)), "at least 3 steps"),
    ],
)
def test_what_is_refused(call: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()  # type: ignore[operator]


def test_figures() -> None:
    metric = AttributeSmoothness()
    metric.update(torch.rand(3, 5, 2, 3))
    assert metric.plot()[1].get_ylabel() == "latent"
    assert AttributeRange().plot(torch.tensor([1.0, 2.0]))[1].get_ylabel() == "range"
    assert AttributeRange().plot([1.0, 2.0])[1].get_xlabel() == "step"
