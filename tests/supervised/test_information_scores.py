"""Scores of codes and factors: published values, closed forms, ceilings, degenerate input."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import mutual_info_score
from torch import Tensor

from torchdisentangle.functional.supervised.information import mutual_information
from torchdisentangle.supervised import (
    DCIMIG,
    JEMMIG,
    MIGSup,
    Minimality,
    Modularity,
    MutualInformationGap,
    MutualInformationMatrix,
    RobustMIG,
    counted_information,
    supervised_metrics,
)
from torchdisentangle.supervised.information import InformationScore

GRID = torch.cartesian_prod(torch.arange(3), torch.arange(4), torch.arange(5))
SCORES = [MutualInformationGap, MIGSup, DCIMIG, Modularity]


def independent_factors(sizes: tuple[int, ...], n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(size, (n,), generator=generator) for size in sizes], 1)


def value_of(metric: InformationScore, codes: Tensor, factors: Tensor, **kwargs: Tensor) -> float:
    metric.update(codes.float(), factors, **kwargs)
    return float(metric.compute())


def by_scikit_learn(codes: Tensor, factors: Tensor, num_bins: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The published protocol: bins of each code's range, scikit-learn's mutual information, pair by pair."""
    columns = codes.double().numpy().T
    bins = [np.digitize(column, np.histogram(column, num_bins)[1][:-1]) for column in columns]
    matrix = np.array([[mutual_info_score(y, b) for y in factors.numpy().T] for b in bins])
    return matrix, np.array([mutual_info_score(y, y) for y in factors.numpy().T])


