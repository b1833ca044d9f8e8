"""The TC-GAN's game, its complex level, and the dependence that its constraint takes from the recovered codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle.functional import ksg_mutual_information
from torchdisentangle.latent_model import Posterior
from torchdisentangle.models import TCGAN
from torchdisentangle.models.losses import permute_latents

Make = Callable[..., Any]
STD = 0.5  # of Q, where it is fixed
OPTIONS = {"retain_graph": True, "allow_unused": True}


@pytest.mark.parametrize("num_complex", [0, 3])
def test_losses_are_those_of_the_game(make: Make, images: Tensor, num_complex: int) -> None:
    """In evaluation the spectral norms stand still."""
    model = make("tcgan", num_complex=num_complex, total_correlation_weight=3.0, information_weight=0.5).eval()
    x = images[:16]
    torch.manual_seed(0)
    found = model.terms(x)
    torch.manual_seed(0)
    z = x.new_empty(16, 3).uniform_(-1, 1)
    codes = Posterior(*model.codes(model.discriminator(model.decode(z)))).sample(torch.randn(16, 2))
    joint = model.latent_discriminator(codes).softmax(1)[:, 0]
    permuted = model.latent_discriminator(permute_latents(codes)).softmax(1)[:, 0]
    torch.testing.assert_close(found["total_correlation"], (joint / (1 - joint)).log().mean())
    cross_entropy = -0.5 * (joint.log().mean() + (1 - permuted).log().mean())
    torch.testing.assert_close(found["latent_discriminator"], cross_entropy)
    of_infogan = found["generator"] + found["discriminator"] - 0.5 * found["information"]
    torch.testing.assert_close(found["loss"], of_infogan + 3 * found["total_correlation"])
    torch.testing.assert_close(model.training_loss(found), found["loss"] + cross_entropy)


def test_the_latent_discriminator_and_the_others_do_not_train_each_other(make: Make, images: Tensor) -> None:
    model = make("tcgan", num_complex=3)
    found = model.terms(images[:16])
    own = list(model.latent_discriminator.parameters())
    others = [*model.generator.parameters(), *model.discriminator.parameters()]
    assert len(own) + len(others) == len(list(model.parameters()))
    assert all(gradient is None for gradient in torch.autograd.grad(found["loss"], own, **OPTIONS))
    assert all(gradient is None for gradient in torch.autograd.grad(found["latent_discriminator"], others, **OPTIONS))
    assert all(gradient.any() for gradient in torch.autograd.grad(found["latent_discriminator"], own, **OPTIONS))
    of_generator = torch.autograd.grad(found["total_correlation"], list(model.generator.parameters()), **OPTIONS)
    assert all(gradient.any() for gradient in of_generator)  # the complex level's among them


def test_complex_latents_are_made_from_the_codes_alone(make: Make) -> None:
    model = make("tcgan", num_complex=3)
    z = torch.rand(8, 3)
    both = model.generator[0](z)
    assert torch.equal(both[:, :3], z)
    assert both.shape == (8, 6)
    other_noise = torch.cat([z[:, :2], torch.rand(8, 1)], 1)
    assert torch.equal(model.generator[0](other_noise)[:, 3:], both[:, 3:])
    assert not torch.equal(model.generator[0](z.flip(0))[:, 3:], both[:, 3:])
    assert model.latent_dim == 3  # of the latent model


def test_every_parameter_is_optimised_once(make: Make) -> None:
    model = make("tcgan", num_complex=3, latent_discriminator_learning_rate=0.25)
    groups = model.configure_optimizers().param_groups
    assert [group["lr"] for group in groups] == [1e-3, 2e-3, 0.25]
    optimised = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(optimised) == sorted(map(id, model.parameters()))


def trained(total_correlation_weight: float) -> tuple[float, float, float]:
    """Of a model of two codes in data that are one number: the information of its data about its codes, the total
    correlation of those recovered, and the highest correlation of a code with a mean that ``Q`` gives."""
    torch.manual_seed(6)
    model = TCGAN(
        (1,),
        num_codes=2,
        num_noise=0,
        total_correlation_weight=total_correlation_weight,
        latent_discriminator_hidden=[32],
        latent_discriminator_learning_rate=4e-3,
        information_weight=0.3,
        code_std=STD,
        bounded=False,
        hidden=[32],
    )
    x = 0.7 * torch.randn(2048, 1)
    optimizer = model.configure_optimizers()
    for rows in torch.randint(2048, (300, 128)):
        loss = model.training_loss(model.terms(x[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        information = model.eval().terms(torch.zeros(4096, 1))["information"].item()
        z = model.prior.sample(4096)
        posterior = Posterior(*model.codes(model.discriminator(model.decode(z))))
    recovered = posterior.sample(torch.randn_like(z))
    total_correlation = ksg_mutual_information(recovered[:, :1], recovered[:, 1:]).item()
    alignment = torch.corrcoef(torch.cat([z, posterior.mean], 1).mT)[:2, 2:].abs().max().item()
    return information, total_correlation, alignment


def test_the_constraint_makes_the_recovered_codes_independent() -> None:
    """One number can tell one of two codes, or a mixture: the information is the same, so an InfoGAN takes any mixture,
    and recovers codes that depend on each other. They are independent where it tells one."""
    mixed, told = trained(0.0), trained(2.0)
    # Of two codes of variance 1/3, a linear mixture with a unit vector leaves errors of 1/3 in total.
    best = 2 * math.log(2) - 2 * math.log(STD * math.sqrt(2 * math.pi)) - 1 / 3 / (2 * STD**2)  # 0.268
    assert mixed[0] == pytest.approx(best, abs=0.05)  # five standard errors
    assert told[0] == pytest.approx(best, abs=0.05)
    # Of their sum, recovered codes have variance 1/6 + 1/4 and covariance 1/6: correlation 0.4; Gaussians of it have
    # 0.087 nats. The estimate from 4096 rows has a standard error of about 0.01.
    assert mixed[1] > 0.05
    assert told[1] < 0.03
    assert mixed[2] < 0.9 < 0.98 < told[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total_correlation_weight": -1.0}, "total_correlation_weight must not be negative"),
        ({"num_complex": -1}, "num_complex must not be negative"),
        ({"information_weight": float("nan")}, "information_weight must not be negative"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TCGAN((4,), latent_discriminator_hidden=[4], **settings)
