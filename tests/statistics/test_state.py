"""States merge, travel, keep their precision, and are shared by metrics that may share them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torchmetrics import Metric, MetricCollection

from torchdisentangle import (
    ManifoldCrossPairwiseMutualInformation,
    ManifoldEntropy,
    ManifoldEntropySpectrum,
    ManifoldMutualInformation,
    ManifoldPairwiseMutualInformation,
    ManifoldTotalCorrelation,
    MeanDecoderJacobian,
    StatisticCollection,
)

JACOBIANS = torch.randn(12, 6, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3
METRICS = [
    ManifoldEntropySpectrum,
    ManifoldEntropy,
    ManifoldTotalCorrelation,
    lambda: ManifoldMutualInformation([0], [1]),
    ManifoldPairwiseMutualInformation,
    MeanDecoderJacobian,
]


@pytest.fixture(params=METRICS, name="metric")
def each_metric(request: pytest.FixtureRequest) -> Metric:
    return request.param()


def test_batches_add_up(metric: Metric) -> None:
    metric.update(JACOBIANS, labels=LABELS)
    whole = metric.compute()
    metric.reset()
    for rows in (slice(0, 1), slice(1, 8), slice(8, 8), slice(8, None)):
        metric.update(JACOBIANS[rows], labels=LABELS[rows])
    torch.testing.assert_close(metric.compute(), whole, rtol=1e-12, atol=1e-12)


def test_merging(metric: Metric) -> None:
    metric.update(JACOBIANS, labels=LABELS)
    whole, other = metric.compute(), metric.clone()
    metric.reset(), other.reset()
    metric.update(JACOBIANS[:5], labels=LABELS[:5])
    metric.compute()  # a cached value must not survive the merge
    other.update(JACOBIANS[5:], labels=LABELS[5:])
    metric.merge_state(other)
    torch.testing.assert_close(metric.compute(), whole, rtol=1e-12, atol=1e-12)
    metric.merge_state({name: getattr(other, name) for name in other._defaults})
    assert metric.num_samples.sum() == 12 + 7


def test_merging_different_settings_is_refused() -> None:
    a, b = ManifoldEntropySpectrum(), ManifoldEntropySpectrum(data_std=2.0)
    b.update(JACOBIANS)
    with pytest.raises(ValueError, match="differently configured"):
        a.merge_state(b)
    with pytest.raises(ValueError, match="has the states"):
        a.merge_state(ManifoldCrossPairwiseMutualInformation())


def test_copies_travel(metric: Metric) -> None:
    metric.update(JACOBIANS)
    for twin in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone()):
        torch.testing.assert_close(twin.compute(), metric.compute(), rtol=0, atol=0)


def test_state_dict(metric: Metric) -> None:
    assert metric.state_dict() == {}  # as torchmetrics does, unless asked for
    metric.persistent(True)
    metric.update(JACOBIANS, labels=LABELS)
    restored = metric.clone()
    restored.reset()
    restored.load_state_dict(metric.state_dict())
    restored.update(JACOBIANS[:2], labels=LABELS[:2])
    metric.update(JACOBIANS[:2], labels=LABELS[:2])
    torch.testing.assert_close(restored.compute(), metric.compute(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("convert", [lambda m: m.half(), lambda m: m.to(torch.bfloat16), lambda m: m.float()])
def test_states_keep_double_precision(metric: Metric, convert: object) -> None:
    metric.update(JACOBIANS)
    before = metric.compute()
    metric = convert(metric)  # type: ignore[operator]
    metric._computed = None
    assert {getattr(metric, name).dtype for name in metric._sum_names} == {torch.float64, torch.int64}
    torch.testing.assert_close(metric.compute(), before, rtol=0, atol=0)
    metric.reset()
    metric.update(JACOBIANS.half())
    assert metric.readings.dtype == torch.float64


def test_forward_gives_the_batch_value_and_accumulates(metric: Metric) -> None:
    batch = metric(JACOBIANS[:4])
    alone = metric.clone()
    alone.reset()
    alone.update(JACOBIANS[:4])
    torch.testing.assert_close(batch, alone.compute(), rtol=1e-12, atol=1e-12)
    metric(JACOBIANS[4:])
    alone.update(JACOBIANS[4:])
    torch.testing.assert_close(metric.compute(), alone.compute(), rtol=1e-12, atol=1e-12)


def test_forward_is_differentiable(metric: Metric) -> None:
    jacobian = JACOBIANS[:3].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda j: metric.clone().forward(j), jacobian)


@pytest.mark.parametrize("collection", [MetricCollection, StatisticCollection])
def test_one_compute_group(collection: type[MetricCollection]) -> None:
    metrics = {str(i): build() for i, build in enumerate(METRICS)}
    together = collection(metrics)
    alone = {name: metric.clone() for name, metric in metrics.items()}
    for rows in (slice(0, 5), slice(5, None)):
        together.update(JACOBIANS[rows])
        for metric in alone.values():
            metric.update(JACOBIANS[rows])
    assert len(together.compute_groups) == 1
    values = together.compute()
    for name, metric in alone.items():
        torch.testing.assert_close(values[name], metric.compute(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("collection", [MetricCollection, StatisticCollection])
def test_different_settings_are_different_groups(collection: type[MetricCollection]) -> None:
    metrics = collection({"a": ManifoldEntropySpectrum(), "b": ManifoldEntropySpectrum(data_std=2.0)})
    metrics.update(torch.zeros(2, 6, 4))  # equal sums in the first batch must not join them for good
    metrics.update(JACOBIANS)
    assert len(metrics.compute_groups) == 2
    assert not torch.equal(*metrics.compute().values())


def test_collection_travels_and_resets() -> None:
    metrics = StatisticCollection([ManifoldEntropySpectrum(), ManifoldTotalCorrelation()])
    metrics.update(JACOBIANS)
    for twin in (pickle.loads(pickle.dumps(metrics)), metrics.clone(), copy.deepcopy(metrics)):
        twin.update(JACOBIANS[:3])
        assert twin["ManifoldTotalCorrelation"].num_samples.sum() == 15
        twin.reset()
        twin.update(JACOBIANS[:3])
        assert twin["ManifoldTotalCorrelation"].num_samples.sum() == 3
    assert metrics["ManifoldTotalCorrelation"].num_samples.sum() == 12


def test_nothing_in_inference_mode_breaks_later_updates(metric: Metric) -> None:
    with torch.inference_mode():
        metric.update(JACOBIANS[:4])
    metric.update(JACOBIANS[4:])
    twin = metric.clone()
    twin.reset()
    twin.update(JACOBIANS)
    torch.testing.assert_close(metric.compute(), twin.compute(), rtol=1e-12, atol=1e-12)
