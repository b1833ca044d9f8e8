"""Decoder Jacobians against one reverse-mode Jacobian a sample, in either mode, and their gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import normflows as nf
import pytest
import torch
import zuko
from torch import Tensor, nn

from tests.helpers import Cube
from torchdisentangle.functional import (
    decoder_jacobian,
    decoder_jacobian_chunks,
    gram_matrix,
    manifold_total_correlation,
)
from torchdisentangle.functional.manifold.jacobian import ChunkSize

Mode = Literal["auto", "forward", "reverse"]
Case = tuple[Callable[..., Tensor], Tensor, Tensor | None]  # a decoder, latents, and labels where it takes them

# Forward and reverse mode multiply the same factors in float64 in another order; the decoders below are a few layers
# of at most some hundred units deep, so that rounding stays around 1e-14.
ROUNDING: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture
def forward_mode_warnings() -> Iterator[Callable[[], list[str]]]:
    """Tells the warnings about forward mode that were given so far."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: [str(warning.message) for warning in caught if "forward mode" in str(warning.message)]


def one_by_one(decode: Callable[..., Tensor], z: Tensor, labels: Tensor | None = None) -> Tensor:
    """Each sample's Jacobian by itself, one output at a time."""

    def of_sample(n: int) -> Tensor:
        extra = () if labels is None else (labels[n : n + 1],)
        return torch.autograd.functional.jacobian(lambda row: decode(row[None], *extra)[0].flatten(), z[n])

    return torch.stack([of_sample(n) for n in range(len(z))])


# Decoders


def mlp(latent_dim: int = 3, data_dim: int = 7) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent_dim, 16), nn.Tanh(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, data_dim)
    ).double()


def convolutional(latent_dim: int = 4, channels: int = 4) -> nn.Module:
    """A decoder to images of ``8 x 8`` whose batch normalisation has seen data."""
    decoder = nn.Sequential(
        nn.Linear(latent_dim, channels * 4),
        nn.Unflatten(1, (channels, 2, 2)),
        nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    ).double()
    with torch.no_grad():
        decoder(3 * torch.randn(64, latent_dim, dtype=torch.float64))
    return decoder.eval()


def real_nvp() -> nf.NormalizingFlow:
    flows: list[nn.Module] = []
    for _ in range(2):
        flows += [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 8, 4], init_zeros=False)), nf.flows.Permute(4)]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(4), flows).double()


def spline_flow() -> nf.NormalizingFlow:
    flows: list[nn.Module] = []
    for _ in range(2):
        flows += [nf.flows.CoupledRationalQuadraticSpline(4, 1, 8), nf.flows.LULinearPermute(4)]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(4), flows).double()
    for parameter in flow.parameters():  # they begin at the identity
        nn.init.normal_(parameter, std=0.5)
    return flow


def glow() -> Callable[[Tensor], Tensor]:
    blocks = [nf.flows.GlowBlock(4, 8, split_mode="channel", scale=True, init_zeros=False) for _ in range(2)]
    flow = nf.NormalizingFlow(None, [*blocks, nf.flows.Squeeze()]).double()
    flow.forward(torch.randn(8, 4, 2, 2, dtype=torch.float64))  # the first batch initialises the activation norms
    return lambda z: flow.forward(z.view(-1, 4, 2, 2))


def class_conditional_spline_flow() -> Callable[[Tensor, Tensor], Tensor]:
    flow = zuko.flows.NSF(3, context=3, transforms=2, hidden_features=[8]).double()
    return lambda z, labels: flow(nn.functional.one_hot(labels, 3).double()).transform.inv(z)


DECODERS: dict[str, tuple[Callable[[], Callable[..., Tensor]], int, bool]] = {
    "MLP": (mlp, 3, False),
    "convolutional": (convolutional, 4, False),
    "wide latents": (lambda: mlp(9, 4), 9, False),
    "RealNVP": (lambda: real_nvp().forward, 4, False),
    "coupled spline": (lambda: spline_flow().forward, 4, False),
    "Glow": (glow, 16, False),
    "zuko NSF with classes": (class_conditional_spline_flow, 3, True),
}


@pytest.fixture(params=DECODERS, name="case")
def _case(request: pytest.FixtureRequest) -> Case:
    build, latent_dim, has_labels = DECODERS[request.param]
    z = torch.randn(5, latent_dim, dtype=torch.float64)
    return build(), z, torch.tensor([2, 0, 1, 1, 0]) if has_labels else None


