"""Sizes by device, and what is done where a device does not know float64."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from tests.stand_in import STAND_IN, OnDevice, StandIn
from torchdisentangle import (
    SAP,
    ChannelInformation,
    ManifoldCrossPairwiseMutualInformation,
    MutualInformationGap,
    TotalCorrelation,
    manifold_metrics,
)
from torchdisentangle.functional import device as sizes_by_device
from torchdisentangle.functional import gram_matrix, manifold_total_correlation
from torchdisentangle.functional.device import (
    CPU_SIZES,
    GPU_SIZES,
    Answer,
    float64_device,
    sizes_beside_training,
    sizes_of,
    to_float64,
    use_sizes,
)
from torchdisentangle.functional.manifold.probes import GaussianProbes
from torchdisentangle.functional.row_blocks import row_blocks

MEBIBYTE = 2**20


@pytest.fixture
def without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes_by_device, "_WITHOUT_FLOAT64", (STAND_IN,))


def jacobians(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("without_float64")
def test_the_stand_in_refuses_float64() -> None:
    x = OnDevice(jacobians(2, 3))
    assert x.device.type == (x + 1).device.type == STAND_IN
    assert x.cpu().device.type == "cpu"
    for wrong in (
        lambda: x.double(),
        lambda: x.to("cpu", torch.float64),
        lambda: torch.zeros_like(x, dtype=torch.float64),
    ):
        with pytest.raises(TypeError, match="float64"):
            wrong()


def test_the_stand_in_refuses_to_mix_devices() -> None:
    x = torch.arange(6.0).view(2, 3)
    with StandIn() as device:
        there = x.to(STAND_IN)
        there[0, torch.tensor([0, 2])] += there.new_tensor([1.0, 1.0])
        torch.tensor([1.0], device=STAND_IN).mul_(2 * there[:1, :1].sum())
        assert device.sent == 5  # the tensor, the index twice, and both lists
        assert torch.equal((there + torch.ones(())).cpu(), x + torch.tensor([[2.0, 1, 2], [1, 1, 1]]))
        assert (torch.zeros(2, device=STAND_IN) + there[:, 0]).tolist() == [1.0, 3.0]
        assert device.sent == 5
        for wrong in (
            lambda: there + x,
            lambda: there.sum() + x,
            lambda: torch.cat([there, x]),
            lambda: x[torch.zeros(1, dtype=torch.long, device=STAND_IN)],
            lambda: torch.rand(2, device=STAND_IN, generator=torch.Generator()),
            lambda: there.numpy(),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()


@pytest.mark.usefixtures("without_float64")
def test_float64_without_float64() -> None:
    jacobian = jacobians(6, 5, 3)
    there = OnDevice(jacobian)
    assert to_float64(there).device.type == "cpu"
    torch.testing.assert_close(gram_matrix(there), gram_matrix(jacobian), rtol=0, atol=0)
    torch.testing.assert_close(
        manifold_total_correlation(gram_matrix(there, 2.0)), manifold_total_correlation(gram_matrix(jacobian, 2.0))
    )


@pytest.mark.usefixtures("without_float64")
@pytest.mark.parametrize("settings", [{}, {"data_std": 2.0}, {"estimator": "probes", "num_probes": 4}])
def test_metrics_of_a_device_without_float64_are_those_of_the_cpu(settings: dict[str, Any]) -> None:
    jacobian, log_det, labels = jacobians(10, 4, 4), jacobians(10, seed=1), torch.arange(10) % 2
    jacobian[3, 0, 0] = torch.nan
    here, there = manifold_metrics(**settings), manifold_metrics(**settings)
    for given in ({}, {"labels": labels}, {"log_det": log_det}):
        with pytest.warns(UserWarning, match="1 in this batch"):
            here.update(jacobian, **given)
        with pytest.warns(UserWarning, match="1 in this batch"):
            there.update(OnDevice(jacobian), **{name: OnDevice(value) for name, value in given.items()})
    expected = here.compute()
    for name, value in there.compute().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.usefixtures("without_float64")
def test_two_models_on_a_device_without_float64() -> None:
    a, b = jacobians(10, 6, 3), jacobians(10, 6, 2, seed=1)
    here, there = ManifoldCrossPairwiseMutualInformation(), ManifoldCrossPairwiseMutualInformation()
    here.update(a, b)
    there.update(OnDevice(a), OnDevice(b))
    torch.testing.assert_close(there.compute(), here.compute(), rtol=0, atol=0)


@pytest.mark.usefixtures("without_float64")
def test_probes_for_a_device_without_float64() -> None:
    z = jacobians(5, 3)
    here = GaussianProbes(z, 4, None, 0, None).of_rows(slice(1, 4), 0, 2, z.new_empty(2, 7))
    there = GaussianProbes(OnDevice(z), 4, None, 0, None)
    assert there.index.device.type == there.unit.device.type == "cpu"
    assert torch.equal(there.of_rows(slice(1, 4), 0, 2, z.new_empty(2, 7)), here)


def test_an_answer_of_a_gpu_is_sent_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind what that GPU was asked before, and read no earlier than it has arrived."""
    numbers, stream, calls = mock.Mock(device=torch.device("cuda:1")), mock.Mock(), mock.Mock()
    calls.attach_mock(numbers.to, "to")
    calls.attach_mock(stream.record_event, "record")
    calls.attach_mock(stream.record_event.return_value.synchronize, "arrive")
    calls.attach_mock(numbers.to.return_value.tolist, "tolist")
    monkeypatch.setattr(torch.cuda, "current_stream", {torch.device("cuda:1"): stream}.__getitem__)
    answer = Answer(numbers)
    sent = [mock.call.to("cpu", non_blocking=True), mock.call.record()]
    assert calls.mock_calls == sent
    answer.read()
    assert calls.mock_calls == [*sent, mock.call.arrive(), mock.call.tolist()]


