"""Flows of other libraries: both directions, log-determinants and priors, against autograd and the library's own."""

from __future__ import annotations

from collections.abc import Callable

import normflows as nf
import pytest
import torch
import zuko
from torch import Tensor, nn
from torch.func import jacrev

from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY
from torchdisentangle.models import LatentModel, as_latent_model


def randomised(module: nn.Module) -> nn.Module:
    """Many layers start as the identity; move them away from it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def real_nvp() -> nn.Module:
    flows = []
    for _ in range(3):
        flows += [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 8, 4], init_zeros=False)), nf.flows.Permute(4)]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(4), flows)


def spline() -> nn.Module:
    flows = [nf.flows.CoupledRationalQuadraticSpline(4, 1, 16), nf.flows.LULinearPermute(4)]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(4, trainable=False), flows)


def class_conditional() -> nn.Module:
    flows = [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 8, 4])), nf.flows.Permute(4)]
    return nf.ClassCondFlow(nf.distributions.ClassCondDiagGaussian(4, 3), flows)


def glow(num_classes: int | None = 3) -> nn.Module:
    flows = [
        [nf.flows.GlowBlock(8, 16), nf.flows.Squeeze()],
        [nf.flows.GlowBlock(4, 16), nf.flows.Squeeze()],
    ]
    bases = [nf.distributions.GlowBase((8, 2, 2), num_classes), nf.distributions.GlowBase((2, 4, 4), num_classes)]
    model = nf.MultiscaleFlow(bases, flows, [nf.flows.Merge()], class_cond=num_classes is not None)
    model.inverse_and_log_det(torch.randn(64, 1, 8, 8))  # initialises the activation normalisations
    return model


FLOWS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "RealNVP": (real_nvp, (4,)),
    "spline": (spline, (4,)),
    "class-conditional": (class_conditional, (4,)),
    "multiscale Glow": (glow, (1, 8, 8)),
    "zuko NSF": (lambda: zuko.flows.NSF(4, transforms=2, hidden_features=(16,)), (4,)),
    "zuko MAF": (lambda: zuko.flows.MAF(4, transforms=2, hidden_features=(16,)), (4,)),
}


@pytest.fixture(params=FLOWS, name="flow")
def adapted_flow(request: pytest.FixtureRequest) -> tuple[LatentModel, tuple[int, ...]]:
    build, shape = FLOWS[request.param]
    torch.manual_seed(0)
    return as_latent_model(randomised(build()).double().eval()), shape


def test_decoding_inverts_encoding(flow: tuple[LatentModel, tuple[int, ...]]) -> None:
    model, shape = flow
    x = 0.5 * torch.randn(6, *shape, dtype=torch.float64)
    z = model.encode(x).mean
    assert z.shape == (6, model.latent_dim)
    # autoregressive and spline inversions solve quadratic equations: some digits of float64 are lost
    torch.testing.assert_close(model.decode(z), x, atol=1e-7, rtol=1e-7)


def test_log_det_is_that_of_the_jacobian(flow: tuple[LatentModel, tuple[int, ...]]) -> None:
    model, _ = flow
    z = torch.randn(3, model.latent_dim, dtype=torch.float64)
    for row, log_det in zip(z, model.log_det(z), strict=True):
        jacobian = jacrev(lambda z: model.decode(z[None]).flatten())(row)
        torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian)[1], atol=1e-9, rtol=1e-9)


def test_log_likelihood_from_the_parts(flow: tuple[LatentModel, tuple[int, ...]]) -> None:
    """Prior, encoder and log-determinant together are the library's own density."""
    model, shape = flow
    x, labels = 0.5 * torch.randn(6, *shape, dtype=torch.float64), torch.arange(6) % 3
    z = model.encode(x, labels).mean
    prior = model.prior
    row = labels if len(prior.loc) > 1 else torch.zeros(6, dtype=torch.int64)
    density = torch.distributions.Normal(prior.loc[row], prior.scale[row]).log_prob(z).sum(1)
    module = model.module
    if isinstance(module, zuko.flows.Flow):
        expected = module().log_prob(x)
    else:
        expected = module.log_prob(x, labels) if model.num_classes else module.log_prob(x)
    torch.testing.assert_close(density - model.log_det(z), expected, atol=1e-6, rtol=1e-7)


