"""Flows of known architectures: inverses, log-determinants, who reads whom, what volume they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchdisentangle.models import (
    LatentModel,
    as_latent_model,
    fit_prior,
    gin_flow,
    glow_flow,
    haar_scales,
    real_nvp,
    spline_flow,
    wavelet_flow,
)
from torchdisentangle.models.coupling import SubsetAffineCoupling

DIM, CLASSES = 16, 3
BUILDERS: dict[str, Callable[..., Any]] = {
    "spline": lambda **settings: spline_flow(DIM, num_blocks=2, hidden=8, **settings),
    "RealNVP": lambda **settings: real_nvp(DIM, num_blocks=2, hidden=8, **settings),
    "Glow": lambda **settings: glow_flow(DIM, num_blocks=2, hidden=8, **settings),
    "GIN": lambda **settings: gin_flow(DIM, num_blocks=3, hidden=8, **settings),
    "wavelet": lambda **settings: wavelet_flow((1, 4, 4), num_levels=1, num_blocks=3, hidden=8, **settings),
}


def scrambled(flow: nn.Module, scale: float = 0.1) -> nn.Module:
    """Weights away from their initial values, where most layers are the identity, in double precision."""
    flow = flow.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return flow


def data(count: int = 60) -> tuple[Tensor, Tensor]:
    """Correlated data of several classes, whose scales differ."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % CLASSES
    x = torch.randn(count, DIM, generator=generator, dtype=torch.float64)
    return (x.cumsum(1) * 0.3 + labels[:, None]) * torch.linspace(0.1, 1.0, DIM), labels


def built(name: str, **settings: Any) -> tuple[Any, LatentModel]:
    """A scrambled flow that has seen data, and its adapter."""
    torch.manual_seed(0)
    flow = scrambled(BUILDERS[name](**settings))
    x, labels = data()
    flow.log_prob(x, *([labels] if settings else []))
    return flow.eval().requires_grad_(False), as_latent_model(flow)


def jacobian_at(model: LatentModel, z: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda row: model.decode(row[None])[0], z)


@pytest.mark.parametrize("name", BUILDERS)
def test_flows_are_invertible_and_know_their_volume_and_density(name: str) -> None:
    flow, model = built(name, num_classes=CLASSES)
    x, labels = (rows[:3] for rows in data())
    z = model.encode(x, labels).mean
    # splines solve a quadratic equation, which costs digits; all else is exact to rounding
    close = 1e-6 if name == "spline" else 1e-11
    torch.testing.assert_close(model.decode(z, labels), x, rtol=close, atol=close)
    volume = torch.linalg.slogdet(torch.stack([jacobian_at(model, row) for row in z]))[1]
    torch.testing.assert_close(model.log_det(z), volume, rtol=1e-9, atol=1e-9)
    normal = torch.distributions.Normal(model.prior.loc[labels], model.prior.scale[labels])
    density = normal.log_prob(z).sum(1) - volume
    # normflows' splines and linear layers count their log-determinants in float32
    torch.testing.assert_close(flow.log_prob(x, labels).double(), density, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_without_classes_there_is_one_gaussian(name: str) -> None:
    flow, model = built(name)
    assert model.num_classes is None
    assert model.prior.loc.shape == (1, DIM)
    assert flow.log_prob(data()[0]).shape == (60,)
    assert isinstance(flow.q0.loc, nn.Parameter) == (name in ("GIN", "wavelet"))  # the others can make volume


def test_gin_makes_no_volume() -> None:
    flow, model = built("GIN", num_classes=CLASSES)
    z = 3 * torch.randn(4, DIM, dtype=torch.float64)
    assert torch.equal(model.log_det(z), torch.zeros(4, dtype=torch.float64))
    for row in z:
        jacobian = jacobian_at(model, row)
        assert abs(float(torch.linalg.slogdet(jacobian)[1])) < 1e-12  # rounding of 16 pivots
        assert float(jacobian.norm(dim=0).log().abs().max()) > 0.05  # though its tangent vectors differ in length
    x, _ = data(5)
    for layer in flow.flows:
        assert torch.equal(layer.inverse(x)[1], torch.zeros(5, dtype=torch.float64))


def test_every_coordinate_is_changed_by_a_pair_of_couplings() -> None:
    layers = list(gin_flow(5, num_blocks=4).flows)
    for first, second in (layers[:2], layers[2:]):
        assert sorted([*first.changed.tolist(), *second.changed.tolist()]) == list(range(5))


def test_scales_of_a_wavelet_flow_read_coarser_ones_only() -> None:
    """Its Jacobian from the coefficients' scales to the latents' is block triangular: details know what they refine."""
    flow, model = built("wavelet", num_classes=CLASSES)
    *couplings, transform = flow.flows
    coarse, fine = haar_scales((1, 4, 4), num_levels=1)
    x = data(1)[0][0]

    def latents(coefficients: Tensor) -> Tensor:
        return model.encode(transform(coefficients[None])[0]).mean[0]

    jacobian = torch.autograd.functional.jacobian(latents, transform.inverse(x[None])[0][0])
    assert float(jacobian[coarse][:, fine].abs().max()) < 1e-12  # rounding of the transform there and back
    assert float(jacobian[fine][:, coarse].abs().max()) > 1e-3
    assert len(couplings) == 6


@pytest.mark.parametrize("name", ["GIN", "wavelet", "Glow"])
def test_the_fitted_prior_is_the_likeliest(name: str) -> None:
    flow, _ = built(name, num_classes=CLASSES)
    x, labels = data()
    fit_prior(flow, x, labels)
    best = float(flow.log_prob(x, labels).mean())
    z = as_latent_model(flow).encode(x).mean
    torch.testing.assert_close(flow.q0.loc[:, 1], z[labels == 1].mean(0))
    for parameter in (flow.q0.loc, flow.q0.log_scale):
        for step in (-0.01, 0.01):
            parameter += step
            assert float(flow.log_prob(x, labels).mean()) < best
            parameter -= step


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="disjoint"):
        SubsetAffineCoupling([0, 1], [1], nn.Identity())
    with pytest.raises(ValueError, match="disjoint"):
        SubsetAffineCoupling([0], [], nn.Identity())
    with pytest.raises(ValueError, match="num_levels=3 is too many"):
        wavelet_flow((1, 8, 8), num_levels=3)
    x, labels = data()
    with pytest.raises(TypeError, match="learned means and scales"):
        fit_prior(glow_flow(DIM).double(), x)
    with pytest.raises(ValueError, match="labels are needed"):
        fit_prior(gin_flow(DIM, num_classes=CLASSES).double(), x)
    with pytest.raises(ValueError, match="two data or more"):
        fit_prior(gin_flow(DIM, num_classes=CLASSES + 1).double(), x, labels)
