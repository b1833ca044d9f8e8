"""The metric classes: the same points for any split, values of the formulas, degenerate models."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle import (
    BhattacharyyaFingerprint,
    ChannelInformation,
    ChannelSimilarity,
    LabelSimilarity,
    StatisticCollection,
)
from torchdisentangle import functional as F
from torchdisentangle.similarity import Fingerprint

N, LATENTS = 61, 4
GENERATOR = torch.Generator().manual_seed(0)
MEAN = torch.randn(N, LATENTS, generator=GENERATOR)
LOG_VARIANCE = torch.randn(N, LATENTS, generator=GENERATOR) - 2
LABELS = torch.randint(3, (N, 2), generator=GENERATOR)
REFERENCE = Fingerprint(2 - MEAN.flip(1), LOG_VARIANCE.flip(1), torch.arange(N))
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def metrics(num_points: int = 20, **kwargs: Any) -> StatisticCollection:
    return StatisticCollection(
        {
            "fingerprint": BhattacharyyaFingerprint(num_points, **kwargs),
            "information": ChannelInformation(num_points=num_points, **kwargs),
            "within": ChannelSimilarity(num_points=num_points, **kwargs),
            "distance": ChannelSimilarity("vi", unit="bits", num_points=num_points, **kwargs),
            "other": ChannelSimilarity(reference=REFERENCE, num_points=num_points, **kwargs),
            "labels": LabelSimilarity(num_points=num_points, **kwargs),
        }
    )


def update(metric: Any, index: Tensor) -> None:
    metric.update(MEAN[index], LOG_VARIANCE[index], index=index, labels=LABELS[index])


def value_of(metric: Any, index: Tensor | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        update(metric, torch.arange(N) if index is None else index)
        return metric.compute()


def test_values_are_those_of_the_formulas_at_the_points_kept() -> None:
    collection = metrics()
    assert len(collection.compute_groups) == 1
    values = value_of(collection)
    index = values["fingerprint"].index
    assert len(index) == 20
    mean, log_variance = MEAN[index].double(), LOG_VARIANCE[index].double()
    within = F.compare_channels(F.bhattacharyya_coefficients(mean, log_variance))
    torch.testing.assert_close(values["fingerprint"].mean, mean)
    torch.testing.assert_close(values["information"], within.information_a, **EXACT)
    torch.testing.assert_close(values["within"], within.normalized_mutual_information.clamp(0, 1), **EXACT)
    expected = within.variation_of_information.clamp(min=0) / math.log(2)
    torch.testing.assert_close(values["distance"], expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(values["other"], values["within"].flip(1), rtol=0, atol=1e-6)  # affine in float32
    labels = F.compare_with_labels(mean, log_variance, LABELS[index]).normalized_mutual_information
    torch.testing.assert_close(values["labels"], labels.clamp(0, 1), **EXACT)


def test_the_same_seed_keeps_the_same_points_whatever_the_model() -> None:
    points = []
    for seed, order in ((3, torch.arange(N)), (3, torch.arange(N).flip(0)), (4, torch.arange(N))):
        metric = BhattacharyyaFingerprint(20, seed=seed)
        for part in order.split(7):
            metric.update(torch.randn(len(part), 2), torch.zeros(len(part), 2), index=part)
        points.append(metric.compute().index)
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])


def test_rows_that_are_not_wanted_need_not_be_offered() -> None:
    offered, all_rows = BhattacharyyaFingerprint(10), BhattacharyyaFingerprint(10)
    encoded = 0
    for part in torch.arange(N).split(5):
        update(all_rows, part)
        part = part[offered.sample.wanted(offered, part)]
        encoded += len(part)
        if len(part):
            update(offered, part)
    assert torch.equal(offered.compute().index, all_rows.compute().index)
    assert encoded < N


def test_points_without_an_index_are_numbered_on_and_never_lost() -> None:
    one, first, second = (BhattacharyyaFingerprint(N) for _ in range(3))
    values = [one(MEAN[part], LOG_VARIANCE[part]) for part in torch.arange(N).split(20)]
    assert sorted(values[1].index.tolist()) == list(range(20, 40))  # forward goes on counting
    order = one.compute().index.argsort()
    assert torch.equal(one.compute().mean[order], MEAN.double())
    for metric in (first, second):
        metric.update(MEAN[:20], LOG_VARIANCE[:20])
    first.merge_state(second)  # both numbered from 0: these are other points, and no one can tell which
    with pytest.warns(UserWarning, match="40 data points"), pytest.raises(ValueError, match="occurs twice"):
        first.compute()


def test_forward_gives_the_similarity_of_the_batch() -> None:
    metric = ChannelSimilarity(num_points=10)
    for part in torch.arange(N).split(20):
        alone = ChannelSimilarity(num_points=10)
        alone.update(MEAN[part], LOG_VARIANCE[part], index=part)
        assert torch.equal(metric(MEAN[part], LOG_VARIANCE[part], index=part), alone.compute())


def evaluate(rank: int, cuts: list[int], num_points: int) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    collection = metrics(num_points)
    for part in torch.arange(cuts[rank], cuts[rank + 1]).split(8):
        if len(part):
            update(collection, part)
    values = collection.compute()
    values["fingerprint"] = values["fingerprint"].mean
    return values


@pytest.mark.parametrize(
    ("cuts", "num_points"), [([0, 30, N], 20), ([0, 0, N], 20), ([0, 1, 40, N], 20), ([0, 30, 50, N], 200)]
)
def test_processes_give_the_values_of_one(run_processes: Callable, cuts: list[int], num_points: int) -> None:
    expected = value_of(metrics(num_points))
    expected["fingerprint"] = expected["fingerprint"].mean
    for values in run_processes(len(cuts) - 1, evaluate, cuts, num_points):
        for name, value in values.items():
            torch.testing.assert_close(value, expected[name], **EXACT)


def test_fewer_points_than_asked_is_said_once() -> None:
    metric = ChannelInformation(num_points=1000)
    update(metric, torch.arange(N))
    with pytest.warns(UserWarning, match="61 data points, 1000 were asked for"):
        value = metric.compute()
    assert value.isfinite().all()
    metric.reset()
    update(metric, torch.arange(N))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.compute()


def test_dead_channels_and_dead_models() -> None:
    for dead in ([1], [0, 1, 2, 3]):
        collection = metrics()
        mean, log_variance = MEAN.clone(), LOG_VARIANCE.clone()
        mean[:, dead], log_variance[:, dead] = 0.0, 0.0
        collection.update(mean, log_variance, labels=LABELS)
        values = collection.compute()
        assert values["information"][dead].abs().max() < 1e-12
        for name in ("within", "other", "labels"):
            assert torch.equal(values[name][dead], torch.zeros_like(values[name][dead]))
        assert all(values[name].isfinite().all() for name in ("within", "distance", "other", "labels"))


@pytest.mark.parametrize("num_points", [1, 20])
def test_one_channel_and_one_point(num_points: int) -> None:
    def read(metric: Any) -> Any:
        metric.update(MEAN[:, :1], LOG_VARIANCE[:, :1], labels=LABELS)
        return metric.compute()

    assert read(BhattacharyyaFingerprint(num_points)).coefficients().shape == (1, num_points, num_points)
    assert read(ChannelInformation(num_points=num_points)).isfinite()
    assert read(ChannelSimilarity("vi", num_points=num_points)).abs() < 1e-12
    assert read(ChannelSimilarity(num_points=num_points)).round() == (num_points > 1)
    assert read(LabelSimilarity(num_points=num_points)).isfinite().all()


def test_posteriors_that_are_not_finite_are_left_out_and_counted() -> None:
    metric = BhattacharyyaFingerprint(1000)
    mean = MEAN.clone()
    mean[3, 1], mean[7, 0] = float("nan"), float("inf")
    with pytest.warns(UserWarning, match=r"num_nonfinite \(2 in this batch\)"):
        metric.update(mean, LOG_VARIANCE)
    metric.update(MEAN[:5], LOG_VARIANCE[:5])  # numbered on from 61, as if nothing were missing
    assert int(metric.num_nonfinite) == 2
    with pytest.warns(UserWarning, match="64 data points"):
        kept = metric.compute().index
    assert sorted(kept.tolist()) == [i for i in range(66) if i not in (3, 7)]
    lost = ChannelInformation()
    with pytest.warns(UserWarning, match="num_nonfinite"):
        lost.update(torch.full((4, 2), float("nan")), torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"has no posteriors \(4 were NaN or infinite\)"):
        lost.compute()


def test_bad_input_is_refused() -> None:
    metric = ChannelSimilarity(num_points=20)
    with pytest.raises(ValueError, match=r"same shape \(n, d\)"):
        metric.update(MEAN, LOG_VARIANCE[:, :2])
    with pytest.raises(TypeError, match=r"log_variance must be floating point like mean, got torch\.int64"):
        metric.update(MEAN, LABELS)
    with pytest.raises(TypeError, match="positional"):
        metric.update(MEAN, LOG_VARIANCE, torch.arange(N))
    with pytest.raises(ValueError, match="labels must be whole numbers"):
        metric.update(MEAN, LOG_VARIANCE, labels=MEAN)
    with pytest.raises(ValueError, match="index must be integers"):
        metric.update(MEAN, LOG_VARIANCE, index=torch.arange(3))
    update(metric, torch.arange(N))
    with pytest.raises(ValueError, match="labels must have shape"):
        metric.update(MEAN, LOG_VARIANCE)  # labels given once have to be given always
    with pytest.raises(ValueError, match="so far had 4 columns of mean"):
        metric.update(MEAN[:, :2], LOG_VARIANCE[:, :2], labels=LABELS)
    for settings in ({"measure": "mi"}, {"unit": "bans"}, {"num_points": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
            ChannelSimilarity(**settings)  # type: ignore[arg-type]
    unlabelled = LabelSimilarity(num_points=20)
    unlabelled.update(MEAN, LOG_VARIANCE)
    with pytest.raises(ValueError, match="has no labels"):
        unlabelled.compute()


def test_figures() -> None:
    collection = metrics()
    values = value_of(collection)
    for name, metric in collection.items():
        metric._to_sync = False
        figure, _ = metric.plot(values[name])
        assert isinstance(figure, Figure)
    single = ChannelSimilarity(num_points=20)
    single.update(MEAN[:, :1], LOG_VARIANCE[:, :1])
    assert isinstance(single.plot()[0], Figure)  # though its matrix is a single number
    figure, axes = values["fingerprint"].plot()
    assert [ax.get_title() for ax in axes] == [str(i) for i in values["information"].argsort(descending=True).tolist()]