# Values


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_agrees_with_one_sample_at_a_time(
    case: Case,
    mode: Mode,
    forward_mode_warnings: Callable[[], list[str]],
) -> None:
    decode, z, labels = case
    expected = one_by_one(decode, z, labels)
    assert expected.abs().max() > 0.01  # no decoder is constant
    torch.testing.assert_close(decoder_jacobian(decode, z, labels, mode=mode), expected, **ROUNDING)
    assert forward_mode_warnings() == []  # forward mode works for all of these


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_without_gradients(case: Case, mode: Mode, context: Callable[[], Any]) -> None:
    decode, z, labels = case
    expected = one_by_one(decode, z, labels)
    with context():
        made_inside = z.clone(), None if labels is None else labels.clone()
        for latents, classes in ((z, labels), made_inside):
            result = decoder_jacobian(decode, latents, classes, mode=mode)
            torch.testing.assert_close(result, expected, **ROUNDING)
            assert not result.requires_grad


def test_latents_made_in_inference_mode_may_be_used_outside() -> None:
    decode, labelled = mlp(), class_conditional_spline_flow()
    with torch.inference_mode():
        z, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(decoder_jacobian(decode, z), one_by_one(decode, z.clone()), **ROUNDING)
    torch.testing.assert_close(
        decoder_jacobian(labelled, z, labels), one_by_one(labelled, z.clone(), labels.clone()), **ROUNDING
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("chunk_size", [1, 3])  # of five samples: single ones, and a smaller rest
def test_chunk_size_changes_nothing(case: Case, chunk_size: int, mode: Mode) -> None:
    decode, z, labels = case
    expected = decoder_jacobian(decode, z, labels, mode=mode)
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            result = decoder_jacobian(decode, z, labels, mode=mode, chunk_size=chunk_size)
        torch.testing.assert_close(result, expected, **ROUNDING)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("check", [True, False])
def test_a_single_sample(check: bool, mode: Mode) -> None:
    decode, z = convolutional(), torch.randn(1, 4, dtype=torch.float64)
    torch.testing.assert_close(decoder_jacobian(decode, z, mode=mode, check=check), one_by_one(decode, z), **ROUNDING)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("memory_budget", [1, 10_000, 300_000, 2**28])
def test_memory_budget_changes_nothing(memory_budget: int, mode: Mode) -> None:
    decode, z = mlp(5, 11), torch.randn(23, 5, dtype=torch.float64)
    with torch.no_grad():
        result = decoder_jacobian(decode, z, mode=mode, memory_budget=memory_budget)
    torch.testing.assert_close(result, one_by_one(decode, z), **ROUNDING)


@pytest.mark.parametrize("memory_budget", [1, 10_000, 2**28])
def test_chunks_cover_every_row_once_in_order(memory_budget: int) -> None:
    decode, z = mlp(), torch.randn(23, 3, dtype=torch.float64)
    with torch.no_grad():
        rows, pieces = zip(*decoder_jacobian_chunks(decode, z, memory_budget=memory_budget), strict=True)
    assert torch.cat([torch.arange(23)[piece] for piece in rows]).tolist() == list(range(23))
    torch.testing.assert_close(torch.cat(pieces), one_by_one(decode, z), **ROUNDING)


def test_labels_of_any_shape_are_cut_with_the_latents() -> None:
    weights = torch.randn(5, 6, 3, dtype=torch.float64)  # one linear decoder for each sample
    z = torch.randn(5, 3, dtype=torch.float64)

    def decode(z: Tensor, weights: Tensor) -> Tensor:
        return torch.einsum("nij,nj->ni", weights, z)

    for mode in ("forward", "reverse"):
        for chunk_size in (1, 2, 5):
            result = decoder_jacobian(decode, z, weights, mode=mode, chunk_size=chunk_size)
            torch.testing.assert_close(result, weights, **ROUNDING)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_keeps_the_precision_of_the_decoder(dtype: torch.dtype, mode: Mode) -> None:
    decode = mlp().to(dtype)
    assert decoder_jacobian(decode, torch.randn(4, 3, dtype=dtype), mode=mode).dtype == dtype


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_has_the_precision_of_the_data_where_that_of_the_latents_differs(mode: Mode) -> None:
    result = decoder_jacobian(lambda z: 2 * z.double(), torch.randn(4, 3), mode=mode)
    assert torch.equal(result, 2 * torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
    assert result.dtype == torch.float64


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_decoder_that_ignores_some_or_all_latents(mode: Mode) -> None:
    z = torch.randn(4, 3)
    assert (decoder_jacobian(lambda z: torch.ones(len(z), 5), z, mode=mode) == 0).all()
    partial = decoder_jacobian(lambda z: z[:, :1].expand(-1, 2), z, mode=mode)
    assert partial.tolist() == [[[1.0, 0.0, 0.0]] * 2] * 4


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize(
    "decode",
    [torch.no_grad()(torch.sin), torch.inference_mode()(torch.sin), lambda z: z.detach().sin()],
    ids=["no_grad", "inference_mode", "detach"],
)
def test_a_decoder_cut_off_from_its_latents_is_not_constant(decode: Callable[[Tensor], Tensor], mode: Mode) -> None:
    """It moves with its latents, so zeros are wrong: the right Jacobian or an error are fine."""
    z = torch.randn(4, 3)
    try:
        result = decoder_jacobian(decode, z, mode=mode)
    except (RuntimeError, ValueError):
        return
    torch.testing.assert_close(result, torch.diag_embed(z.cos()))


# Which mode


class CubeWithContext(torch.autograd.Function):
    """The same, in the form that function transforms accept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


class CubicDecoder(nn.Module):
    def __init__(self, function: type[torch.autograd.Function], latent_dim: int, data_dim: int) -> None:
        super().__init__()
        self.function, self.linear = function, nn.Linear(latent_dim, data_dim).double()
        self.calls = 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return self.function.apply(self.linear(z))


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize("function", [Cube, CubeWithContext])
def test_falls_back_to_reverse_mode_with_one_warning(
    function: type[torch.autograd.Function], context: Callable[[], Any], forward_mode_warnings: Callable[[], list[str]]
) -> None:
    decode, z = CubicDecoder(function, 3, 5), torch.randn(7, 3, dtype=torch.float64)
    with context():
        for _ in range(2):
            result = decoder_jacobian(decode, z, chunk_size=2)
    torch.testing.assert_close(result, one_by_one(decode, z), **ROUNDING)
    (warning,) = forward_mode_warnings()
    assert "CubicDecoder" in warning


def test_forward_mode_is_given_up_after_one_failure() -> None:
    decode, z = CubicDecoder(Cube, 3, 5), torch.randn(8, 3, dtype=torch.float64)
    with pytest.warns(UserWarning, match="forward mode"):
        decoder_jacobian(decode, z, chunk_size=2, check=False)
    assert decode.calls == 1 + 1 + 4  # for the size of the data, the attempt, and each chunk


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad])
def test_falls_back_for_attention(context: Callable[[], Any], forward_mode_warnings: Callable[[], list[str]]) -> None:
    layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True).double().eval()
    wider = nn.Linear(8, 16).double()  # more data than latents, so that forward mode is tried
    decode, z = nn.Sequential(nn.Unflatten(1, (2, 8)), layer, wider), torch.randn(5, 16, dtype=torch.float64)
    with context():
        result = decoder_jacobian(decode, z, chunk_size=2)
    torch.testing.assert_close(result, one_by_one(decode, z), **ROUNDING)
    assert len(forward_mode_warnings()) == 1


@pytest.mark.parametrize(
    ("latent_dim", "data_dim", "mode"),
    [(6, 5, "forward"), (6, 5, "auto"), (5, 6, "auto"), (5, 5, "auto"), (5, 5, "reverse")],
)
def test_auto_picks_the_mode_that_takes_less(
    latent_dim: int, data_dim: int, mode: Mode, forward_mode_warnings: Callable[[], list[str]]
) -> None:
    """Forward mode for fewer latents than data, reverse mode for square Jacobians, where it has less overhead."""
    decode, z = CubicDecoder(Cube, latent_dim, data_dim), torch.randn(3, latent_dim, dtype=torch.float64)
    decoder_jacobian(decode, z, mode=mode)
    forward_was_tried = mode == "forward" or (mode == "auto" and latent_dim < data_dim)
    assert len(forward_mode_warnings()) == forward_was_tried  # this decoder betrays it by a warning


# Gradients


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("chunk_size", ["auto", 2])
def test_differentiable_in_latents_and_parameters(mode: Mode, chunk_size: ChunkSize) -> None:
    decoder = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    names = [name for name, _ in decoder.named_parameters()]

    def of_all(z: Tensor, *parameters: Tensor) -> Tensor:
        weights = dict(zip(names, parameters, strict=True))
        return decoder_jacobian(
            lambda z: torch.func.functional_call(decoder, weights, (z,)), z, mode=mode, chunk_size=chunk_size
        )

    z = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    parameters = [parameter.detach().requires_grad_() for parameter in decoder.parameters()]
    assert torch.autograd.gradcheck(of_all, (z, *parameters))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_latents_that_need_no_gradient_leave_the_parameters_theirs(mode: Mode) -> None:
    decoder, z = mlp(), torch.randn(4, 3, dtype=torch.float64)
    manifold_total_correlation(gram_matrix(decoder_jacobian(decoder, z, mode=mode))).backward()
    first = next(decoder.parameters()).grad
    assert first is not None
    assert first.abs().max() > 0
    assert z.grad is None


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_leaves_no_traces(context: Callable[[], Any], mode: Mode) -> None:
    decoder, z = convolutional(), torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    random_state = torch.get_rng_state()
    with context():
        decoder_jacobian(decoder, z, mode=mode)
        assert torch.is_grad_enabled() == (context is torch.enable_grad)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert z.grad is None
    assert all(parameter.grad is None for parameter in decoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())
