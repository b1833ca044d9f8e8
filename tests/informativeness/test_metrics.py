"""Settings, states and degenerate input of the informativeness metrics."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle import (
    MISJED,
    ELBODecomposition,
    Informativeness,
    PairwiseMutualInformation,
    Separability,
    StatisticCollection,
    informativeness_metrics,
)

MEAN, LOG_VARIANCE = torch.randn(2, 60, 4, generator=torch.Generator().manual_seed(0)).double()
LOG_VARIANCE = LOG_VARIANCE - 2
FEW = {"num_queries": 40}


def all_metrics() -> list[Any]:
    return [
        Informativeness(),
        Informativeness(normalize=True),
        Informativeness(estimator="sampling", **FEW),
        PairwiseMutualInformation(num_bins=30),
        PairwiseMutualInformation(estimator="sampling", **FEW),
        Separability(**FEW, top_k=2),
        MISJED(),
    ]


def values_of(metric: Any, *parts: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    for mean, log_variance in parts or ((MEAN, LOG_VARIANCE),):
        metric.update(mean, log_variance)
    value = metric.compute()
    return value if isinstance(value, dict) else {"value": value}


@pytest.mark.parametrize("kind", [Informativeness, PairwiseMutualInformation])
def test_an_estimator_brings_the_states_that_it_needs(kind: Any) -> None:
    binned, sampled = kind(), kind(estimator="sampling")
    assert type(binned) is type(sampled) is kind
    assert "bin_sum" in binned.state_names
    assert "keys" not in binned.state_names
    assert "bin_sum" not in sampled.state_names
    assert "keys" in sampled.state_names
    with pytest.raises(ValueError, match="estimator must be 'bins' or 'sampling', got 'kde'"):
        kind(estimator="kde")
    with pytest.raises(TypeError, match=f"{kind.__name__} has no setting 'num_bin': did you mean 'num_bins'"):
        kind(num_bin=1)
    assert repr(kind("sampling", num_queries=7)) == f"{kind.__name__}(estimator='sampling', num_queries=7)"
    values_of(binned)
    assert torch.equal(binned.standard_error(), torch.zeros_like(binned.compute()))  # nothing was drawn


def test_settings_of_the_other_estimator_are_refused_where_they_would_change_the_value() -> None:
    with pytest.raises(ValueError, match="normalize=True needs entropies of bins"):
        Informativeness(estimator="sampling", normalize=True)
    with pytest.raises(ValueError, match="top_k needs estimator='sampling'"):
        PairwiseMutualInformation(top_k=2)


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: type(metric).__name__)
def test_copies_shards_and_empty(metric: Any) -> None:
    with pytest.raises(ValueError, match="has no posteriors"), pytest.warns(UserWarning, match="before the"):
        metric.compute()
    metric.update(MEAN, LOG_VARIANCE, index=torch.arange(60))
    whole = metric.compute()
    expected = whole if isinstance(whole, dict) else {"value": whole}
    other = copy.deepcopy(metric)
    other.reset()
    for part in range(0, 60, 25):
        shard = copy.deepcopy(other) if part else other
        shard.reset()
        index = torch.arange(part, min(part + 25, 60))
        shard.update(MEAN[index], LOG_VARIANCE[index], index=index)
        if part:
            other.merge_state(shard)
    for twin in (other, pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        value = twin.compute()
        for name, tensor in (value if isinstance(value, dict) else {"value": value}).items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-12)


def work(rank: int, cuts: list[int]) -> dict[str, Tensor]:
    metrics = informativeness_metrics(num_queries=40, num_bins=30)
    index = torch.arange(cuts[rank], cuts[rank + 1])
    for part in index.split(7):
        if len(part):
            metrics.update(MEAN[part], LOG_VARIANCE[part], index=part)
    if not len(index):
        metrics.update(MEAN[:0], LOG_VARIANCE[:0], index=index)
    values = metrics.compute()
    values["error"] = metrics["separability"].standard_error()["wsepin"]  # type: ignore[operator]
    return values


@pytest.mark.parametrize("cuts", [[0, 33, 60], [0, 60, 60], [0, 20, 21, 60]])
def test_processes_agree_with_one(run_processes: Callable, cuts: list[int]) -> None:
    expected = work(0, [0, 60])
    for values in run_processes(len(cuts) - 1, work, cuts):
        assert values.keys() == expected.keys()
        for name, value in values.items():
            # sums merge to rounding; log-sums in another order of the rows
            tolerance = 1e-12 if name == "binned_informativeness" else 1e-9
            torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance, msg=name)


@settings(max_examples=15)
@given(st.permutations(range(4)))
def test_permuted_latents_permute_the_values(order: list[int]) -> None:
    permuted = MEAN[:, order], LOG_VARIANCE[:, order]
    for build in (Informativeness, lambda: Informativeness(normalize=True)):
        torch.testing.assert_close(values_of(build(), permuted)["value"], values_of(build())["value"][order])
    for build in (lambda: PairwiseMutualInformation(num_bins=20), MISJED):
        expected = values_of(build())["value"][order][:, order]
        torch.testing.assert_close(values_of(build(), permuted)["value"], expected)
    top = MISJED(top_k=4)
    top.update(*permuted)
    assert [order[i] for i in top.compared_latents().tolist()] == values_of_ranking()


def values_of_ranking() -> list[int]:
    metric = Informativeness()
    metric.update(MEAN, LOG_VARIANCE)
    return metric.ranking().tolist()


def test_metrics_of_one_sample_form_one_group() -> None:
    metrics = StatisticCollection(
        {
            "separability": Separability(**FEW),
            "informativeness": Informativeness(estimator="sampling", **FEW),
            "pairs": PairwiseMutualInformation(estimator="sampling", **FEW),
            "misjed": MISJED(),
        }
    )
    assert len(metrics.compute_groups) == 1
    bins = StatisticCollection({"one": Informativeness(pairs=True), "pairs": PairwiseMutualInformation()})
    assert len(bins.compute_groups) == 1
    metrics.update(MEAN, LOG_VARIANCE)
    values = metrics.compute()
    torch.testing.assert_close(values["separability_informativeness"], values["informativeness"])


def test_the_elbo_shares_the_sample() -> None:
    """One group with the ELBO's decomposition, and one truth: single information minus that of all latents is TC."""
    metrics = StatisticCollection({"elbo": ELBODecomposition(**FEW), "separability": Separability(**FEW)})
    metrics.update(MEAN, LOG_VARIANCE)
    assert len(metrics.compute_groups) == 1
    values, errors = metrics.compute(), metrics["elbo"].standard_error()  # type: ignore[operator]
    total_correlation = values["informativeness"].sum() - values["information"]
    assert abs(total_correlation - values["total_correlation"]) < 4 * errors["total_correlation"]
    # the decomposition is adjusted to the analytic divergence, separability is not
    assert (
        abs(values["information"] - values["mutual_information"])
        < 4 * metrics["separability"].standard_error()["information"]
    )  # type: ignore[operator]


