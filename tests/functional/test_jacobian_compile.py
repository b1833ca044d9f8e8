"""Compiled products: the same Jacobians from one compilation, and what happens where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from torchdisentangle.functional import decoder_jacobian
from torchdisentangle.functional.manifold import vector_products

ROUNDING: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}  # fused operations round float64 in another order


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounterWithBackend]:
    """Traces and differentiates as the default backend does, needs no C++ compiler, and counts."""
    counter = CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    compiled = torch.compile(vector_products._products, backend=counter, dynamic=False)
    monkeypatch.setattr(vector_products, "_compiled_products", lambda: compiled)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*cannot be compiled")
        yield counter
    torch._dynamo.reset()


def decoder(latent_dim: int = 3, data_dim: int = 7) -> nn.Sequential:
    return nn.Sequential(nn.Linear(latent_dim, 16), nn.Tanh(), nn.Linear(16, data_dim)).double()


@torch.no_grad()
def test_one_compilation_serves_all_pieces_and_calls(compiler: CompileCounterWithBackend) -> None:
    decode, z = decoder(), torch.randn(8, 3, dtype=torch.float64)
    for seed in (0, 1):  # the weights of the next epoch
        for parameter in decode.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
        found = decoder_jacobian(decode, z, chunk_size=3, compile=True)  # the last two rows join one decoded before
        torch.testing.assert_close(found, decoder_jacobian(decode, z), **ROUNDING)
    assert compiler.frame_count == 1


@torch.no_grad()
def test_labels_are_not_compiled_in(compiler: CompileCounterWithBackend) -> None:
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    net = decoder()

    def decode(z: Tensor, labels: Tensor) -> Tensor:
        return scale[labels, None] * net(z)

    z = torch.randn(4, 3, dtype=torch.float64)
    for labels in (torch.tensor([0, 1, 2, 0]), torch.tensor([2, 2, 0, 1])):
        found = decoder_jacobian(decode, z, labels, compile=True)
        torch.testing.assert_close(found, decoder_jacobian(decode, z, labels), **ROUNDING)
    assert compiler.frame_count == 1


def test_a_graph_is_wanted_so_nothing_is_compiled(compiler: CompileCounterWithBackend) -> None:
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert decoder_jacobian(decoder(), z, compile=True).requires_grad
    assert compiler.frame_count == 0


def broken(*_: Any) -> Callable:
    raise RuntimeError("no compiler here")


@torch.no_grad()
def test_what_cannot_be_compiled_is_computed_after_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(vector_products._products, backend=broken, dynamic=False)
    monkeypatch.setattr(vector_products, "_compiled_products", lambda: compiled)
    decode, z = decoder(), torch.randn(4, 3, dtype=torch.float64)
    with pytest.warns(UserWarning, match="Sequential cannot be compiled .*no compiler here"):
        found = decoder_jacobian(decode, z, compile=True)
    torch.testing.assert_close(found, decoder_jacobian(decode, z), **ROUNDING)
