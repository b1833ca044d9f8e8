"""Decoder Jacobians against one reverse-mode Jacobian a sample, and what is promised about memory and refusals."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import normflows as nf
import pytest
import torch
import zuko
from torch import Tensor, nn

from torchdisentangle.functional import (
    decoder_jacobian,
    decoder_jacobian_chunks,
    gram_matrix,
    jacobian,
    manifold_total_correlation,
)
from torchdisentangle.functional.memory import PeakMemory

Mode = Literal["auto", "forward", "reverse"]
Case = tuple[Callable[..., Tensor], Tensor, Tensor | None]  # a decoder, latents, and labels where it takes them

# Forward and reverse mode multiply the same factors in float64 in another order; the decoders below are a few layers
# of at most some hundred units deep, so that rounding stays around 1e-14.
ROUNDING: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(autouse=True)
def _fresh_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch.manual_seed(0)
    monkeypatch.setattr(jacobian, "_warned", set())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the decoders are tiny: several threads would mostly wait for each other
    yield
    torch.set_num_threads(threads)


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
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 5, 100])
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


class Cube(torch.autograd.Function):
    """A function that knows its reverse mode only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


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
    decode, z = nn.Sequential(nn.Unflatten(1, (2, 8)), layer), torch.randn(5, 16, dtype=torch.float64)
    with context():
        result = decoder_jacobian(decode, z, chunk_size=2)
    torch.testing.assert_close(result, one_by_one(decode, z), **ROUNDING)
    assert len(forward_mode_warnings()) == 1


@pytest.mark.parametrize(
    ("latent_dim", "data_dim", "mode"), [(6, 5, "forward"), (6, 5, "auto"), (5, 5, "auto"), (5, 5, "reverse")]
)
def test_auto_picks_the_mode_with_fewer_directions(
    latent_dim: int, data_dim: int, mode: Mode, forward_mode_warnings: Callable[[], list[str]]
) -> None:
    decode, z = CubicDecoder(Cube, latent_dim, data_dim), torch.randn(3, latent_dim, dtype=torch.float64)
    decoder_jacobian(decode, z, mode=mode)
    forward_was_tried = mode == "forward" or (mode == "auto" and latent_dim <= data_dim)
    assert len(forward_mode_warnings()) == forward_was_tried  # this decoder betrays it by a warning


# Gradients


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_differentiable_in_latents_and_parameters(mode: Mode, chunk_size: int | None) -> None:
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


# Refusals

MIXED_ROWS = "output for one latent changes when another row of the batch changes"


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad])
def test_batch_normalisation_in_training_mode_is_refused(context: Callable[[], Any]) -> None:
    decoder, z = convolutional().train(), torch.randn(5, 4, dtype=torch.float64)
    with context(), pytest.raises(ValueError, match=MIXED_ROWS):
        decoder_jacobian(decoder, z)


def test_batch_normalisation_of_vectors_in_training_mode_is_refused() -> None:
    """Two rows are normalised to plus and minus one however far apart they are."""
    decoder = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double().train()
    z = torch.tensor([[0.0, 0.0], [5.0, 5.0], [1.0, -1.0], [2.0, 3.0]], dtype=torch.float64)
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
    with pytest.raises(RuntimeError, match=r"decoder failed on latents of shape \(2, 4\): mat1 and mat2"):
        decoder_jacobian(mlp(3), torch.randn(5, 4, dtype=torch.float64), mode=mode)


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
        ({"chunk_size": 0}, "chunk_size must be positive, got 0"),
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


# Costs


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
        decoder_jacobian(decoder, z, mode=mode, chunk_size=chunk_size, check=False)
        assert (decoder.calls, decoder.rows) == (chunks + 1, 12 + 2)  # two rows tell the size of the data
        decoder.calls = decoder.rows = 0
        decoder_jacobian(decoder, z, mode=mode, chunk_size=chunk_size)
        assert (decoder.calls, decoder.rows) == (chunks + 2, 12 + 4)  # and two more that rows are independent


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
