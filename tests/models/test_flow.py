"""The flow module's three objectives against their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import normflows as nf
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle.datasets import two_moons
from torchdisentangle.models import NormalizingFlowModule, as_latent_model, real_nvp, spline_flow

BUILDERS = [spline_flow, real_nvp]


def scrambled(flow: nn.Module, seed: int = 0) -> Any:
    """Weights away from their initial values, where most couplings are the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return flow.double()


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("dim", [2, 3, 5])
def test_flows_are_invertible_and_have_the_density_of_their_jacobian(build: Callable[..., nn.Module], dim: int) -> None:
    torch.manual_seed(dim)
    flow = scrambled(build(dim))
    model, x = as_latent_model(flow), torch.randn(6, dim, dtype=torch.float64)
    z = model.encode(x).mean
    torch.testing.assert_close(model.decode(z), x, rtol=1e-6, atol=1e-6)  # the splines' root finding is float32-like
    for n in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda row: model.decode(row[None])[0], z[n])
        log_density = -0.5 * (z[n].square() + math.log(2 * math.pi)).sum() - torch.linalg.slogdet(jacobian)[1]
        # normflows adds its log-determinants up in float32
        torch.testing.assert_close(flow.log_prob(x[n : n + 1])[0].double(), log_density, rtol=1e-5, atol=1e-5)


def definitions(module: NormalizingFlowModule, x: Tensor) -> dict[str, float]:
    """The objectives sample by sample, with the paper's sums over single latents."""
    model, core = as_latent_model(module.flow.requires_grad_(False)), module.core.double()
    likelihood, principal, reconstruction = 0.0, 0.0, 0.0
    for row in x:
        z = model.encode(row[None]).mean[0]
        jacobian = torch.autograd.functional.jacobian(lambda z: model.decode(z[None])[0], z)
        log_prior = -0.5 * (z.square() + math.log(2 * math.pi))
        lengths = jacobian.square().sum(0).sqrt().log()
        likelihood += float(-log_prior.sum() + torch.linalg.slogdet(jacobian)[1]) / len(x)
        principal += float((-log_prior + lengths).sum()) / len(x)
        reconstruction += float((row - model.decode((z * core)[None])[0]).square().sum()) / len(x)
    return {"likelihood": likelihood, "principal": principal, "reconstruction": reconstruction}


@pytest.mark.parametrize(("build", "mode"), [(spline_flow, "auto"), (spline_flow, "reverse"), (real_nvp, "forward")])
def test_objectives(build: Callable[..., nn.Module], mode: Any) -> None:
    torch.manual_seed(0)
    module = NormalizingFlowModule(
        scrambled(build(3)),
        total_correlation_weight=0.7,
        core_reconstruction_weight=2.0,
        core_dims=[0, 2],
        jacobian_mode=mode,
    )
    x = torch.randn(5, 3, dtype=torch.float64)
    truth = definitions(module, x)
    module.requires_grad_(True)
    terms = module.terms(x)
    close = 1e-4  # the flow's own log-determinant is float32
    excess = truth["principal"] - truth["likelihood"]  # of the principal-manifold objective over maximum likelihood
    assert float(terms["nll"]) == pytest.approx(truth["likelihood"], abs=close)
    assert float(terms["total_correlation"]) == pytest.approx(excess, abs=close)
    assert float(terms["core_reconstruction"]) == pytest.approx(truth["reconstruction"], abs=close)
    expected = truth["likelihood"] + 0.7 * excess + 2.0 * truth["reconstruction"]
    assert float(terms["loss"]) == pytest.approx(expected, abs=3 * close)
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters() if p.requires_grad)


def test_the_penalty_by_probes_and_its_gradient_are_those_of_the_jacobian_in_the_mean() -> None:
    torch.manual_seed(0)
    flow, x = scrambled(real_nvp(4, 2, 8)), torch.randn(100, 4, dtype=torch.float64)

    def penalty(num_probes: int | None) -> Tensor:
        module = NormalizingFlowModule(flow, total_correlation_weight=1.0, num_probes=num_probes)
        value = module.terms(x)["total_correlation"]
        gradients = torch.autograd.grad(value, [p for p in flow.parameters() if p.requires_grad], allow_unused=True)
        return torch.cat([value[None], *(g.flatten() for g in gradients if g is not None)])

    draws = torch.stack([penalty(3) for _ in range(20)]).detach()
    error = draws.std(0) / len(draws) ** 0.5
    off = (draws.mean(0) - penalty(None).detach()).abs() / error.clamp(min=1e-4)  # float32 log-determinants
    assert float(off.max()) < 5  # of a hundred values or so, each standard normal if there is no bias
    assert float(off.square().mean()) < 2


def test_maximum_likelihood_costs_no_jacobian() -> None:
    module = NormalizingFlowModule(spline_flow(2))
    assert sorted(module.terms(torch.randn(4, 2))) == ["loss", "nll"]


def test_the_penalty_disentangles(make_trainer: Callable[..., L.Trainer]) -> None:
    """From the same start, maximum likelihood leaves the latents entangled and the penalty does not."""
    data = DataLoader(TensorDataset(two_moons(1024, noise=0.1, seed=0)), 256, shuffle=True)
    results = {}
    for weight in (0.0, 5.0):
        L.seed_everything(1, verbose=False)
        module = NormalizingFlowModule(real_nvp(2, 4, 32), weight, learning_rate=5e-3)
        make_trainer(max_epochs=12).fit(module, data)
        module.total_correlation_weight = 1.0  # so that the term is computed
        results[weight] = module.terms(two_moons(256, noise=0.1, seed=2))
    assert float(results[5.0]["total_correlation"]) < 0.5 * float(results[0.0]["total_correlation"])
    assert results[0.0]["nll"] < results[5.0]["nll"] + 0.1  # nothing is free


def test_classes_are_passed_to_a_conditional_flow() -> None:
    base = nf.distributions.base.ClassCondDiagGaussian(2, 3)
    network = nf.nets.MLP([1, 8, 2], init_zeros=True)
    flow = nf.ClassCondFlow(base, [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(2, mode="swap")])
    module = NormalizingFlowModule(flow, total_correlation_weight=1.0, core_reconstruction_weight=1.0)
    labels = torch.tensor([0, 2, 1, 2])
    x = torch.randn(4, 2)
    terms = module.terms(x, labels)
    expected = -flow.log_prob(x, labels).mean()
    torch.testing.assert_close(terms["nll"], expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total_correlation_weight": -1.0}, "negative"),
        ({"core_dims": 3}, "core latents"),
        ({"core_dims": []}, "core latents"),
        ({"core_dims": [-1]}, "core latents"),
        ({"num_probes": 1}, "probes"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NormalizingFlowModule(spline_flow(2), **settings)