def test_sizes_follow_the_device() -> None:
    assert sizes_of("cpu") == CPU_SIZES
    assert sizes_of("mps").memory_budget == CPU_SIZES.memory_budget  # nobody knows what is free
    assert float64_device("mps") == torch.device("cpu")
    assert float64_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(("free", "budget"), [(2**30, 256), (2**33, 1024), (80 * 2**30, 4096)])
def test_a_gpu_gives_a_share_of_its_free_memory(monkeypatch: pytest.MonkeyPatch, free: int, budget: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free - 2**20, 2**37))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 * 2**20)
    sizes = sizes_of("cuda")
    assert sizes.memory_budget == budget * MEBIBYTE
    assert sizes.numbers_at_once * 8 <= sizes.memory_budget / 2
    if budget == 4096:
        assert sizes == GPU_SIZES


def test_sizes_can_be_given() -> None:
    few = CPU_SIZES._replace(numbers_at_once=20)
    with use_sizes(few):
        assert len(list(row_blocks(10, 10))) == len(list(row_blocks(10, 10, device="cuda"))) == 5
        with use_sizes(GPU_SIZES):
            assert len(list(row_blocks(10, 10))) == 1
        assert sizes_of("cuda") == few
    assert sizes_of("cpu") == CPU_SIZES


@pytest.mark.parametrize(("peak", "budget"), [(0, 256), (1000, 1000 - 400 + 256), (100_000, 4096)])
def test_an_evaluation_beside_a_training_keeps_to_its_peak(
    monkeypatch: pytest.MonkeyPatch, peak: int, budget: int
) -> None:
    """What training does not use at this moment, and 256 MiB more; never more than otherwise."""
    monkeypatch.setattr(sizes_by_device, "_free_memory", lambda device: 2**40)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak * MEBIBYTE)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: min(peak, 400) * MEBIBYTE)
    sizes = sizes_beside_training("cuda")
    assert sizes.memory_budget == budget * MEBIBYTE
    assert sizes.numbers_at_once == sizes.memory_budget // 16
    with use_sizes(CPU_SIZES):
        assert sizes_beside_training("cuda") == CPU_SIZES


def test_states_stay_where_float64_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that is moved to a device without float64 goes on as it was."""
    monkeypatch.setattr(sizes_by_device, "_WITHOUT_FLOAT64", (STAND_IN,))
    jacobian = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    metrics = manifold_metrics()
    metrics.update(jacobian[:2])
    before = metrics.compute()
    metrics.to(STAND_IN)
    assert all(metric.device == torch.device("cpu") for metric in metrics.values())
    torch.testing.assert_close(metrics.compute(), before)
    metrics.update(jacobian[2:])
    whole = manifold_metrics()
    whole.update(jacobian)
    torch.testing.assert_close(metrics.compute(), whole.compute())
    metrics.reset()
    metrics.update(jacobian)
    torch.testing.assert_close(metrics.compute(), whole.compute())


@pytest.mark.usefixtures("without_float64")
def test_rows_on_a_device_without_float64() -> None:
    """They are moved to the CPU at the door."""
    codes, log_variance = jacobians(20, 3), jacobians(20, 3, seed=1)
    factors = torch.arange(20) % 3
    for make, given in (
        (MutualInformationGap, (codes, factors)),
        (SAP, (codes, factors)),
        (TotalCorrelation, (codes, log_variance)),
        (ChannelInformation, (codes, log_variance)),
    ):
        here, there = make(), make()
        here.update(*given)
        there.update(*(OnDevice(x) for x in given))
        torch.testing.assert_close(there.compute(), here.compute(), rtol=0, atol=0)