def test_the_published_protocol() -> None:
    factors = independent_factors((3, 6, 40), 2_000)
    mixing = torch.tensor([[1.0, 0.1, 0.0], [0.0, 1.0, 0.2], [0.3, 0.0, 1.0], [0.5, 0.5, 0.0]])
    codes = (factors.float() / torch.tensor([3.0, 6.0, 40.0])) @ mixing.T
    matrix, entropies = by_scikit_learn(codes, factors)
    metric = MutualInformationMatrix()
    metric.update(codes, factors)
    np.testing.assert_allclose(metric.compute().numpy(), matrix, rtol=0, atol=1e-13)
    top = np.sort(matrix, 0)
    expected = ((top[-1] - top[-2]) / entropies).mean()
    assert value_of(MutualInformationGap(), codes, factors) == pytest.approx(expected, abs=1e-13)
    squares = matrix**2
    expected = (1 - (squares.sum(1) - squares.max(1)) / (2 * squares.max(1))).mean()
    assert value_of(Modularity(), codes, factors) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "twenty_bins", "fifty_bins"),
    [
        ((3, 6, 40, 32, 32), 0.896, 0.985),  # dSprites
        ((4, 24, 183), 0.820, 0.885),  # Cars3D
        ((4, 4, 2, 3, 3, 40, 40), 0.942, 0.989),  # MPI3D
        ((10, 10, 10, 8, 4, 15), 0.996, 0.990),  # 3D Shapes
        ((5, 9, 18, 6), 0.996, 0.991),  # SmallNORB
    ],
)
def test_perfect_codes_reach_the_ceiling(sizes: tuple[int, ...], twenty_bins: float, fifty_bins: float) -> None:
    """Values of the reference implementation for 10 000 rows of ten codes, perfect or noise, and what bins allow."""
    factors = independent_factors(sizes, 10_000)
    noise = torch.randn(10_000, 10 - len(sizes), generator=torch.Generator().manual_seed(1))
    codes = torch.cat([factors, noise], 1)
    for num_bins, published in ((20, twenty_bins), (50, fifty_bins)):
        metric = MutualInformationGap(num_bins=num_bins)
        value = value_of(metric, codes, factors)
        assert value == pytest.approx(published, abs=4e-3)  # another draw of the same experiment
        bins_of = [torch.arange(size) * num_bins // max(size - 1, 1) for size in sizes]
        exact = [_entropy(b.clamp(max=num_bins - 1)) / math.log(len(b)) for b in bins_of]
        assert float(metric.ceiling()) == pytest.approx(sum(exact) / len(exact), abs=2e-3)  # values' own frequencies
        largest_bias = float(metric.plug_in_bias().amax())
        assert 0 < float(metric.ceiling()) - value < largest_bias


@pytest.mark.parametrize("correction", ["miller_madow", "permutation"])
def test_corrected_scores_come_nearer_to_the_same_ceiling(correction: Any) -> None:
    factors = independent_factors((40, 6), 500)
    plain, corrected = MutualInformationGap(), MutualInformationGap(bias_correction=correction)
    values = [value_of(metric, factors, factors) for metric in (plain, corrected)]
    assert float(plain.ceiling()) == float(corrected.ceiling())  # of exact frequencies, which have no bias
    assert values[0] < values[1] < float(plain.ceiling())


def _entropy(labels: Tensor) -> float:
    p = labels.bincount().double() / len(labels)
    return float(-torch.xlogy(p, p).sum())


def test_ceiling_equals_the_score_of_perfect_codes_on_a_grid() -> None:
    """On a full grid perfect codes are exactly independent, so the ceiling is the score, to rounding."""
    grid = torch.cartesian_prod(torch.arange(3), torch.arange(30))
    for build in SCORES:
        metric = build(num_bins=20)
        assert value_of(metric, grid, grid) == pytest.approx(float(metric.ceiling()), abs=1e-12)
    jemmig = JEMMIG(num_bins=20, edges="data", binning="hard")
    assert value_of(jemmig, grid, grid) == pytest.approx(float(jemmig.ceiling()), abs=1e-12)
    normal = torch.special.ndtri((grid + 0.5) / torch.tensor([3, 30]))
    prior = MutualInformationGap(edges="prior")
    assert value_of(prior, normal, grid) == pytest.approx(float(prior.ceiling()), abs=1e-12)


def test_floors_and_corrections() -> None:
    """Ten factors of ten values, 3 000 rows: identity, constant and noise codes score as in the published table."""
    factors = independent_factors((10,) * 10, 3_000)
    noise = torch.randn(3_000, 10, generator=torch.Generator().manual_seed(1))
    assert value_of(MutualInformationGap(), factors, factors) == pytest.approx(0.9922, abs=2e-3)
    assert value_of(MutualInformationGap(), torch.cat([factors, factors], 1), factors) == 0
    assert value_of(MutualInformationGap(), noise, factors) < 2e-3
    assert value_of(Modularity(), noise, factors) == pytest.approx(0.28, abs=0.03)
    assert value_of(Modularity(threshold=0.05), noise, factors) == 0
    assert value_of(Modularity(threshold=0.05), factors, factors) == pytest.approx(1, abs=1e-12)
    assert value_of(MIGSup(threshold=0.05), torch.cat([factors, noise], 1), factors) > 0.99
    matrix = MutualInformationMatrix()
    matrix.update(noise, factors)
    plain, bias = matrix.compute().mean(), matrix.plug_in_bias().mean()
    assert float(plain) == pytest.approx(float(bias), rel=0.1)
    for correction, left in (("miller_madow", 0.25), ("permutation", 0.15)):  # the first is of first order only
        matrix = MutualInformationMatrix(bias_correction=correction)
        matrix.update(noise, factors)
        assert float(matrix.compute().mean()) < left * float(plain)
        # the gap of perfect codes misses 1 only by the noise of the second best
        assert value_of(MutualInformationGap(bias_correction=correction), factors, factors) > 0.998


def test_codes_without_information() -> None:
    constant = torch.zeros(len(GRID), 2)
    for build in SCORES:
        assert value_of(build(), constant, GRID) == 0
        assert value_of(build(), torch.cat([GRID, constant], 1), GRID) == pytest.approx(
            0.6 if build is Modularity else 1.0,
            abs=1e-12,  # a code that knows nothing counts as 0 in Modularity only
        )
    assert value_of(JEMMIG(binning="hard", edges="data"), constant, GRID) == pytest.approx(math.log(60) / 3)
    uneven = independent_factors(
        (7, 7, 7), 997, seed=1
    )  # whose frequencies round: codes that know nothing are not seen by it
    for build in (MIGSup, Modularity):
        metric = _filled(build(), torch.cat([uneven, constant[:1].expand(997, 2)], 1), uneven)
        assert metric.per_code()[3:].tolist() == [0, 0]
        assert float(metric.compute()) == pytest.approx(0.6 if build is Modularity else 1.0, abs=0.05)


def test_single_codes_and_factors() -> None:
    for build in SCORES:
        assert value_of(build(), GRID[:, :1], GRID[:, :1]) == pytest.approx(1, abs=1e-12)
        assert value_of(build(), GRID[:, 0:1], GRID[:, 0]) == pytest.approx(1, abs=1e-12)  # (n,) is one factor
    assert value_of(MutualInformationGap(), GRID[:, :1], GRID) == pytest.approx(1 / 3, abs=1e-12)


def test_factors_with_one_value_are_named_and_left_out() -> None:
    factors = torch.cat([GRID, torch.full((len(GRID), 1), 2)], 1)
    names = ["shape", "scale", "x", "colour"]
    for build in SCORES:
        metric = build(factor_names=names)
        assert value_of(metric, GRID, factors) == pytest.approx(1, abs=1e-12)
        assert metric.unscored_factors() == ["colour"]
        assert float(metric.ceiling()) == pytest.approx(1, abs=1e-12)
    mig = MutualInformationGap()
    mig.update(GRID.float(), factors)
    assert mig.unscored_factors() == ["3"]
    per_factor = mig.per_factor()
    assert per_factor[3].isnan()
    torch.testing.assert_close(per_factor[:3], torch.ones(3).double())
    matrix = MutualInformationMatrix(normalize=True)
    matrix.update(GRID.float(), factors)
    torch.testing.assert_close(matrix.compute(), torch.eye(3, 4).double(), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"can score none of the factors \(0\): too few values"):
        value_of(MutualInformationGap(), GRID, factors[:, 3:])
    with pytest.raises(ValueError, match="factor_names must name 4 factors"):
        _filled(MutualInformationGap(factor_names=names[:2]), GRID, factors).unscored_factors()


def _filled(metric: Any, codes: Tensor, factors: Tensor) -> Any:
    metric.update(codes.float(), factors)
    return metric


@settings(max_examples=15)
@given(st.permutations(range(4)), st.permutations(range(3)), st.permutations(range(5)), st.integers(0, 99))
def test_invariances(codes_order: list[int], factors_order: list[int], values: list[int], seed: int) -> None:
    """Order of codes, of factors and of values, and sign and scale of codes do not matter.

    With an odd number of bins and codes off the edges, a flipped code falls into mirrored bins.
    """
    generator = torch.Generator().manual_seed(seed)
    factors = independent_factors((3, 4, 5), 80, seed)
    codes = torch.randn(80, 4, generator=generator).double()
    codes[:, :3] += factors
    relabelled = torch.stack([factors[:, 0], factors[:, 1], torch.tensor(values)[factors[:, 2]]], 1)
    scale = torch.tensor([1.0, -2.0, 0.5, -1e3]).double()
    for build in (*SCORES, JEMMIG):
        setting: dict[str, Any] = {"num_bins": 7, "edges": "data", "binning": "hard"}
        plain, changed = build(**setting), build(**setting)
        plain.update(codes, factors)
        changed.update((codes * scale)[:, codes_order], relabelled[:, factors_order])
        torch.testing.assert_close(changed.compute(), plain.compute(), rtol=1e-12, atol=1e-12)


class TestPosteriors:
    """Five equally likely modes on bin centres, and a latent without information."""

    def setup_method(self) -> None:
        self.factor = (torch.arange(50) % 5)[:, None]
        self.width = 0.08
        centre = self.width * (torch.tensor([-40.0, -20.0, 0.0, 20.0, 40.0]) + 0.5)
        self.mean = torch.cat([centre[self.factor], torch.zeros(50, 1)], 1)

    def log_variance(self, deviation: float) -> Tensor:
        return torch.tensor([2 * math.log(deviation), 0.0]).expand(50, 2)

    @pytest.mark.parametrize("mode", ["exact", "reference"])
    def test_narrow_posteriors_of_modes(self, mode: Any) -> None:
        narrow = self.log_variance(1e-9)
        assert value_of(RobustMIG(mode=mode), self.mean, self.factor, log_variance=narrow) == pytest.approx(1)
        nats = RobustMIG(mode=mode, normalize=False)
        assert value_of(nats, self.mean, self.factor, log_variance=narrow) == pytest.approx(math.log(5))
        jemmig = JEMMIG(mode=mode)
        assert value_of(jemmig, self.mean, self.factor, log_variance=narrow) == pytest.approx(0, abs=1e-9)
        score = JEMMIG(mode=mode, normalize=True)
        assert value_of(score, self.mean, self.factor, log_variance=narrow) == pytest.approx(1)
        assert (score.higher_is_better, jemmig.higher_is_better) == (True, False)

    def test_width_costs_entropy(self) -> None:
        wide = self.log_variance(0.1)
        value = value_of(JEMMIG(mode="reference"), self.mean, self.factor, log_variance=wide)
        closed_form = 0.5 * math.log(2 * math.pi * math.e * 0.01) - math.log(self.width)
        assert value == pytest.approx(closed_form, abs=1e-4)
        assert value == pytest.approx(1.64208, abs=1e-4)
        score = value_of(JEMMIG(mode="reference", normalize=True), self.mean, self.factor, log_variance=wide)
        assert 1 - score == pytest.approx(0.26423, abs=1e-4)
        ends = np.concatenate([[-np.inf], -4 + self.width * np.arange(1, 100), [np.inf]])
        p = np.diff(norm.cdf(ends, 0.5 * self.width, 0.1))
        entropy = -np.sum(p[p > 0] * np.log(p[p > 0]))  # of one mode; the modes do not overlap
        exact = value_of(JEMMIG(), self.mean, self.factor, log_variance=wide)
        assert exact == pytest.approx(entropy, abs=1e-5)

    def test_a_duplicated_latent_closes_the_gap(self) -> None:
        mean, log_variance = self.mean[:, [0, 0]], self.log_variance(0.1)[:, [0, 0]]
        assert value_of(RobustMIG(), mean, self.factor, log_variance=log_variance) == pytest.approx(0, abs=1e-12)
        one, two = JEMMIG(), JEMMIG()
        alone = value_of(one, mean[:, :1], self.factor, log_variance=log_variance[:, :1])
        both = value_of(two, mean, self.factor, log_variance=log_variance)
        information = float(one.information().mutual)
        assert both == pytest.approx(alone + information)  # H(z, y) - I + I
        assert both == pytest.approx(float(one.information().joint_entropy))

    def test_a_factor_that_is_crossed_has_no_information(self) -> None:
        crossed = torch.cat([self.factor, (torch.arange(50) // 5)[:, None]], 1)
        metric = MutualInformationMatrix(num_bins=100, edges=(-4.0, 4.0), binning="soft")
        metric.update(self.mean, crossed, log_variance=self.log_variance(0.5))
        assert float(metric.compute()[:, 1].abs().max()) < 1e-14

    def test_order_of_latents(self) -> None:
        generator = torch.Generator().manual_seed(0)
        mean = self.mean + torch.randn(50, 2, generator=generator)
        variance = torch.randn(50, 2, generator=generator)
        for build in (RobustMIG, JEMMIG):
            a = value_of(build(), mean, self.factor, log_variance=variance)
            b = value_of(build(), mean.flip(1), self.factor, log_variance=variance.flip(1))
            assert a == pytest.approx(b, abs=1e-13)

    def test_corrections_need_counts(self) -> None:
        with pytest.raises(ValueError, match="a bias correction needs counts"):
            RobustMIG(bias_correction="miller_madow")
        with pytest.raises(ValueError, match="bias_correction must be None"):
            MutualInformationGap(bias_correction="half")  # type: ignore[arg-type]
        for build in (MIGSup, Modularity, Minimality):
            with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\)"):
                build(threshold=1.0)
        for setting in ({"binning": "hard"}, {"edges": "prior"}, {"edges": ([0.0], [1.0])}):
            with pytest.raises(ValueError, match="mode='reference' needs binning='soft' and edges"):
                RobustMIG(mode="reference", **setting)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="mode must be"):
            RobustMIG(mode="density")  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_information_of_two_gaussians(distance: float) -> None:
    """Means at plus and minus half the distance, unit variance: soft bins approach the integral from below."""
    truth = {1.0: 0.11142, 2.0: 0.33683, 4.0: 0.63272}[distance]
    factor = (torch.arange(20) % 2)[:, None]
    mean = distance * (factor - 0.5)
    metric = MutualInformationMatrix(num_bins=400, edges=(-8.0, 8.0), binning="soft")
    metric.update(mean, factor, log_variance=torch.zeros(20, 1))
    value = float(metric.compute())
    assert truth - 1e-4 < value < truth + 1e-5


def test_plots() -> None:
    matrix = _filled(MutualInformationMatrix(factor_names=["shape", "scale", "x"]), GRID[:, :2], GRID)
    _, ax = matrix.plot()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["shape", "scale", "x"]
    assert ax.images[0].get_array().shape == (2, 3)
    assert _filled(MutualInformationMatrix(), GRID[:, :1], GRID[:, :1]).plot()[1].images[0].get_array().shape == (1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for build in SCORES:
            figure, _ = _filled(build(), GRID, GRID).plot()
            assert figure.axes


def test_scores_of_the_same_rows_compute_information_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for all rows, and once without each group of them."""
    computed: list[object] = []

    def counting(*given: Any) -> Tensor:
        computed.append(given)
        return mutual_information(*given)

    monkeypatch.setattr(counted_information, "mutual_information", counting)
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(4, (500, 3), generator=generator)
    metrics = supervised_metrics(["mig", "mig_sup", "dcimig", "modularity", "jemmig", "mutual_information"])
    metrics.update(factors + torch.randn(500, 3, generator=generator), factors)
    values = metrics.compute()
    assert len(computed) == 1
    for metric in metrics.values(copy_state=False):
        metric.interval()
    assert len(computed) == 21
    metrics.update(torch.randn(500, 3, generator=generator), factors)
    assert metrics.compute()["mig"] < values["mig"]  # of all rows anew
