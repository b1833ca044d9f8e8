"""Intervals by the delete-a-group jackknife, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from tests.launches import Launches
from torchdisentangle import (
    CCA,
    DCI,
    IRS,
    JEMMIG,
    MCC,
    SAP,
    FactorVAEScore,
    InfoC,
    InfoM,
    Interpretability,
    LinearR2,
    Modularity,
    MutualInformationGap,
    paired_difference,
)
from torchdisentangle.functional import jackknife_replicates, replicate_interval
from torchdisentangle.functional.jackknife import Replicates
from torchdisentangle.functional.row_hash import hash_index
from torchdisentangle.supervised import CodeFactorSample, InformationScore, RowScore, SupervisedScore
from torchdisentangle.supervised.information_estimator import Information

pytestmark = pytest.mark.filterwarnings("ignore:most values of the codes")


def rows(num_rows: int, seed: int = 0, noise: float = 0.8) -> tuple[Tensor, Tensor]:
    """Three factors of four values, and codes that know one each."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randint(4, (num_rows, 3), generator=generator)
    codes = factors + noise * torch.randn(num_rows, 3, generator=generator)
    return codes.clamp(-2, 5).double(), factors


def filled(metric: Any, codes: Tensor, factors: Tensor, index: Tensor | None = None) -> Any:
    metric.update(codes, factors, index=index)
    return metric


class MeanOfCodes(RowScore):
    """A score of which the interval is known: Student's, if each group has as many rows."""

    def compute(self) -> Tensor:
        return self._rows().codes.mean()

    def _scored(self) -> Tensor:
        return torch.ones(1, dtype=torch.bool)


def test_a_mean_has_students_interval() -> None:
    """Take ten rows of each group: the groups' means are then twenty independent measurements."""
    groups = hash_index(torch.arange(1000)) % 20
    index = torch.cat([(groups == group).nonzero()[:10, 0] for group in range(20)])
    codes = torch.randn(200, 1, generator=torch.Generator().manual_seed(1)).double()
    means = codes.view(20, 10).mean(1).numpy()
    for level in (0.5, 0.95):
        interval = filled(MeanOfCodes(), codes, torch.zeros(200, 1), index).interval(level)
        reach = student.ppf(0.5 + level / 2, 19) * means.std(ddof=1) / math.sqrt(20)
        np.testing.assert_allclose(interval, [means.mean() - reach, means.mean() + reach], rtol=1e-12)


def brute_force(make: Callable[[], SupervisedScore], codes: Tensor, factors: Tensor, index: Tensor) -> Any:
    """The interval of a score that is fitted again to what is left of the rows."""
    groups = hash_index(index) % 20
    present, sizes = groups.unique(return_counts=True)
    kept = [groups != group for group in present]
    score = filled(make(), codes, factors, index)
    others = [filled(make(), codes[keep], factors[keep], index[keep]) for keep in kept]
    if not isinstance(score, InformationScore):
        values = torch.stack([other.compute() for other in others])
        smooth = not score.state.refits
        corrected = jackknife_replicates(score.compute(), values, sizes, correct_bias=smooth)
        return replicate_interval(*corrected, sizes=sizes)
    corrected = {
        name: jackknife_replicates(
            value,
            torch.stack([other._estimates()[name] for other in others]),
            sizes,
            quadratic=score.plug_in_bias() / len(codes) if name == "mutual" else None,
        )
        for name, value in score._estimates().items()
    }
    scored = score._scored()

    def read(chosen: Callable[[Replicates], Tensor]) -> Tensor:
        information = Information(**{name: chosen(each) for name, each in corrected.items()})
        return score._score(information.of_factors(scored))

    without = [read(lambda each, g=g: each.without[g]) for g in range(len(others))]  # type: ignore[misc]
    return replicate_interval(read(lambda each: each.estimate), torch.stack(without), sizes=sizes)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MutualInformationGap(edges=(-2.0, 5.0)),
        lambda: MutualInformationGap(edges=(-2.0, 5.0), bias_correction="miller_madow"),
        lambda: JEMMIG(binning="hard", edges="prior"),
        SAP,
        LinearR2,
        MCC,
        lambda: MCC("spearman"),
    ],
)
@pytest.mark.parametrize("num_rows", [10, 400])
def test_groups_are_left_out_as_if_they_had_never_come(make: Callable[[], Any], num_rows: int) -> None:
    codes, factors = rows(num_rows)
    index = torch.arange(num_rows) * 7
    metric = make()
    for part in torch.arange(num_rows).split(90):
        metric.update(codes[part], factors[part], index=index[part])
    np.testing.assert_allclose(metric.interval(), brute_force(make, codes, factors, index), rtol=1e-9, atol=1e-9)


