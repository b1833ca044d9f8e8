"""UDR and the stability of runs: known answers, and independent computations."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import Lasso, LinearRegression
from torch import Tensor

from tests.launches import Launches
from torchdisentangle import Fingerprint, run_stability, unsupervised_disentanglement_ranking
from torchdisentangle.functional import chance_correlation, informative_latents
from torchdisentangle.functional.jackknife import jackknife_interval
from torchdisentangle.similarity import RunStability, lasso_weights

GENERATOR = torch.Generator().manual_seed(0)


def white(num_rows: int, width: int) -> Tensor:
    """Rows that are uncorrelated exactly."""
    rows = torch.randn(num_rows, width, generator=GENERATOR).double()
    return torch.linalg.qr(rows - rows.mean(0))[0] * math.sqrt(num_rows)


LATENTS = white(1000, 4)
ROTATION = torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() / math.sqrt(2)


def run(mean: Tensor, log_variance: float | Tensor = -4.0, index: Tensor | None = None) -> Fingerprint:
    variance = torch.as_tensor(log_variance).expand_as(mean)
    return Fingerprint(mean, variance, torch.arange(len(mean)) if index is None else index)


def pair_score(a: Tensor, b: Tensor, method: str) -> float:
    return float(unsupervised_disentanglement_ranking({"a": run(a), "b": run(b)}, method).pairs[0, 1])  # type: ignore[arg-type]


def test_order_signs_and_scales_do_not_matter() -> None:
    """The lasso takes its strength off each weight, which is 1."""
    other = LATENTS[:, [2, 0, 3, 1]] * torch.tensor([-1.0, 3.0, 0.5, -0.2])
    assert pair_score(LATENTS, other, "lasso") == pytest.approx(0.9, abs=1e-12)
    grid = torch.cartesian_prod(torch.arange(5), torch.arange(5), torch.arange(5)).double()  # ranks are uncorrelated
    assert pair_score(grid, -grid.flip(1), "spearman") == pytest.approx(1.0, abs=1e-12)
    assert pair_score(grid, grid.flip(1).exp(), "spearman") == pytest.approx(1.0, abs=1e-12)


def test_a_rotation_by_45_degrees() -> None:
    """Of two normal latents: correlations of sqrt(1/2), and rank correlations of 6 / pi asin(sqrt(1/2) / 2)."""
    assert pair_score(LATENTS[:, :2], LATENTS[:, :2] @ ROTATION, "lasso") == pytest.approx(
        (math.sqrt(0.5) - 0.1) / 2, abs=1e-6
    )
    normal = white(20_000, 2)
    rho = 6 / math.pi * math.asin(math.sqrt(0.5) / 2)
    assert pair_score(normal, normal @ ROTATION, "spearman") == pytest.approx(
        rho / 2, abs=0.02
    )  # three errors of ranks


def test_independent_models() -> None:
    others = white(1000, 10), torch.randn(1000, 10, generator=GENERATOR).double()
    assert pair_score(*others, "lasso") < 1e-3  # a correlation beyond 0.1 is three standard errors off
    assert pair_score(*others, "spearman") == pytest.approx(0.016, abs=0.005)


@pytest.mark.parametrize(("num_rows", "width", "ceiling"), [(1000, 10, 0.82), (10_000, 10, 0.94), (1000, 32, 0.56)])
def test_equal_models_have_a_ceiling_below_one_in_few_points(num_rows: int, width: int, ceiling: float) -> None:
    """Which a threshold takes off."""
    latents = torch.randn(num_rows, width, generator=GENERATOR).double()
    assert pair_score(latents, latents, "spearman") == pytest.approx(ceiling, abs=0.02)
    equal = {"a": run(latents), "b": run(-latents)}
    ranking = unsupervised_disentanglement_ranking(equal, "spearman", significance=0.01)
    assert float(ranking.pairs[0, 1]) == pytest.approx(1.0, abs=0.02)  # one pair beyond the threshold: 0.1 / width


def test_correlations_that_are_chance() -> None:
    """The largest of 40 rank correlations exceeds the threshold as often as it says; a single one as SciPy's p says."""
    times, generator = 2000, torch.Generator().manual_seed(1)
    a, b = (torch.rand(times, 30, width, generator=generator).argsort(1).double() - 14.5 for width in (4, 10))
    largest = (a.mT @ b / (a[0, :, 0] @ a[0, :, 0])).abs().amax((1, 2))
    share = float((largest > chance_correlation(30, 40, 0.1)).double().mean())
    assert share == pytest.approx(0.1, abs=0.03)  # a standard error of 0.007, and 30 points are few for the t
    x = torch.randn(50, generator=generator)
    y = x + 4 * torch.randn(50, generator=generator)
    correlation, p = pearsonr(x, y)
    assert chance_correlation(50, 1, p) == pytest.approx(abs(correlation))


