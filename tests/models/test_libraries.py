"""Models of other libraries as they are written there; each test is skipped where its library is not installed."""

from __future__ import annotations

from typing import Any

import normflows as nf
import pytest
import torch
import zuko
from torch import Tensor, nn
from torch.func import jacrev
from torch.nn.functional import one_hot

from torchdisentangle.models import LatentModel, as_latent_model


def randomised(module: nn.Module) -> Any:
    """Many layers start as the identity; move them away from it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module.double().eval()


def check_flow(model: LatentModel, x: Tensor, labels: Tensor | None = None) -> None:
    """Both directions invert each other, and the log-determinant is that of the Jacobian."""
    z = model.encode(x, labels).mean
    assert z.shape == (len(x), model.latent_dim)
    # splines are inverted by solving quadratic equations, which costs digits
    torch.testing.assert_close(model.decode(z, labels), x, atol=1e-7, rtol=1e-7)
    label = None if labels is None else labels[:1]
    jacobian = jacrev(lambda z: model.decode(z[None], label).flatten())(z[0])
    log_det = model.log_det(z, labels)[0]
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian)[1], atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("variational", [True, False])
def test_pythae(variational: bool) -> None:
    models = pytest.importorskip("pythae.models")
    config = (models.VAEConfig if variational else models.AEConfig)(input_dim=(1, 6, 6), latent_dim=3)
    module = (models.VAE if variational else models.AE)(config).eval()
    model = as_latent_model(module)
    assert model.latent_dim == 3
    x, z = torch.randn(4, 1, 6, 6), torch.randn(4, 3)
    encoded, posterior = module.encoder(x), model.encode(x)
    torch.testing.assert_close(posterior.mean, encoded.embedding)
    if variational:
        torch.testing.assert_close(posterior.log_variance, encoded.log_covariance)
    else:
        assert posterior.log_variance is None
    torch.testing.assert_close(model.decode(z), module.decoder(z).reconstruction)


@pytest.mark.parametrize("told", ["sample_size", "latent_shape", "latent_dim"])
def test_diffusers_autoencoder_kl(told: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    module = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        sample_size=16 if told == "sample_size" else 64,
    ).eval()
    if told == "latent_shape":
        module.latent_shape = (4, 8, 8)
    model = as_latent_model(module, latent_dim=256 if told == "latent_dim" else None)
    assert model.latent_dim == 256
    x = torch.randn(2, 3, 16, 16)
    distribution, posterior = module.encode(x).latent_dist, model.encode(x)
    torch.testing.assert_close(posterior.mean, distribution.mean.flatten(1))
    torch.testing.assert_close(posterior.log_variance, distribution.logvar.flatten(1))
    torch.testing.assert_close(model.decode(posterior.mean), module.decode(distribution.mean).sample)


def subnet(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def freia(kind: str, size: int | None) -> Any:
    """A network of two coupling blocks, with a condition of that size."""
    framework, blocks = pytest.importorskip("FrEIA.framework"), pytest.importorskip("FrEIA.modules")
    settings = {"subnet_constructor": subnet}
    if kind == "SequenceINN":
        network = framework.SequenceINN(4)
        for _ in range(2):
            condition = {} if size is None else {"cond": 0, "cond_shape": (size,)}
            network.append(blocks.GLOWCouplingBlock, **condition, **settings)
        return network
    nodes = [framework.InputNode(4)]
    conditions = [] if size is None else [framework.ConditionNode(size)]
    for _ in range(2):
        nodes.append(framework.Node(nodes[-1], blocks.GLOWCouplingBlock, settings, conditions=conditions))
    return framework.GraphINN([*nodes, *conditions, framework.OutputNode(nodes[-1])])


@pytest.mark.parametrize("kind", ["SequenceINN", "GraphINN"])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_freia(kind: str, num_classes: int | None) -> None:
    module = randomised(freia(kind, num_classes))
    model = as_latent_model(module, num_classes=num_classes)
    x = torch.randn(3, 4, dtype=torch.float64)
    labels = None if num_classes is None else torch.tensor([0, 2, 1])
    check_flow(model, x, labels)
    if labels is not None:
        condition = one_hot(labels, 3).double()
        torch.testing.assert_close(model.encode(x, labels).mean, module(x, c=[condition])[0])


@pytest.mark.parametrize(("kind", "num_classes"), [("SequenceINN", None), ("GraphINN", None), ("GraphINN", 5)])
def test_other_conditions_of_freia_are_refused(kind: str, num_classes: int | None) -> None:
    with pytest.raises(TypeError, match=f"{kind} has conditions: .* pass num_classes=k; .* subclass LatentModel"):
        as_latent_model(freia(kind, 3), num_classes=num_classes)


class Conditioned(nn.Module):
    """FrEIA's way to hold conditions, without FrEIA."""

    dims_in = ((2,),)
    conditions = (None, 0, 0)

    def forward(self, x: Tensor, c: list[Tensor], rev: bool = False, jac: bool = True) -> tuple[Tensor, Tensor]:
        scale = 1 + c[0].argmax(1, keepdim=True)
        return x / scale if not rev else x * scale, x.sum(1)