def uneven_rows() -> tuple[Tensor, Tensor]:
    """Values of one, two and many rows, a code that is constant but for one row, two equal codes, and a dead one."""
    codes, factors = rows(300)
    factors[:3, 0] = torch.tensor([7, 8, 8])
    once = torch.zeros(300)
    once[4] = 1.0
    return torch.stack([*codes.T, codes[:, 0], factors[:, 1], once, torch.zeros(300)], dim=1).double(), factors


@pytest.mark.filterwarnings("ignore:IRS leaves out", "ignore:FactorVAEScore leaves out")
@pytest.mark.parametrize(
    "make",
    [
        IRS,
        lambda: IRS(quantile=1.0, continuous=[2]),
        lambda: IRS(quantile=0.4, mode="reference"),
        FactorVAEScore,
        lambda: FactorVAEScore(num_groups=60, group_size=5, rescale=True),
        lambda: FactorVAEScore(num_groups=60, group_size=5, prune_threshold=10.0),
        lambda: FactorVAEScore(num_groups=60, continuous=[0]),
    ],
)
@pytest.mark.parametrize("data", [uneven_rows, lambda: rows(90), lambda: rows(2000)])
def test_scores_of_all_parts_at_once_are_those_of_each_by_itself(
    make: Callable[[], Any], data: Callable[[], tuple[Tensor, Tensor]]
) -> None:
    codes, factors = data()
    index = torch.arange(len(codes)) * 7
    metric = filled(make(), codes, factors, index)
    # rounding of votes is 0, of IRS 1e-15
    np.testing.assert_allclose(metric.interval(), brute_force(make, codes, factors, index), rtol=0, atol=1e-12)
    unnumbered = filled(make(), codes, factors)
    at_once = [fewer.compute() for fewer in unnumbered._without_groups()]
    each = [fewer.compute() for fewer in unnumbered.state.without_groups(unnumbered)]
    np.testing.assert_allclose(at_once, each, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [IRS, FactorVAEScore])