def test_unrelated_models_have_no_relation_that_is_no_chance() -> None:
    others = {"a": run(white(1000, 10)), "b": run(torch.randn(1000, 10, generator=GENERATOR).double())}
    ranking = unsupervised_disentanglement_ranking(others, "spearman", significance=0.001)
    assert float(ranking.pairs[0, 1]) == 0.0


def test_a_latent_that_is_given_twice() -> None:
    """Of (x, x, y): columns 1/2, 1/2, 1, and rows the same."""
    grid = torch.cartesian_prod(torch.arange(7), torch.arange(7)).double()[:, [0, 0, 1]]
    assert pair_score(grid, grid, "spearman") == pytest.approx(2 / 3, abs=1e-12)


@pytest.mark.parametrize("method", ["lasso", "spearman"])
def test_an_independent_computation_agrees(method: str) -> None:
    """Three models of other widths, of which one latent tells nothing, written as loops."""
    means = [LATENTS + 0.5 * torch.randn(1000, 4, generator=GENERATOR), LATENTS[:, :3] @ torch.rand(3, 3).double()]
    means.append(torch.cat([LATENTS[:, :2] ** 3, torch.zeros(1000, 1)], dim=1))
    log_variances = [-4.0, -3.0, torch.tensor([-4.0, -4.0, 0.0])]
    ranking = unsupervised_disentanglement_ranking(
        {str(i): run(*both) for i, both in enumerate(zip(means, log_variances, strict=True))},
        method,  # type: ignore[arg-type]
    )
    assert ranking.num_informative.tolist() == [4, 3, 2]
    standard = [((x - x.mean(0)) / x.std(0, correction=0)).numpy() for x in [*means[:2], means[2][:, :2]]]
    expected = np.full((3, 3), np.nan)
    for i, source in enumerate(standard):
        for j, target in enumerate(standard):
            if i == j:
                continue
            if method == "lasso":
                r = np.stack([abs(Lasso(0.1).fit(source, column).coef_) for column in target.T], 1)
            else:
                r = np.array([[abs(spearmanr(a, b).statistic) for b in target.T] for a in source.T])
            columns = [max(c) ** 2 / sum(c) if sum(c) else 0.0 for c in r.T]
            rows = [max(c) ** 2 / sum(c) if sum(c) else 0.0 for c in r]
            expected[i, j] = (np.mean(columns) + np.mean(rows)) / 2
    np.testing.assert_allclose(ranking.pairs, expected, atol=1e-3)  # the lasso stops at a tolerance of 1e-4
    np.testing.assert_allclose(ranking.udr, np.nanmedian(expected, 0), atol=1e-3)


def test_the_ranking_of_runs() -> None:
    """Two that agree up to noise, one that mixes, one that collapsed; files in any order of points."""
    order = torch.randperm(1000, generator=GENERATOR)
    noisy = LATENTS + 0.1 * torch.randn(1000, 4, generator=GENERATOR)
    runs = {
        "collapsed": run(torch.zeros(1000, 4), 0.0),
        "mixed": run(LATENTS @ torch.linalg.qr(torch.randn(4, 4, generator=GENERATOR).double())[0]),
        "a": run(LATENTS),
        "b": run(-LATENTS.flip(1)),
        "c": run(noisy[order], index=order),
    }
    ranking = unsupervised_disentanglement_ranking(runs)
    assert ranking.order()[-2:] == ["mixed", "collapsed"]
    assert ranking.udr[0] == 0.0
    assert ranking.num_points == 1000
    assert ranking.pairs.diagonal().isnan().all()


def test_latents_that_tell_nothing_by_their_kl() -> None:
    """Half a nat more than the threshold of variance alone: (s - log s - 1) / 2."""
    s = 0.8
    kl = 0.5 * (s - math.log(s) - 1)
    mean, log_variance = torch.zeros(5, 1), torch.full((5, 1), math.log(s))
    assert informative_latents(mean, log_variance, kl * 0.99).tolist() == [True]
    assert informative_latents(mean, log_variance, kl * 1.01).tolist() == [False]


def test_constant_latents_are_related_to_none() -> None:
    """A narrow posterior that does not depend on the data passes for informative."""
    mean = torch.cat([LATENTS[:, :1], torch.full((1000, 1), 0.3)], dim=1)
    for method, ideal in (("lasso", 0.9), ("spearman", 1.0)):
        assert pair_score(mean, mean, method) == pytest.approx(ideal / 2, abs=1e-12)
    assert lasso_weights(mean, mean).tolist()[1] == [0.0, 0.0]


