"""What a decoder's Jacobian costs: how often the decoder runs, and that memory stays within its budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from tests.helpers import Cube
from torchdisentangle.functional import decoder_jacobian, decoder_jacobian_chunks
from torchdisentangle.functional.manifold.decoder_memory import PeakMemory

Mode = Literal["forward", "reverse"]


class CountingLinear(nn.Linear):
    """Counts the calls, and the rows that they decode."""

    calls = rows = 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls, self.rows = self.calls + 1, self.rows + len(z)
        return super().forward(z)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize(("chunk_size", "chunks"), [(1, 12), (5, 3), (12, 1)])
def test_every_chunk_is_decoded_once(chunk_size: int, chunks: int, context: Callable[[], Any], mode: Mode) -> None:
    decoder, z = CountingLinear(20, 30), torch.randn(12, 20)
    with context():
        for check in (True, False):
            decoder.calls = decoder.rows = 0
            decoder_jacobian(decoder, z, mode=mode, chunk_size=chunk_size, check=check)
            assert (decoder.calls, decoder.rows) == (chunks + 1, 12 + 2)  # two rows tell the size and are compared


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_hardly_a_row_is_decoded_twice_in_search_of_the_pace(mode: Mode) -> None:
    decoder, z = CountingLinear(100, 120), torch.randn(64, 100)
    with torch.no_grad():
        decoder_jacobian(decoder, z, mode=mode)
    assert decoder.rows <= 64 + 4 + 12  # the first small trials may cut the directions of a few rows into pieces


def image_decoder() -> nn.Module:
    """To images of ``28 x 28``, in float32."""
    return nn.Sequential(
        nn.Linear(10, 32 * 49),
        nn.ReLU(),
        nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    ).eval()


def shallow_decoder() -> nn.Module:
    """Nearly all of its memory is the Jacobian itself."""
    return nn.Linear(10, 3000)


def smallest_step(decode: Callable[[Tensor], Tensor], z: Tensor) -> int:
    """Bytes that one direction of two samples takes: less than this, and the two samples' Jacobians, is no budget.

    Two, because a batch of one is treated differently by some decoders, which is why it is avoided.
    """
    with torch.no_grad(), PeakMemory() as memory:
        tangent = torch.func.jvp(decode, (z[:2],), (torch.ones_like(z[:2]),))[1]
    return memory.peak + 2 * z.shape[1] * tangent.nbytes


MEBIBYTE = 2**20


@pytest.mark.parametrize("budget", [MEBIBYTE, 4 * MEBIBYTE, 16 * MEBIBYTE, 64 * MEBIBYTE])
@pytest.mark.parametrize("build", [image_decoder, shallow_decoder])
@pytest.mark.parametrize("keeps_last", [False, True], ids=["released", "kept until the next"])
def test_pieces_stay_within_the_memory_budget(build: Callable[[], nn.Module], budget: int, keeps_last: bool) -> None:
    decode, z = build(), torch.randn(64, 10)
    assert smallest_step(decode, z) < MEBIBYTE  # so no slack is needed at any of these budgets
    with torch.no_grad(), PeakMemory() as memory:
        for _, piece in decoder_jacobian_chunks(decode, z, memory_budget=budget):
            if not keeps_last:
                del piece
    assert memory.peak <= budget


@pytest.mark.parametrize("budget", [MEBIBYTE, 4 * MEBIBYTE, 16 * MEBIBYTE])
def test_pieces_in_reverse_mode_stay_within_the_memory_budget(budget: int) -> None:
    decode, z = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, 1500)), torch.randn(4, 10)
    with torch.no_grad(), PeakMemory() as memory:
        for _, piece in decoder_jacobian_chunks(decode, z, memory_budget=budget, mode="reverse"):
            del piece
    assert memory.peak <= budget


@pytest.mark.parametrize("budget", [MEBIBYTE, 4 * MEBIBYTE, 16 * MEBIBYTE])
def test_the_whole_stays_within_the_memory_budget_besides_the_result(budget: int) -> None:
    decode, z = shallow_decoder(), torch.randn(128, 10)
    with torch.no_grad(), PeakMemory() as memory:
        result = decoder_jacobian(decode, z, memory_budget=budget)
    assert memory.peak - result.nbytes <= budget


def test_a_budget_below_the_smallest_step_takes_little_more_than_that() -> None:
    decode, z = image_decoder(), torch.randn(8, 10)
    with torch.no_grad(), PeakMemory() as memory:
        for _, piece in decoder_jacobian_chunks(decode, z, memory_budget=1):
            del piece
    assert memory.peak <= 2 * smallest_step(decode, z)  # the columns of a Jacobian and the Jacobian exist together


@pytest.mark.filterwarnings("ignore:.*cannot be differentiated in forward mode")
def test_the_budget_holds_where_forward_mode_fails() -> None:
    linear, z = nn.Linear(10, 1500), torch.randn(64, 10)
    with torch.no_grad(), PeakMemory() as memory:
        for _, piece in decoder_jacobian_chunks(lambda z: Cube.apply(linear(z)), z, memory_budget=4 * MEBIBYTE):
            del piece
    assert memory.peak <= 4 * MEBIBYTE