def test_an_interval_from_rows_asks_for_fewer_operations_than_twenty_scores(make: Callable[[], Any]) -> None:
    """Most are on few rows: those that can be among the farthest, or in a group."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(10, (10_000, 5), generator=generator)
    codes = factors.repeat(1, 2) + torch.randn(10_000, 10, generator=generator)
    metric = filled(make(), codes, factors)
    with Launches() as score:
        metric.compute()
    with Launches() as interval:
        metric.interval()
    assert interval.operations.total() <= 5 * score.operations.total()


def test_bins_of_the_data_are_those_of_all_rows() -> None:
    """A group that holds the extremes does not move the edges when it is left out."""
    codes, factors = rows(300)
    codes[0], codes[1] = -2.0, 5.0
    index = torch.arange(300)
    of_data = filled(MutualInformationGap(), codes, factors, index)
    fixed = filled(MutualInformationGap(edges=(-2.0, 5.0)), codes, factors, index)
    np.testing.assert_allclose(of_data.interval(), fixed.interval(), rtol=1e-12)
    assert of_data.compute() == fixed.compute()  # the score of all rows is as it was


def test_a_value_that_cannot_vary_has_a_point() -> None:
    factors = rows(400)[1][:, :1]
    for metric in (MutualInformationGap(), MutualInformationGap(edges=(0.0, 3.0)), SAP(), MCC()):
        low, high = filled(metric, factors.double(), factors).interval()
        assert float(low) == pytest.approx(1.0, abs=1e-10)
        assert float(high) == pytest.approx(1.0, abs=1e-10)


def test_intervals_shrink_with_the_square_root_of_the_rows() -> None:
    widths = []
    for num_rows in (500, 8000):
        found = [filled(SAP(), *rows(num_rows, seed)).interval() for seed in range(20)]
        widths.append(np.mean([float(high - low) for low, high in found]))
    assert widths[0] / widths[1] == pytest.approx(4.0, rel=0.2)


def test_values_of_several_numbers() -> None:
    codes, factors = rows(200)
    low, high = filled(DCI("lasso"), codes, factors).interval()
    assert low.keys() == high.keys() == filled(DCI("lasso"), codes, factors).compute().keys()
    metric = Interpretability()
    metric.update(codes, factors, log_variance=torch.zeros_like(codes))
    low, high = metric.interval()
    assert all(low[name] < high[name] for name in metric.compute())


def test_the_metric_stays_as_it_was() -> None:
    codes, factors = rows(200)
    for metric in (SAP(), MutualInformationGap(), MutualInformationGap(edges="prior"), DCI("lasso")):
        filled(metric, codes, factors)
        before, sample_size = metric.compute(), metric.sample_size()
        first, second = metric.interval(), metric.interval()
        assert str(first) == str(second)
        assert str(metric.compute()) == str(before)
        assert metric.sample_size() == sample_size
        metric.update(codes, factors)
        assert metric.sample_size() == 2 * sample_size


def test_errors() -> None:
    codes, factors = rows(200)
    with pytest.raises(ValueError, match="intervals=True"):
        filled(MutualInformationGap(edges="prior", intervals=False), codes, factors).interval()
    with pytest.raises(ValueError, match="moments keep no groups of rows: use intervals=True"):
        filled(LinearR2(intervals=False), codes, factors).interval()
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        filled(SAP(), codes, factors).interval(1.0)
    with pytest.raises(ValueError, match="too few rows for an interval"):
        filled(SAP(), codes[:2], factors[:2]).interval()
    with pytest.raises(ValueError, match="no score and has no interval"):
        filled(CodeFactorSample(), codes, factors).interval()


def test_counts_without_groups_have_the_same_score() -> None:
    codes, factors = rows(200)
    with_groups = filled(MutualInformationGap(edges="prior"), codes, factors)
    without = filled(MutualInformationGap(edges="prior", intervals=False), codes, factors)
    assert with_groups.compute() == without.compute()
    assert with_groups.counts.numel() == 20 * without.counts.numel()
    assert with_groups.group_key != without.group_key


@pytest.mark.parametrize("score", [SAP, LinearR2, MCC, CCA])
def test_moments_without_groups_have_the_same_score(score: Any) -> None:
    codes, factors = rows(200)
    with_groups, without = filled(score(), codes, factors), filled(score(intervals=False), codes, factors)
    assert float(with_groups.compute()) == pytest.approx(float(without.compute()), rel=1e-12)
    assert with_groups.group_key != without.group_key


def mixed(num_rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Codes that know two factors each."""
    codes, factors = rows(num_rows, seed)
    return codes + 0.4 * factors[:, [1, 2, 0]], factors


BINS: Any = {"edges": (-2.0, 7.0), "num_bins": 10}
COVERED = {  # a score, its value for infinitely many rows, from eight million rows, and the most its interval is wide
    "mig": (lambda: MutualInformationGap(edges=(-2.0, 5.0), num_bins=10), rows, 0.3669, 0.12),
    "sap": (SAP, rows, 0.6621, 0.12),
    "modularity": (lambda: Modularity(**BINS), mixed, 0.99204, 0.03),
    "info_m": (lambda: InfoM(estimator="counts", **BINS), mixed, 0.83189, 0.2),
    "info_c": (lambda: InfoC(estimator="counts", **BINS), mixed, 0.83189, 0.2),
}


