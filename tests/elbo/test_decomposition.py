"""Total correlation, mutual information and dimension-wise KL: closed forms, identities, and any split of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics import Metric

import torchdisentangle.statistics.aggregate as aggregate
from torchdisentangle import (
    DimensionWiseKL,
    ELBODecomposition,
    IndexCodeMutualInformation,
    LatentKL,
    StatisticCollection,
    TotalCorrelation,
    elbo_metrics,
)
from torchdisentangle.functional import elbo_decomposition
from torchdisentangle.statistics.classes import Estimate

NAMES = ("mutual_information", "total_correlation", "dimension_wise_kl")


def gaussians(num_rows: int, num_latents: int, std: float, rho: float = 0.0, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Posteriors whose aggregate has unit variances, and correlation ``rho`` between the first two means."""
    means = torch.randn(num_rows, num_latents, generator=torch.Generator().manual_seed(seed)).double()
    means[:, 1] = rho * means[:, 0] + math.sqrt(1 - rho**2) * means[:, 1]
    return means * math.sqrt(1 - std**2), torch.full_like(means, 2 * math.log(std))


def decomposed(mean: Tensor, log_variance: Tensor, batch_size: int = 10**9, **settings: Any) -> dict[str, float]:
    metric = ELBODecomposition(**settings)
    for batch in torch.arange(len(mean)).split(batch_size):
        metric.update(mean[batch], log_variance[batch], index=batch)
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_gaussian_population(rho: float) -> None:
    """Population values: TC = -log(1 - r^2) / 2, I = -d log(sigma) - TC, and marginals that are the prior."""
    values = decomposed(*gaussians(8000, 2, 0.5, rho))
    r = 0.75 * rho
    total_correlation = -0.5 * math.log(1 - r**2)
    # 8000 random means: sampling error of the correlation r is about (1 - r^2) / sqrt(8000) / 0.75
    assert values["total_correlation"] == pytest.approx(total_correlation, abs=0.04)
    assert values["mutual_information"] == pytest.approx(2 * math.log(2) - total_correlation, abs=0.04)
    assert values["dimension_wise_kl"] == pytest.approx(0.0, abs=0.005)


def test_functional_form() -> None:
    mean, log_variance = gaussians(300, 3, 0.4, 0.5)
    metric = ELBODecomposition(num_queries=100)
    metric.update(mean, log_variance)
    posterior = metric._posterior()
    z = posterior.queries(100).z
    expected = elbo_decomposition(z, posterior.mean, posterior.log_variance)
    assert [float(metric.compute()[name]) for name in NAMES] == pytest.approx([float(term) for term in expected])
    with pytest.raises(ValueError, match="latents of 1 to 50 rows"):
        elbo_decomposition(z, mean[:50], log_variance[:50])


@pytest.mark.parametrize("row", [0, 3, 2000])  # by their hashes: not among 1,000 kept; kept; queried
@pytest.mark.parametrize("max_rows", [2**15, 1000])
def test_one_broad_posterior_moves_only_the_dimension_wise_kl(row: int, max_rows: int) -> None:
    """Its share of the mutual information is at most log N / N, whether or not it is queried or kept at all."""
    mean, log_variance = gaussians(4000, 10, 0.5)
    without = decomposed(mean, log_variance, num_queries=400, max_rows=max_rows)
    log_variance[row] = 12.0
    values = decomposed(mean, log_variance, num_queries=400, max_rows=max_rows)
    assert values["kl"] > without["kl"] + 10
    assert values["mutual_information"] < math.log(4000)
    for name in ("mutual_information", "total_correlation"):
        # two standard errors: the term is noise where the control variate is another one
        assert values[name] == pytest.approx(without[name], abs=0.1)
    assert sum(values[name] for name in NAMES) == pytest.approx(values["kl"], rel=1e-12)


def test_narrow_posteriors_are_islands() -> None:
    """Ten independent latents of standard deviation 0.3: of 10,000 rows the mixture itself has 3.1 nats."""
    values = decomposed(*gaussians(10_000, 10, 0.3), num_queries=500)
    assert values["total_correlation"] == pytest.approx(3.1, abs=0.1)
    assert values["mutual_information"] == pytest.approx(8.97, abs=0.1)
    assert values["dimension_wise_kl"] == pytest.approx(0.005, abs=0.01)


