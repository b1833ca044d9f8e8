"""The InfoGAN's game and its bound on the information."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchdisentangle.models import InfoGAN, as_latent_model

Make = Callable[..., Any]


def test_losses_are_those_of_the_game(make: Make, images: Tensor) -> None:
    model, x = make("infogan", code_std=1.0).eval(), images[:16]  # in evaluation the spectral norms stand still
    torch.manual_seed(0)
    found = model.terms(x)
    torch.manual_seed(0)
    z = x.new_empty(16, 3).uniform_(-1, 1)
    fake = model.discriminator(model.decode(z))
    of_real, of_fake = model.discriminator(x)[:, 0].sigmoid(), fake[:, 0].sigmoid()
    torch.testing.assert_close(found["generator"], -of_fake.log().mean())
    torch.testing.assert_close(found["discriminator"], -of_real.log().mean() - (1 - of_fake).log().mean())
    # of unit variance: half the squared error, and 1/2 log(2 pi) for each of the two codes
    error = 0.5 * (z[:, :2] - fake[:, 1:]).square().sum(1).mean() + math.log(2 * math.pi)
    torch.testing.assert_close(found["information"], 2 * math.log(2) - error)


def test_sides_touch_each_other_by_the_information_alone(make: Make, images: Tensor) -> None:
    model = make("infogan")
    found = model.terms(images[:16])
    sides = {name: list(getattr(model, name).parameters()) for name in ("generator", "discriminator")}
    assert sum(map(len, sides.values())) == len(list(model.parameters()))
    for loss, other in (("generator", "discriminator"), ("discriminator", "generator")):
        gradients = torch.autograd.grad(found[loss], sides[other], retain_graph=True, allow_unused=True)
        assert all(gradient is None or not gradient.any() for gradient in gradients)
        own = torch.autograd.grad(found[loss], sides[loss], retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in own)
    for side in sides.values():
        gradients = torch.autograd.grad(found["information"], side, retain_graph=True)
        assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_the_information_is_a_lower_bound_that_the_true_posterior_reaches() -> None:
    """Data that are a code plus Gaussian noise from the other latent: the best Q is known up to the code's bounds."""
    torch.manual_seed(0)
    model = InfoGAN((2,), num_codes=1, num_noise=1, bounded=False)
    model.generator, model.discriminator = nn.Identity(), Reader(std=0.1)
    noisy = model.terms(torch.zeros(50_000, 2))["information"].item()
    # The code is read without error and Q is a Gaussian of deviation 0.1: log Q = -log(0.1 sqrt(2 pi)).
    assert noisy == pytest.approx(math.log(2) - math.log(0.1 * math.sqrt(2 * math.pi)), abs=1e-4)


class Reader(nn.Module):
    """A discriminator whose Q reads the code off the data."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.log_variance = 2 * math.log(std)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), x[:, 0], torch.full((len(x),), self.log_variance)], dim=1)


def test_prior_and_posterior_of_the_noise(make: Make, images: Tensor) -> None:
    latent = as_latent_model(make("infogan"))
    z = latent.prior.sample(20_000, torch.Generator().manual_seed(0))
    assert -1 <= z.min() <= z.max() <= 1
    posterior = latent.encode(images[:4])
    assert posterior.log_variance is not None
    # of the noise nothing is known: mean and variance of the prior, each within five standard errors
    assert torch.equal(posterior.mean[:, 2], torch.zeros(4))
    assert posterior.log_variance[0, 2].exp().item() == pytest.approx(z[:, 2].var().item(), abs=5 * 0.3 / 20_000**0.5)


def test_optimizer_has_the_constants_of_the_paper(make: Make) -> None:
    generator, discriminator = make("infogan").configure_optimizers().param_groups
    assert (generator["lr"], discriminator["lr"]) == (1e-3, 2e-3)
    assert generator["betas"] == discriminator["betas"] == (0.5, 0.999)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"num_codes": 0}, "num_codes"), ({"code_std": 0.0}, "code_std"), ({"information_weight": -1.0}, "negative")],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InfoGAN((4,), **settings)