def test_entropies_of_the_prior(flow: tuple[LatentModel, tuple[int, ...]]) -> None:
    prior = flow[0].prior
    expected = torch.distributions.Normal(prior.loc, prior.scale).entropy()
    torch.testing.assert_close(prior.entropies(), expected.detach())
    z = prior.sample(5, torch.Generator().manual_seed(0), torch.tensor([0, 1, 2, 0, 1]))
    assert z.shape == (5, flow[0].latent_dim)
    assert z.dtype == torch.float32


def test_zuko_with_classes_as_context() -> None:
    flow = randomised(zuko.flows.NSF(2, context=3, transforms=1, hidden_features=(8,)))
    with pytest.raises(TypeError, match="pass num_classes="):
        as_latent_model(flow)
    model = as_latent_model(flow, num_classes=3)
    z, labels = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    x = model.decode(z, labels)
    torch.testing.assert_close(x[:1], flow(torch.tensor([1.0, 0, 0])).transform.inv(z[:1]))
    torch.testing.assert_close(model.encode(x, labels).mean, z, atol=1e-5, rtol=1e-5)


def test_uniform_bases() -> None:
    entropies = as_latent_model(zuko.flows.NCSF(2, transforms=1)).prior.entropies()
    torch.testing.assert_close(entropies, torch.full((1, 2), 2 * torch.pi).log())
    flow = nf.NormalizingFlow(nf.distributions.UniformGaussian(3, [1], torch.tensor([1.0, 4.0, 2.0])), [])
    normal = STANDARD_NORMAL_ENTROPY
    expected = torch.tensor([[normal, torch.tensor(4.0).log(), normal + torch.tensor(2.0).log()]])
    torch.testing.assert_close(as_latent_model(flow).prior.entropies(), expected)
    box = nf.NormalizingFlow(nf.distributions.base.Uniform(3, -1.0, 3.0), [])
    torch.testing.assert_close(as_latent_model(box).prior.entropies(), torch.full((1, 3), 4.0).log())


def test_correlated_bases_are_refused() -> None:
    with pytest.raises(TypeError, match="GaussianPCA is not known to have independent dimensions"):
        as_latent_model(nf.NormalizingFlow(nf.distributions.GaussianPCA(3, 2), []))
    conditional = nf.ConditionalNormalizingFlow(nf.distributions.DiagGaussian(2), [])
    with pytest.raises(TypeError, match="context of this ConditionalNormalizingFlow"):
        as_latent_model(conditional)


def test_a_method_of_one_s_own_comes_before_the_library() -> None:
    class Own(nf.NormalizingFlow):
        def latent_model(self) -> LatentModel:
            return LatentModel(self, 7)

    assert as_latent_model(Own(nf.distributions.DiagGaussian(2), [])).latent_dim == 7


def test_other_modules_of_the_libraries_are_no_flows() -> None:
    for module in (nf.nets.MLP([2, 2]), zuko.nn.MLP(2, 2)):
        with pytest.raises(TypeError, match="MLP is no latent model"):
            as_latent_model(module)


def test_uninitialised_activation_normalisation_is_not_touched() -> None:
    norm = nf.flows.ActNorm((2,))
    model = as_latent_model(nf.NormalizingFlow(nf.distributions.DiagGaussian(2), [norm]))
    assert not model.ready
    with pytest.raises(RuntimeError, match="run a batch of data through the model first"):
        model.decode(torch.randn(4, 2))
    assert not norm.data_dep_init_done
    model.module.log_prob(torch.randn(64, 2))
    assert model.ready


def test_log_det_keeps_double_precision() -> None:
    model = as_latent_model(randomised(spline()).double())
    z: Tensor = torch.randn(3, 4, dtype=torch.float64)
    assert model.log_det(z).dtype == torch.float64