def test_minibatch_estimates_of_the_same_posteriors() -> None:
    mean, log_variance = gaussians(5120, 10, 0.3)
    stratified = decomposed(mean, log_variance, 256, estimator="mss", dataset_size=10_000)
    weighted = decomposed(mean, log_variance, 256, estimator="mws", dataset_size=10_000)
    expected = {"mss": (9.14, 3.00, -0.11), "mws": (14.74, 89.3, -92.0)}
    assert [stratified[name] for name in NAMES] == pytest.approx(expected["mss"], abs=0.15)
    assert [weighted[name] for name in NAMES] == pytest.approx(expected["mws"], abs=0.15)


@pytest.mark.parametrize(
    ("estimator", "num_rows"),
    [*(("aggregate", n) for n in (1, 2, 3, 40)), ("mss", 2), ("mss", 40), ("mss", 41), ("mws", 1), ("mws", 40)],
)
def test_terms_add_to_the_analytic_kl(estimator: Any, num_rows: int) -> None:
    generator = torch.Generator().manual_seed(num_rows)
    mean, log_variance = torch.randn(2, num_rows, 3, generator=generator).double()
    values = decomposed(mean, log_variance, 20, estimator=estimator, dataset_size=100)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert sum(values[name] for name in NAMES) == pytest.approx(float(kl), rel=1e-9)
    assert values["kl"] == pytest.approx(float(kl), rel=1e-12)


@pytest.mark.parametrize("settings", [{}, {"estimator": "mss", "dataset_size": 100}])
@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -2.0)])
def test_collapsed_posteriors(mean: float, log_variance: float, settings: dict[str, Any]) -> None:
    """Equal posteriors tell nothing apart, exactly: all of the KL divergence is dimension-wise."""
    values = decomposed(torch.full((100, 4), mean), torch.full((100, 4), log_variance), 30, **settings)
    kl = 2 * (mean**2 + math.exp(log_variance) - 1 - log_variance)
    assert [values[name] for name in NAMES] == pytest.approx([0, 0, kl], abs=1e-9)


def test_separate_posteriors_reach_the_ceiling() -> None:
    mean = 1000 * torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    metric = IndexCodeMutualInformation(num_queries=50)
    metric.update(mean, torch.zeros(300, 2))
    assert float(metric.compute()) == pytest.approx(math.log(300), abs=1e-9)
    assert float(metric.ceiling()) == pytest.approx(math.log(300))
    sampled = IndexCodeMutualInformation(num_queries=50, max_rows=100)
    sampled.update(mean, torch.zeros(300, 2))
    assert float(sampled.compute()) == pytest.approx(math.log(100), abs=1e-9)


@pytest.mark.parametrize("settings", [{}, {"estimator": "mss", "dataset_size": 64}])
def test_posteriors_without_width_are_points(settings: dict[str, Any]) -> None:
    mean = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    values = decomposed(mean, torch.full((64, 2), -2000.0), **settings)
    assert values["mutual_information"] == pytest.approx(math.log(64), abs=1e-9)
    assert values["total_correlation"] == pytest.approx(math.log(64), abs=1e-9)
    assert sum(values[name] for name in NAMES) == pytest.approx(values["kl"], rel=1e-12)


@given(st.permutations(range(40)), st.integers(1, 40), st.integers(0, 40))
def test_any_split_gives_the_value_of_one_pass(order: list[int], size: int, cut: int) -> None:
    mean, log_variance = gaussians(40, 3, 0.4, 0.5)
    shuffled, parts = torch.tensor(order), []
    for rows in (shuffled[:cut], shuffled[cut:]):
        parts.append(ELBODecomposition(max_rows=30))
        for batch in rows.split(size):
            parts[-1].update(mean[batch], log_variance[batch], index=batch)
    parts[0].merge_state(parts[1])
    expected = decomposed(mean, log_variance, max_rows=30)
    assert {name: float(value) for name, value in parts[0].compute().items()} == pytest.approx(expected, abs=1e-9)


