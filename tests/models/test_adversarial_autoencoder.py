"""The adversarial autoencoder's game, and the prior that its codes are driven to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle.models import AdversarialAutoencoder, as_latent_model

Make = Callable[..., Any]


@pytest.mark.parametrize("posterior", ["deterministic", "gaussian"])
def test_losses_are_those_of_the_game(make: Make, images: Tensor, posterior: str) -> None:
    model, x = make("adversarial_autoencoder", posterior=posterior, adversarial_weight=3.0), images[:16]
    torch.manual_seed(0)
    found = model.terms(x)
    torch.manual_seed(0)
    noise, prior = torch.randn(16, 3), torch.randn(16, 3)
    mean, log_variance = model.encode(x)
    z = mean if posterior == "deterministic" else mean + (0.5 * log_variance).exp() * noise
    of_codes, of_prior = model.discriminator(z).sigmoid(), model.discriminator(prior).sigmoid()
    torch.testing.assert_close(found["adversarial"], -of_codes.log().mean())
    torch.testing.assert_close(found["discriminator"], -of_prior.log().mean() - (1 - of_codes).log().mean())
    torch.testing.assert_close(found["reconstruction"], model.reconstruction(x, z).mean())
    torch.testing.assert_close(found["loss"], found["reconstruction"] + 3 * found["adversarial"])


def test_no_side_trains_the_other(make: Make, images: Tensor) -> None:
    model = make("adversarial_autoencoder")
    found = model.terms(images[:16])
    autoencoder = [*model.encoder.parameters(), *model.decoder.parameters()]
    discriminator = list(model.discriminator.parameters())
    options = {"retain_graph": True, "allow_unused": True}
    assert all(gradient is None for gradient in torch.autograd.grad(found["loss"], discriminator, **options))
    assert all(gradient is None for gradient in torch.autograd.grad(found["discriminator"], autoencoder, **options))
    assert all(gradient.any() for gradient in torch.autograd.grad(found["loss"], autoencoder, retain_graph=True))
    assert all(gradient.any() for gradient in torch.autograd.grad(found["discriminator"], discriminator))


def test_a_deterministic_encoder_is_a_latent_model(images: Tensor) -> None:
    latent = as_latent_model(AdversarialAutoencoder((1, 16, 16), 3, discriminator_hidden=[8], hidden=[8]))
    assert latent.encode(images[:5]).log_variance is None
    assert latent.encode(images[:5]).mean.shape == (5, 3)
    assert latent.decode(torch.zeros(5, 3)).shape == (5, 1, 16, 16)
    mean, deviation = latent.prior.moments()
    assert mean.tolist() == [0.0, 0.0, 0.0]
    assert deviation.tolist() == [1.0, 1.0, 1.0]


def test_codes_come_to_have_the_moments_of_the_prior() -> None:
    """Data on a line have mean 5 and deviation 3; codes of an autoencoder alone are hardly other than the data."""
    settings: dict[str, Any] = {"discriminator_hidden": [32], "hidden": [32], "likelihood": "gaussian"}
    for weight, lowest, highest in ((0.0, 2.0, 10.0), (5.0, 0.0, 0.5)):
        torch.manual_seed(0)
        model = AdversarialAutoencoder(
            (1,), 1, adversarial_weight=weight, learning_rate=2e-3, discriminator_learning_rate=4e-3, **settings
        )
        x = 5 + 3 * torch.randn(1024, 1)
        optimizer = model.configure_optimizers()
        for rows in torch.randint(1024, (300, 128)):
            loss = model.training_loss(model.terms(x[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        codes = model.encode(x).mean.detach()
        assert lowest < max(codes.mean().abs(), (codes.std() - 1).abs()) < highest


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"posterior": "uniform"}, "posterior must be"), ({"adversarial_weight": -1.0}, "negative")],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdversarialAutoencoder((4,), **settings)