@pytest.mark.parametrize("name", COVERED)
def test_coverage(name: str) -> None:
    """Of 60 data sets, at least 51 intervals cover: fewer happen with probability 0.0005 where 95 % do."""
    make, data, truth, widest = COVERED[name]
    ends = [filled(make(), *data(300, seed)).interval() for seed in range(60)]
    assert sum(float(low) <= truth <= float(high) for low, high in ends) >= 51
    assert np.mean([float(high - low) for low, high in ends]) < widest


@pytest.mark.parametrize("make", [lambda: InfoM(), lambda: DCI("lasso")], ids=["neighbours", "fits"])
def test_what_is_fitted_again_is_not_corrected(make: Callable[[], Any]) -> None:
    """Nearest neighbours and fits move too much for a correction: their interval is around the value."""
    score = filled(make(), *rows(300))
    value, interval = score.compute(), score.interval()
    both = (value, interval.low, interval.high)
    for one, low, high in zip(*(each.values() for each in both), strict=True) if isinstance(value, dict) else [both]:
        assert float(low + high) / 2 == pytest.approx(float(one), rel=1e-9)
        assert low < one < high


class TestPairedDifference:
    def test_rows_in_common_cancel(self) -> None:
        """Two models that differ by a little noise, on rows that vary much more."""
        codes, factors = rows(400, noise=1.0)
        index = torch.arange(400)
        other = codes + 0.1 * torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
        a, b = (filled(SAP(), of, factors, index) for of in (codes, other))
        value, low, high = paired_difference(a, b)
        assert value == a.compute() - b.compute()
        assert high - low < 0.5 * (a.interval().high - a.interval().low)
        assert paired_difference(a, a) == (0.0, 0.0, 0.0)
        backwards = paired_difference(b, a)
        np.testing.assert_allclose(backwards, [-value, -high, -low], rtol=1e-9)

    def test_every_kind_of_state(self) -> None:
        codes, factors = rows(300)
        index = torch.arange(300)
        for make in (MutualInformationGap, lambda: MutualInformationGap(edges=(-2.0, 5.0)), MCC, lambda: DCI("lasso")):
            a, b = filled(make(), codes, factors, index), filled(make(), codes.flip(0), factors, index)
            difference = paired_difference(a, b)
            low = difference.low["dci_informativeness"] if isinstance(difference.low, dict) else difference.low
            assert low > 0  # the other codes belong to other rows

    def test_errors(self) -> None:
        codes, factors = rows(100)
        index = torch.arange(100)
        with pytest.raises(TypeError, match="one class, got SAP and MCC"):
            paired_difference(filled(SAP(), codes, factors, index), filled(MCC(), codes, factors, index))
        for make in (SAP, MutualInformationGap, lambda: MutualInformationGap(edges="prior")):
            whole = filled(make(), codes, factors, index)
            with pytest.raises(ValueError, match="needs the rows' index"):
                paired_difference(whole, filled(make(), codes, factors))
            with pytest.raises(ValueError, match="same rows and factors; one has 100, one 99"):
                paired_difference(whole, filled(make(), codes[1:], factors[1:], index[1:]))
            with pytest.raises(ValueError, match="same rows and factors"):
                paired_difference(whole, filled(make(), codes, factors.flip(0), index))


def work(rank: int, world_size: int) -> list[Any]:
    codes, factors = rows(300)
    index = torch.arange(300)[rank::world_size]
    found: list[Any] = []
    for make in (SAP, MutualInformationGap, lambda: MutualInformationGap(edges="prior")):
        a, b = (filled(make(), of[index], factors[index], index) for of in (codes, codes.flip(0)))
        found += [a.interval(), paired_difference(a, b)]
    return found


def test_processes_give_the_intervals_of_one(run_processes: Callable[..., list[Any]]) -> None:
    for found in run_processes(3, work, 3):
        for one, other in zip(found, work(0, 1), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