def test_minibatch_sums_add_over_objects() -> None:
    mean, log_variance = gaussians(50, 3, 0.4)
    whole, first, second = (ELBODecomposition("mss", dataset_size=50) for _ in range(3))
    for number, batch in enumerate(torch.arange(50).split(8)):
        for metric in (whole, first if number % 2 else second):
            metric.update(mean[batch], log_variance[batch], index=batch)
    first.merge_state(second)
    expected = {name: float(value) for name, value in whole.compute().items()}
    assert {name: float(value) for name, value in first.compute().items()} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("num_rows", "num_latents", "num_queries"),
    [(60, 3, 1024), (200, 6, 60)],  # all rows; a third
)
def test_standard_errors_say_how_the_values_spread_over_seeds(
    num_rows: int, num_latents: int, num_queries: int
) -> None:
    mean, log_variance = gaussians(num_rows, num_latents, 0.5)

    def estimates(seeds: range, num_queries: int) -> Estimate:
        found = []
        for seed in seeds:
            metric = ELBODecomposition(num_queries=num_queries, seed=seed)
            metric.update(mean, log_variance, index=torch.arange(num_rows))
            found.append(metric.estimates())
        return Estimate(*map(torch.stack, zip(*found, strict=True)))

    found = estimates(range(80), num_queries)
    truth = estimates(range(1000, 1020), num_rows).value.mean(0)
    z = (found.value - truth) / found.standard_error
    squares, covered = z.square().mean(0), (z.abs() < 1.96).double().mean(0)
    # of 80 values, so known to 16 %; where all rows were queried it was 0.5
    assert ((squares > 0.65) & (squares < 1.55)).all()
    assert (covered > 0.86).all()  # three standard errors of 80 below 0.95


def test_second_latents_are_drawn_where_they_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, original = [], aggregate.aggregate_log_sums
    monkeypatch.setattr(
        aggregate, "aggregate_log_sums", lambda z, *args, **kwargs: sizes.append(len(z)) or original(z, *args, **kwargs)
    )
    for num_rows, num_queries in ((50, 64), (300, 200), (2000, 100)):
        metric = ELBODecomposition(num_queries=num_queries)
        metric.update(*gaussians(num_rows, 2, 0.4))
        metric.compute()
        metric.standard_error()
    assert sizes == [50, 50, 200, 128, 100]


@pytest.mark.parametrize("num_rows", [1, 2])
def test_the_error_of_one_or_two_queries_is_not_known(num_rows: int) -> None:
    metric = TotalCorrelation()
    metric.update(*gaussians(num_rows, 2, 0.4))
    assert metric.standard_error().isposinf()


def members() -> dict[str, Metric]:
    return {
        "all": ELBODecomposition(num_queries=30),
        "mutual_information": IndexCodeMutualInformation(num_queries=30),
        "total_correlation": TotalCorrelation(num_queries=30),
        "dimension_wise_kl": DimensionWiseKL(num_queries=30),
    }


def test_a_collection_computes_the_aggregate_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, original = [], aggregate.aggregate_log_sums
    monkeypatch.setattr(
        aggregate, "aggregate_log_sums", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs)
    )
    collection = StatisticCollection(members())  # type: ignore[arg-type]
    assert len(collection.compute_groups) == 1
    for _ in range(2):
        collection.update(*gaussians(50, 3, 0.4))
        values = collection.compute()
    assert len(calls) == 2
    flat = {name.removeprefix("all_"): float(value) for name, value in values.items()}
    assert sum(flat[name] for name in NAMES) == pytest.approx(flat["kl"])


def test_minibatches_have_no_ceiling_and_errors_have_the_values_names() -> None:
    metric = ELBODecomposition("mss", dataset_size=50)
    metric.update(*gaussians(50, 3, 0.4))
    assert metric.ceiling().isposinf()
    assert metric.standard_error().keys() == metric.compute().keys()
    assert repr(metric) == "ELBODecomposition(estimator='mss', dataset_size=50)"