def test_the_most_informative_latents_are_compared() -> None:
    mean = torch.cat([0.1 * MEAN[:, :1], 5 * MEAN[:, 1:2], torch.zeros(60, 1), 2 * MEAN[:, 3:]], 1)
    log_variance = torch.full_like(mean, 0.0)
    every, top = MISJED(), MISJED(top_k=2)
    pairs, few = (PairwiseMutualInformation(estimator="sampling", top_k=k, **FEW) for k in (None, 2))
    for metric in (every, top, pairs, few):
        metric.update(mean, log_variance)
    assert top.compared_latents().tolist() == few.compared_latents().tolist() == [1, 3]
    torch.testing.assert_close(top.compute(), every.compute()[[1, 3]][:, [1, 3]])
    torch.testing.assert_close(few.compute(), pairs.compute()[[1, 3]][:, [1, 3]])
    named = PairwiseMutualInformation(estimator="sampling", latents=[3, 1], **FEW)
    torch.testing.assert_close(values_of(named, (mean, log_variance))["value"], pairs.compute()[[3, 1]][:, [3, 1]])
    binned = PairwiseMutualInformation(latents=[3, 1], num_bins=20)
    whole = values_of(PairwiseMutualInformation(num_bins=20), (mean, log_variance))["value"]
    torch.testing.assert_close(values_of(binned, (mean, log_variance))["value"], whole[[3, 1]][:, [3, 1]])
    with pytest.raises(ValueError, match="there are 4 latents"):
        values_of(PairwiseMutualInformation(estimator="sampling", latents=[0, 4]))
    with pytest.raises(ValueError, match="exclude each other"):
        PairwiseMutualInformation(estimator="sampling", latents=[0], top_k=1)


def test_if_all_latents_are_dead_everything_is_zero() -> None:
    for metric in (Separability(**FEW, top_k=2), Informativeness(), Informativeness(estimator="sampling", **FEW)):
        for name, value in values_of(metric, (torch.zeros(30, 3), torch.zeros(30, 3))).items():
            assert value.abs().max() < 1e-12, name
    assert Separability(**FEW).num_queries == 40