def test_stability_of_runs() -> None:
    """Order and signs are no matter; a rotation has R² 1 and MCC sqrt(1/2); a missing latent counts against MCC."""
    two = LATENTS[:, :2]
    runs = {"a": run(two), "b": run(-2 * two.flip(1)), "turned": run(two @ ROTATION), "one": run(two[:, :1])}
    stability = run_stability(runs)
    root = math.sqrt(0.5)
    mcc = torch.tensor([[1.0, 1, root, 0.5], [1, 1, root, 0.5], [root, root, 1, root / 2], [0.5, 0.5, root / 2, 1]])
    r2 = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0.5, 0.5, 0.5, 1]])  # row explains column
    others = ~torch.eye(4, dtype=torch.bool)
    torch.testing.assert_close(stability.mcc[others], mcc[others].double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(stability.r2[others], r2[others].double(), rtol=0, atol=1e-6)
    assert stability.mean()["r2"] == pytest.approx(float(r2[others].mean()), abs=1e-6)
    assert float(stability.per_run()["mcc"][0]) == pytest.approx((1 + root + 0.5) / 3, abs=1e-6)
    assert torch.equal(stability.mcc.nan_to_num(1.0), stability.mcc.T.nan_to_num(1.0))


def test_linear_maps_are_those_of_scikit_learn() -> None:
    source, target = LATENTS[:, :3], LATENTS @ torch.rand(4, 2, generator=GENERATOR).double()
    expected = LinearRegression().fit(source, target).score(source, target)
    assert float(run_stability({"a": run(source), "b": run(target)}).r2[0, 1]) == pytest.approx(expected, abs=1e-12)


def test_intervals_over_runs_cover() -> None:
    """Runs of a common signal with noise of scale s: correlations 1 / sqrt((1 + s²) (1 + t²)), s and t uniform."""
    generator, times = torch.Generator().manual_seed(3), 400
    truth = ((math.asinh(2.2) - math.asinh(0.2)) / 2) ** 2
    covered = 0
    for _ in range(times):
        quality = (1 + (0.2 + 2 * torch.rand(8, generator=generator).double()).square()).rsqrt()
        matrix = (quality[:, None] * quality).fill_diagonal_(torch.nan)
        low, high = RunStability([*"abcdefgh"], matrix, matrix, 100).interval()["mcc"]
        covered += bool(low <= truth <= high)
    assert 0.89 < covered / times < 0.98  # 0.93 in 1,000 others, with a standard error of 0.013 here


def test_intervals_over_many_runs_cost_no_more_operations() -> None:
    """They are those of the mean without each run, of which thousands of runs would otherwise need a copy each."""
    counts = []
    for number in (5, 40):
        matrix = torch.rand(number, number, generator=GENERATOR).double().fill_diagonal_(torch.nan)
        stability = RunStability([str(i) for i in range(number)], matrix, matrix, 100)
        with Launches() as launches:
            found = stability.interval()["mcc"]
        counts.append(launches.operations.total())
        others = ~torch.eye(number, dtype=torch.bool)
        without = torch.stack([matrix[kept][:, kept].nanmean() for kept in others])
        torch.testing.assert_close(found, jackknife_interval(matrix.nanmean(), without), rtol=1e-12, atol=0)
    assert counts[0] == counts[1]


def test_bad_input_is_refused() -> None:
    two = {"a": run(LATENTS), "b": run(LATENTS)}
    for compare in (unsupervised_disentanglement_ranking, run_stability):
        with pytest.raises(ValueError, match="at least two fingerprints are needed, got 1"):
            compare({"a": run(LATENTS)})
        with pytest.raises(ValueError, match="0 data points in common"):
            compare({"a": run(LATENTS), "b": run(LATENTS, index=torch.arange(1000) + 1000)})
        with pytest.raises(ValueError, match="threshold"):
            compare(two, threshold=-1.0)
    with pytest.raises(ValueError, match="method must be"):
        unsupervised_disentanglement_ranking(two, "pearson")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="strength must be positive"):
        unsupervised_disentanglement_ranking(two, strength=0.0)
    for method, significance in (("lasso", 0.05), ("spearman", 0.0), ("spearman", 1.0)):
        with pytest.raises(ValueError, match="significance must be in"):
            unsupervised_disentanglement_ranking(two, method, significance=significance)  # type: ignore[arg-type]
    for few, level in ((2, 0.05), (10, 1.0)):
        with pytest.raises(ValueError, match="3 points and a significance between 0 and 1"):
            chance_correlation(few, 1, level)
    with pytest.raises(ValueError, match="needs at least 3 of them, got 2"):
        run_stability(two).interval()


def test_the_lasso_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ImportError, match=r"torchdisentangle\[supervised\]"):
        unsupervised_disentanglement_ranking({"a": run(LATENTS), "b": run(LATENTS)})
    ranking = unsupervised_disentanglement_ranking({"a": run(LATENTS), "b": run(LATENTS)}, "spearman")
    assert ranking.udr.min() > 0.8