def test_the_collection_is_updated_by_the_means_and_keywords() -> None:
    mean, log_variance = gaussians(50, 3, 0.4)
    metrics = elbo_metrics(num_queries=30)
    assert len(metrics.compute_groups) == 3  # posteriors; moments of codes; pairs of codes
    metrics.update(mean, log_variance=log_variance, index=torch.arange(50))
    values, kl = metrics.compute(), LatentKL()
    kl.update(mean, log_variance)
    assert torch.equal(values["latent_kl"], kl.compute())
    assert float(values["mutual_information"]) == decomposed(mean, log_variance, num_queries=30)["mutual_information"]


def work(rank: int, cuts: list[int], settings: dict[str, Any]) -> list[float]:
    mean, log_variance = gaussians(53, 3, 0.4, 0.5)
    collection = StatisticCollection(members())  # type: ignore[arg-type]
    alone = ELBODecomposition(**settings)
    for batch in torch.arange(cuts[rank], cuts[rank + 1]).split(6):
        collection.update(mean[batch], log_variance[batch], index=batch)
        alone.update(mean[batch], log_variance[batch], index=batch)
    values = collection.compute()
    assert not any(metric.is_reduced for metric in collection.values())
    return [float(value) for value in (*values.values(), *alone.compute().values(), *alone.standard_error().values())]


@pytest.mark.parametrize("settings", [{"num_queries": 30}, {"estimator": "mss", "dataset_size": 53}])
@pytest.mark.parametrize("cuts", [[0, 24, 53], [0, 53, 53], [0, 6, 30, 53]])  # uneven; an empty process; three
def test_processes_give_the_value_of_one(run_processes: Callable, cuts: list[int], settings: dict[str, Any]) -> None:
    (expected,) = run_processes(1, work, [0, 53], settings)
    for found in run_processes(len(cuts) - 1, work, cuts, settings):
        # batches of six are cut at the same places for the minibatch estimate
        assert found == pytest.approx(expected, abs=1e-9)


def test_batches_of_one_row() -> None:
    mean, log_variance = gaussians(21, 3, 0.4)
    metric = TotalCorrelation("mss", dataset_size=21)
    for batch in torch.arange(21).split(5):
        metric.update(mean[batch], log_variance[batch], index=batch)
    without = TotalCorrelation("mss", dataset_size=21)
    for batch in torch.arange(20).split(5):
        without.update(mean[batch], log_variance[batch], index=batch)
    assert int(metric.num_skipped) == 1
    torch.testing.assert_close(metric.terms, without.terms)
    assert int(metric.num_rows) == 21  # the KL divergence is of all rows
    alone = TotalCorrelation("mss", dataset_size=21)
    alone.update(mean[:1], log_variance[:1])
    with pytest.raises(ValueError, match="only batches of a single row"):
        alone.compute()
    with pytest.raises(ValueError, match="30 rows does not come from a data set of 21"):
        metric.update(*gaussians(30, 3, 0.4))


@pytest.mark.parametrize("settings", [{}, {"estimator": "mss", "dataset_size": 60}])
def test_nonfinite_rows_are_left_out(settings: dict[str, Any]) -> None:
    mean, log_variance = gaussians(20, 3, 0.4)
    broken, index = mean.clone(), torch.arange(20)
    broken[4, 1] = math.nan
    metric, expected = ELBODecomposition(**settings), ELBODecomposition(**settings)
    with pytest.warns(UserWarning, match="1 in this batch"):
        metric.update(broken, log_variance, index=index)
    kept = index[index != 4]
    expected.update(mean[kept], log_variance[kept], index=kept)
    assert metric.compute() == expected.compute()
    empty = TotalCorrelation(**settings)
    with pytest.warns(UserWarning, match="left out"):
        empty.update(broken[4:5], log_variance[4:5])
    with pytest.raises(ValueError, match=r"TotalCorrelation has no posteriors \(1 were NaN"):
        empty.compute()