def values_with(metric: Any, num_latents: int) -> Any:
    metric.update(MEAN[:, :num_latents], LOG_VARIANCE[:, :num_latents])
    return metric


def test_one_latent_shares_nothing() -> None:
    metric = Separability(**FEW, top_k=1)
    values = values_of(metric, (MEAN[:, :1], LOG_VARIANCE[:, :1]))
    assert values["sep"].abs().max() < 1e-12
    for name in ("sepin", "indin", "informativeness"):
        torch.testing.assert_close(values[name], values["information"])  # torchmetrics squeezes a single number
    torch.testing.assert_close(values["wsepin"], values["information"])
    assert isinstance(metric.plot()[0], Figure)
    assert values_with(Informativeness(), 1).ranking().tolist() == [0]
    for metric in (MISJED(), PairwiseMutualInformation(), PairwiseMutualInformation(estimator="sampling", **FEW)):
        assert values_of(metric, (MEAN[:, :1], LOG_VARIANCE[:, :1]))["value"].tolist() == 0.0
        assert isinstance(metric.plot()[0], Figure)


@pytest.mark.parametrize("log_variance", [-40.0, -200.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_extreme_posteriors_stay_finite_and_within_log_n(scale: float, log_variance: float) -> None:
    posterior = scale * MEAN, torch.full_like(MEAN, log_variance)
    for metric in all_metrics():
        for name, value in values_of(metric, posterior).items():
            assert value.isfinite().all(), (type(metric).__name__, name)
            if not isinstance(metric, MISJED):
                assert value.max() <= math.log(60) + 1e-9, (type(metric).__name__, name)


@pytest.mark.parametrize("num_queries", [20, 60])  # a third of the rows; all of them
def test_standard_errors_are_right(num_queries: int) -> None:
    """Values of other noise scatter as the error of one says, within what 40 repetitions tell."""
    metrics = [Separability(num_queries=num_queries, seed=seed, top_k=1) for seed in range(40)]
    metrics += [Informativeness("sampling", num_queries=num_queries, seed=seed) for seed in range(40)]
    index = torch.arange(len(MEAN))
    for metric in metrics:
        metric.update(MEAN, LOG_VARIANCE, index=index)
    found = [metric.compute() for metric in metrics]
    values = [{"sampled": value} if isinstance(value, Tensor) else value for value in found]
    errors = [metric.standard_error() for metric in metrics]
    errors = [{"sampled": error} if isinstance(error, Tensor) else error for error in errors]
    for half, names in ((slice(40), values[0]), (slice(40, None), values[-1])):
        for name in names:
            spread = torch.stack([value[name] for value in values[half]]).std(0)
            expected = torch.stack([error[name] for error in errors[half]]).square().mean(0).sqrt()
            # of 40 values, so known to 11 %; where all rows are queried it was as low as 0.64
            assert (spread / expected > 0.66).all(), name
            assert (spread / expected < 1.4).all(), name


def test_one_posterior_tells_nothing_and_has_no_error() -> None:
    metric = Separability(top_k=1)
    values = values_of(metric, (MEAN[:1], LOG_VARIANCE[:1]))
    errors = metric.standard_error()
    assert errors.keys() == values.keys()
    for name, value in values.items():
        assert value.abs().max() < 1e-12
        assert errors[name].isposinf().all()


def test_bad_settings_are_refused() -> None:
    for build, message in [
        (lambda: Separability(num_queries=0), "num_queries and top_k must be at least 1, got 0"),
        (lambda: Separability(top_k=0), "got 1024 and 0"),
        (lambda: MISJED(top_k=0), "top_k must be at least 1"),
        (lambda: MISJED(num_bins=1), "num_bins must be at least 2"),
        (lambda: Informativeness(edges=(1.0, -1.0)), "edges must be two finite numbers that ascend"),
        (lambda: Informativeness("sampling", num_queries=0), "num_queries must be at least 1"),
        (lambda: Separability(max_rows=0), "max_rows must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            build()


def test_figures() -> None:
    for metric in all_metrics():
        metric.update(MEAN, LOG_VARIANCE)
        figure, ax = metric.plot()
        assert isinstance(figure, Figure)
    separability = Separability(**FEW)
    value = values_of(separability)
    _, ax = separability.plot()
    own, shared = ax.containers
    tops = [bar.get_y() + bar.get_height() for bar in shared]
    assert tops == pytest.approx(value["informativeness"].sort(descending=True).values.tolist())
    assert [bar.get_height() for bar in own] == pytest.approx(
        value["sepin"][value["informativeness"].argsort(descending=True)].tolist()
    )
