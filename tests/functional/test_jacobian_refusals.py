"""What decoder_jacobian refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from torchdisentangle.functional import decoder_jacobian, decoder_jacobian_chunks
from torchdisentangle.functional.device import CPU_SIZES, GPU_SIZES, Sizes, use_sizes

Mode = Literal["auto", "forward", "reverse"]

pytestmark = pytest.mark.usefixtures("sizes")

MIXED_ROWS = "output for one latent changes when another row of the batch changes"


@pytest.fixture(params=[CPU_SIZES, GPU_SIZES], ids=["at once", "when it has arrived"])
def sizes(request: pytest.FixtureRequest) -> Iterator[Sizes]:
    """On a GPU the answer whether rows are mixed is read after the first piece was handed out."""
    with use_sizes(request.param):
        yield request.param


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad])
def test_batch_normalisation_in_training_mode_is_refused(context: Callable[[], Any]) -> None:
    decoder = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3)).train()
    z = torch.randn(5, 4)
    with context(), pytest.raises(ValueError, match=MIXED_ROWS):
        decoder_jacobian(decoder, z)


@pytest.mark.parametrize("second", [[5.0, 5.0], [0.0, 0.0]])
def test_batch_normalisation_of_vectors_in_training_mode_is_refused(second: list[float]) -> None:
    """Two rows are normalised to plus and minus one however far apart they are, unless they are equal."""
    decoder = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double().train()
    z = torch.tensor([[0.0, 0.0], second], dtype=torch.float64)
    with pytest.raises(ValueError, match=MIXED_ROWS):
        decoder_jacobian(decoder, z)


@pytest.mark.parametrize(
    "decode",
    [
        lambda z: nn.functional.dropout(z.repeat(1, 20)),
        lambda z: z - z.mean(0),
        lambda z: z.cumsum(0),
        lambda z: z.T[:, : len(z)],
    ],
    ids=["dropout", "centred", "running sum", "transposed"],
)
def test_decoders_that_mix_rows_are_refused(decode: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=MIXED_ROWS):
        decoder_jacobian(decode, torch.randn(2, 2))


@pytest.mark.parametrize("chunk_size", [2, 4], ids=["two pieces", "one piece"])
@pytest.mark.parametrize("leave", [next, Generator.close], ids=["go on", "close"])
def test_pieces_are_refused_whether_or_not_all_are_taken(
    leave: Callable[[Any], Any], chunk_size: int, sizes: Sizes
) -> None:
    pieces = decoder_jacobian_chunks(lambda z: z.cumsum(0), torch.randn(4, 2), chunk_size=chunk_size)
    if not sizes.answers_at_once:
        next(pieces)
    with pytest.raises(ValueError, match=MIXED_ROWS):
        next(pieces) if sizes.answers_at_once else leave(pieces)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_decoder_that_is_cut_off_is_refused(context: Callable[[], Any]) -> None:
    with context(), pytest.raises(RuntimeError, match="is cut off from its latents"):
        list(decoder_jacobian_chunks(lambda z: z.detach().sin(), torch.randn(4, 3), mode="reverse"))


def test_the_check_of_rows_can_be_left_out() -> None:
    result = decoder_jacobian(lambda z: z.cumsum(0), torch.randn(4, 2), check=False, chunk_size=1)
    assert torch.equal(result, torch.eye(2).expand(4, 2, 2))


@pytest.mark.parametrize(
    "decode",
    [lambda z: z.sum(1), lambda z: z.sum(), lambda z: z.mean(0, keepdim=True), lambda z: z[:, None].flatten(0, 1)[0]],
    ids=["row sums", "sum", "batch mean", "first row"],
)
def test_decoders_that_drop_the_batch_are_refused(decode: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=r"must map latents \(n, d\) to data \(n, \*data_shape\).*mapped \(2, 3\) to"):
        decoder_jacobian(decode, torch.randn(4, 3))


@pytest.mark.parametrize("n", [1, 3])
def test_decoders_that_squeeze_a_batch_of_one_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"it mapped \(1, 3\) to \(3,\)"):
        decoder_jacobian(lambda z: z.squeeze(0), torch.randn(n, 3), chunk_size=1)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_latents_of_the_wrong_width_are_refused(mode: Mode) -> None:
    with pytest.raises(RuntimeError, match=r"decoder failed on latents of shape \(2, 4\): .*mat1 and mat2"):
        decoder_jacobian(nn.Linear(3, 2), torch.randn(5, 4), mode=mode)


@pytest.mark.parametrize("wrap", [lambda z: (z, z), lambda z: z.numpy(), lambda z: torch.distributions.Normal(z, 1.0)])
def test_decoders_that_return_no_tensor_are_refused(wrap: Callable[[Tensor], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"must return a tensor, got (tuple|ndarray|Normal)"):
        decoder_jacobian(wrap, torch.randn(4, 2))


def test_decoders_without_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"to \(2, 0\)"):
        decoder_jacobian(lambda z: z[:, :0], torch.randn(4, 2))


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (torch.ones(0, 3), r"at least one latent sample of at least one dimension is needed, got \(0, 3\)"),
        (torch.ones(3, 0), r"at least one latent sample of at least one dimension is needed, got \(3, 0\)"),
        (torch.ones(3), r"floating-point tensor of shape \(N, d\), got \(3,\)"),
        (torch.ones(3, 2, 2), r"floating-point tensor of shape \(N, d\), got \(3, 2, 2\)"),
        (torch.ones(3, 2, dtype=torch.int64), r"got \(3, 2\) of torch.int64"),
        ([[1.0, 2.0]], "got list"),
    ],
)
def test_what_are_no_latents_is_refused(z: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoder_jacobian(torch.sin, z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "mode must be 'auto', 'forward' or 'reverse', got 'both'"),
        ({"chunk_size": 0}, "chunk_size must be 'auto' or a positive number, got 0"),
        ({"memory_budget": 0}, "memory_budget must be positive, got 0"),
        ({"labels": torch.ones(3)}, r"one row for each of the 4 latents, got \(3,\)"),
        ({"labels": torch.tensor(3)}, r"one row for each of the 4 latents, got \(\)"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoder_jacobian(torch.sin, torch.ones(4, 2), **options)
    with pytest.raises(ValueError, match=message):
        next(decoder_jacobian_chunks(torch.sin, torch.ones(4, 2), **options))


def test_labels_given_to_a_decoder_without_labels_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"decoder failed on latents of shape \(2, 2\)"):
        decoder_jacobian(torch.nn.Linear(2, 2), torch.ones(4, 2), torch.zeros(4))


def test_errors_of_the_decoder_reach_the_caller() -> None:
    class Trouble(Exception):
        pass

    def decode(z: Tensor) -> Tensor:
        raise Trouble

    with pytest.raises(Trouble):
        decoder_jacobian(decode, torch.ones(4, 2))