@pytest.mark.parametrize("settings", [{}, {"estimator": "mss", "dataset_size": 60}])
@pytest.mark.parametrize("with_index", [False, True])
def test_forward_gives_the_batch_whatever_came_before(settings: dict[str, Any], with_index: bool) -> None:
    mean, log_variance = gaussians(30, 3, 0.4)
    metric, whole = TotalCorrelation(**settings), TotalCorrelation(**settings)
    for rows in torch.arange(30).split(10):
        index = {"index": rows} if with_index else {}
        alone = TotalCorrelation(**settings)
        alone.update(mean[rows], log_variance[rows], **index)
        whole.update(mean[rows], log_variance[rows], **index)
        assert torch.equal(metric(mean[rows], log_variance[rows], **index), alone.compute())
    torch.testing.assert_close(metric.compute(), whole.compute(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "exact"}, "'aggregate', 'mss' or 'mws'"),
        ({"estimator": "mss"}, "needs dataset_size"),
        ({"estimator": "mws", "dataset_size": 0}, "needs dataset_size"),
        ({"num_queries": 0}, "num_queries must be at least 1"),
        ({"max_rows": 0}, "max_rows must be at least 1"),
        ({"seed": -1}, "seed must be between 0"),
        ({"seed": 2**32, "estimator": "mss", "dataset_size": 9}, "seed must be between 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TotalCorrelation(**settings)


@pytest.mark.parametrize("seed", [None, 1.5, True, "0"])
def test_a_seed_is_an_integer(seed: Any) -> None:
    with pytest.raises(TypeError, match="seed must be an integer"):
        TotalCorrelation(seed=seed)


@pytest.mark.parametrize("estimator", ["aggregate", "mss"])
@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize(
    ("mean", "log_variance"),
    [(0.0, 300.0), (0.0, -1e4), (0.0, -1e38), (0.0, -1e140), (1e10, -1e23), (1e7, 0.0)],
)
def test_extreme_posteriors_keep_the_bounds_of_the_terms(
    estimator: Any, rows: int, mean: float, log_variance: float
) -> None:
    """Information is at most log N, total correlation (d - 1) log N, and what is left is the dimension-wise KL."""
    means, log_variances = gaussians(60, 3, 0.4)
    means[:rows, 1], log_variances[:rows, 1] = mean, log_variance
    values = decomposed(means, log_variances, estimator=estimator, dataset_size=60)
    assert all(math.isfinite(value) for value in values.values())
    noise = 0.5  # of 60 samples, and of a stratified estimate
    assert -noise < values["mutual_information"] < math.log(60) + noise
    assert -noise < values["total_correlation"] < 2 * math.log(60) + noise
    assert sum(values[name] for name in NAMES) == pytest.approx(values["kl"], rel=1e-12)


@pytest.mark.parametrize("estimator", ["aggregate", "mss"])
@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 700.0), (0.0, -1e306), (1e150, 0.0), (1e60, 400.0)])
def test_posteriors_whose_squares_overflow_are_counted(estimator: Any, mean: float, log_variance: float) -> None:
    """Beyond 1e150 nats: the other rows' terms are those of the rows alone."""
    means, log_variances = gaussians(60, 3, 0.4)
    means[:10, 1], log_variances[:10, 1] = mean, log_variance
    metric, rest = (ELBODecomposition(estimator=estimator, dataset_size=50) for _ in range(2))
    with pytest.warns(UserWarning, match=r"num_nonfinite \(10 in this batch\)"):
        metric.update(means, log_variances, index=torch.arange(60))
    rest.update(means[10:], log_variances[10:], index=torch.arange(10, 60))
    assert int(metric.num_nonfinite) == 10
    assert torch.equal(metric.compute()["kl"], rest.compute()["kl"])


def test_plots() -> None:
    metric, whole = TotalCorrelation(), ELBODecomposition()
    for m in (metric, whole):
        m.update(*gaussians(50, 3, 0.4))
    assert "total correlation" in metric.plot()[1].get_ylabel()
    assert metric.plot([0.5, 0.2])[1].get_xlabel() == "step"
    for ax in (whole.plot()[1], whole.plot(whole.compute())[1]):
        heights = [bar.get_height() for bar in ax.patches]
        assert heights == pytest.approx([float(value) for value in whole.compute().values()])
