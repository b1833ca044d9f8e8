"""PeakMemory counts the bytes of tensors that are alive at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchdisentangle.functional.manifold.decoder_memory import PeakMemory

KIB = 1024


def buffer(kib: int) -> Tensor:
    return torch.empty(kib * KIB, dtype=torch.uint8)


def test_tensors_alive_together_add_up() -> None:
    with PeakMemory() as memory:
        kept = [buffer(3), buffer(5)]
    assert memory.peak == memory.live == 8 * KIB
    assert len(kept) == 2


def test_a_freed_tensor_makes_room() -> None:
    with PeakMemory() as memory:
        for _ in range(4):
            scratch = buffer(3)
            del scratch
    assert memory.peak == 3 * KIB
    assert memory.live == 0


def test_the_peak_lies_in_the_middle() -> None:
    with PeakMemory() as memory:
        first = buffer(2)
        second = buffer(7)
        del second
        third = buffer(1)
    assert memory.peak == 9 * KIB
    assert memory.live == 3 * KIB
    assert len(first) + len(third) == 3 * KIB


def test_tensors_from_before_are_not_counted() -> None:
    before = buffer(64)
    with PeakMemory() as memory:
        before.add_(1)
        view = before[:KIB]
        view.mul_(2)
    assert memory.peak == 0


def test_views_share_one_storage() -> None:
    with PeakMemory() as memory:
        base = buffer(4)
        views = [base[i:].view(-1) for i in range(10)] + [base.expand(100, -1)]
    assert memory.peak == 4 * KIB
    assert len(views) == 11


def test_a_view_keeps_its_storage_alive() -> None:
    with PeakMemory() as memory:
        base = buffer(4)
        view = base[:1]
        del base
        assert memory.live == 4 * KIB
        del view
    assert memory.live == 0


def test_freeing_after_the_context_has_ended_is_harmless() -> None:
    with PeakMemory() as memory:
        kept = buffer(4)
    del kept
    assert memory.peak == 4 * KIB
    assert memory.live == 0


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.complex128])
def test_counts_bytes_not_elements(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with PeakMemory() as memory:
        tensor = torch.empty(shape, dtype=dtype)
    assert memory.peak == tensor.numel() * tensor.element_size()


def test_several_results_of_one_operation_are_all_counted() -> None:
    x = torch.eye(8, dtype=torch.float64)
    with PeakMemory() as memory:
        results = torch.linalg.qr(x)
    assert memory.peak >= sum(result.untyped_storage().nbytes() for result in results)


def test_what_autograd_saves_is_counted() -> None:
    x = torch.ones(1000, dtype=torch.float64, requires_grad=True)
    with PeakMemory() as memory:
        y = x.sin().sin().sin().sum()  # three results; the backward pass keeps the first two alive
        held = memory.live
    assert y.requires_grad
    assert held >= 2 * 8000


def test_peaks_nest() -> None:
    with PeakMemory() as outer:
        first = buffer(2)
        with PeakMemory() as inner:
            second = buffer(3)
    assert inner.peak == 3 * KIB
    assert outer.peak == 5 * KIB
    assert len(first) + len(second) == 5 * KIB


def test_counts_inside_transforms() -> None:
    x = torch.ones(7, 100, dtype=torch.float64)
    with PeakMemory() as memory:
        result = torch.func.vmap(torch.sin)(x)
    assert memory.peak >= result.untyped_storage().nbytes() == 7 * 100 * 8


def test_results_are_unchanged() -> None:
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)
    expected = torch.func.jacrev(lambda x: x.exp().cumsum(0))(x)
    with PeakMemory():
        measured = torch.func.jacrev(lambda x: x.exp().cumsum(0))(x)
    assert torch.equal(measured, expected)