def test_conditions_of_invertible_modules() -> None:
    with pytest.raises(TypeError, match="Conditioned has conditions"):
        as_latent_model(Conditioned())
    decoded = as_latent_model(Conditioned(), num_classes=3).decode(torch.ones(2, 2), torch.tensor([0, 2]))
    assert decoded.tolist() == [[1, 1], [3, 3]]


def nflow(context: int | None = None) -> Any:
    flows, transforms = pytest.importorskip("nflows.flows.base"), pytest.importorskip("nflows.transforms")
    normal = pytest.importorskip("nflows.distributions.normal")
    layers = [
        transforms.ReversePermutation(3),
        transforms.MaskedAffineAutoregressiveTransform(3, 8, context_features=context),
        transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            3, 8, context_features=context, tails="linear", tail_bound=5.0
        ),
    ]
    base = normal.DiagonalNormal([3]) if context is None else normal.StandardNormal([3])
    return randomised(flows.Flow(transforms.CompositeTransform(layers), base))


@pytest.mark.parametrize("num_classes", [None, 2])
def test_nflows(num_classes: int | None) -> None:
    module = nflow(num_classes)
    model = as_latent_model(module, num_classes=num_classes)
    x = torch.randn(4, 3, dtype=torch.float64)
    labels = None if num_classes is None else torch.tensor([0, 1, 1, 0])
    check_flow(model, x, labels)
    context = None if labels is None else one_hot(labels).double()
    z, prior = model.encode(x, labels).mean, model.prior
    density = torch.distributions.Normal(prior.loc.double(), prior.scale.double()).log_prob(z).sum(1)
    torch.testing.assert_close(density - model.log_det(z, labels), module.log_prob(x, context), atol=1e-6, rtol=1e-6)


def test_what_nflows_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match=r"cannot be called without context .* needs num_classes="):
        as_latent_model(nflow(2))
    flow, normal = pytest.importorskip("nflows.flows.base"), pytest.importorskip("nflows.distributions.normal")
    transform = pytest.importorskip("nflows.transforms").ReversePermutation(3)
    with pytest.raises(TypeError, match="ConditionalDiagonalNormal is not known to have independent dimensions"):
        as_latent_model(flow.Flow(transform, normal.ConditionalDiagonalNormal([3])))


def test_planar_flows_decode_only() -> None:
    flow = randomised(nf.NormalizingFlow(nf.distributions.DiagGaussian(3), [nf.flows.Planar((3,)) for _ in range(2)]))
    model = as_latent_model(flow)
    z = torch.randn(2, 3, dtype=torch.float64)
    jacobian = jacrev(lambda z: model.decode(z[None]).flatten())(z[0])
    torch.testing.assert_close(model.log_det(z)[0], torch.linalg.slogdet(jacobian)[1])
    with pytest.raises(TypeError, match="cannot encode data: its layer Planar has no algebraic inverse"):
        model.require("encode")


def test_planar_flows_with_an_inverse() -> None:
    layers = [nf.flows.Planar((3,), act="leaky_relu") for _ in range(2)]
    model = as_latent_model(nf.NormalizingFlow(nf.distributions.DiagGaussian(3), layers).double())
    check_flow(model, torch.randn(2, 3, dtype=torch.float64))


def test_contexts_of_real_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"without context .*any other context subclass LatentModel"):
        as_latent_model(zuko.flows.NSF(3, context=2))
    conditional = nf.ConditionalNormalizingFlow(nf.distributions.DiagGaussian(2), [])
    with pytest.raises(TypeError, match=r"context of a ConditionalNormalizingFlow .*subclass LatentModel"):
        as_latent_model(conditional)
