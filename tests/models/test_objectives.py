"""What each variant of the VAE minimises, against its definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.elbo.minibatch import minibatch_total_correlation
from torchdisentangle.models import DIPVAE, VAE, AnnealedVAE, BetaTCVAE, BetaVAE, FactorVAE

Make = Callable[..., Any]


def terms(model: VAE, x: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """With the same noise for every model."""
    torch.manual_seed(seed)
    return model.terms(x)


def twin(make: Make, model: VAE) -> VAE:
    """A plain VAE with the same encoder and decoder."""
    plain = make("vae")
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("discriminator")})
    return plain


def gradients(model: VAE, loss: Tensor) -> dict[str, Tensor]:
    named = {name: p for name, p in model.named_parameters() if not name.startswith("discriminator")}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_elbo_is_that_of_torchs_distributions(make: Make, images: Tensor, likelihood: str) -> None:
    model, x = make("vae", likelihood=likelihood).double(), images[:20].double()
    found = terms(model, x)
    torch.manual_seed(0)
    mean, log_variance = model.encode(x)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    z = posterior.rsample()
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    decoded = model.decode(z)
    if likelihood == "bernoulli":
        log_likelihood = Bernoulli(decoded, validate_args=False).log_prob(x)
    else:
        log_likelihood = Normal(decoded, 1.0).log_prob(x) + 0.5 * math.log(2 * math.pi)
    reconstruction, kl = -log_likelihood.flatten(1).sum(1).mean(), kl_divergence(posterior, prior).mean()
    torch.testing.assert_close(found["reconstruction"], reconstruction)
    torch.testing.assert_close(found["kl"], kl)
    torch.testing.assert_close(found["loss"], reconstruction + kl)


def test_kl_of_one_known_gaussian(images: Tensor) -> None:
    class Known(VAE):
        def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.ones(len(x), 2), torch.full((len(x), 2), math.log(0.25))

    assert float(Known(images.shape[1:], 2).terms(images)["kl"]) == pytest.approx(2 * 0.818147, abs=1e-5)


def test_beta_weighs_the_divergence(make: Make, images: Tensor) -> None:
    model = make("beta_vae", beta=4.0)
    found = terms(model, images)
    torch.testing.assert_close(found["loss"], found["reconstruction"] + 4 * found["kl"])


@pytest.mark.parametrize("step", [0, 10, 50, 1000])
def test_annealed_capacity_pulls_the_divergence_from_both_sides(make: Make, images: Tensor, step: int) -> None:
    model = make("annealed_vae", gamma=100.0, max_capacity=2.0)
    model.step.fill_(step)
    capacity = min(2.0 * step / 50, 2.0)
    for scale in (300.0, 0.0):  # posteriors far from the prior, and near it
        with torch.no_grad():
            model.encoder[-1][-1].weight.mul_(scale)
        found = terms(model, images)
        assert float(found["capacity"]) == pytest.approx(capacity)
        wanted = found["reconstruction"] + 100 * (found["kl"] - capacity).abs()
        torch.testing.assert_close(found["loss"], wanted)
        (gradient,) = torch.autograd.grad(found["loss"], found["kl"])
        assert float(gradient) == 100 * (1 if scale or step == 0 else -1)


@pytest.mark.parametrize(("version", "ratio"), [("i", 10), ("ii", 1)])
def test_dip_penalties_are_numpys(make: Make, images: Tensor, version: Any, ratio: int) -> None:
    model = make("dip_vae_i", version=version, off_diagonal_weight=3.0).double()
    found = terms(model, images.double())
    mean, log_variance = (value.detach().numpy() for value in model.encode(images.double()))
    covariance = np.cov(mean.T, bias=True) + (version == "ii") * np.diag(np.exp(log_variance).mean(0))
    off_diagonal = (covariance[~np.eye(3, dtype=bool)] ** 2).sum()
    diagonal = ((np.diag(covariance) - 1) ** 2).sum()
    wanted = found["reconstruction"] + found["kl"] + 3 * off_diagonal + 3 * ratio * diagonal
    assert found["loss"].item() == pytest.approx(wanted.item(), rel=1e-10)


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_unweighted_parts_add_to_the_sampled_divergence(make: Make, images: Tensor, estimator: str) -> None:
    model = make("beta_tcvae", alpha=1.0, beta=1.0, gamma=1.0, estimator=estimator)
    found = terms(model, images[:32])
    torch.manual_seed(0)
    mean, log_variance = model.encode(images[:32])
    z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    zero = torch.zeros_like(z)
    sampled = (gaussian_log_density(z, mean, log_variance) - gaussian_log_density(z, zero, zero)).sum(1).mean()
    torch.testing.assert_close(found["loss"], found["reconstruction"] + sampled, rtol=1e-5, atol=1e-4)


def test_unweighted_tcvae_is_the_vae_in_expectation_with_the_exact_aggregate(make: Make, images: Tensor) -> None:
    # With a batch of all data weighted sampling is the aggregate posterior itself.
    model = make("beta_tcvae", beta=1.0, estimator="mws")
    plain, x = twin(make, model), images[:64]
    with torch.no_grad():
        parts = torch.stack([terms(model, x, seed)["loss"] - terms(plain, x, seed)["loss"] for seed in range(300)])
    # The rest is noise of mean zero, the sampled divergence less the analytic one; five standard errors.
    assert abs(float(parts.mean())) < 5 * float(parts.std()) / math.sqrt(300)
    assert float(parts.std()) > 0


def test_beta_of_the_tcvae_weighs_the_total_correlation_alone(make: Make, images: Tensor) -> None:
    strong, weak = make("beta_tcvae", beta=6.0), make("beta_tcvae", beta=1.0)
    difference = terms(strong, images)["loss"] - terms(weak, images)["loss"]
    torch.testing.assert_close(difference, 5 * terms(weak, images)["total_correlation"], rtol=1e-3, atol=1e-3)


def test_weighted_sampling_has_the_gradient_of_the_papers_without_its_constant(make: Make) -> None:
    model = make("beta_tcvae", estimator="mws")
    torch.manual_seed(0)
    z, mean, log_variance = (torch.randn(16, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    ours = model.parts(z, mean, log_variance).total_correlation
    papers = minibatch_total_correlation(z, mean, log_variance, 5000, "mws")
    assert papers.item() - ours.item() == pytest.approx(2 * math.log(5000))  # (d - 1) log N
    for found, wanted in zip(*(torch.autograd.grad(tc, (z, mean)) for tc in (ours, papers)), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_a_ragged_batch_of_one_row_has_a_loss(make: Make, images: Tensor, estimator: str) -> None:
    found = terms(make("beta_tcvae", estimator=estimator), images[:1])
    assert found["loss"].isfinite()
    assert found["mutual_information"].item() == pytest.approx(0, abs=1e-5)
    assert found["total_correlation"].item() == pytest.approx(0, abs=1e-5)


def test_factor_vae_without_weight_is_the_vae(make: Make, images: Tensor) -> None:
    model = make("factor_vae", gamma=0.0)
    plain = twin(make, model)
    found, wanted = terms(model, images), terms(plain, images)
    torch.testing.assert_close(found["loss"], wanted["loss"])
    ours, theirs = gradients(model, model.training_loss(found)), gradients(plain, wanted["loss"])
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, msg=name)


def test_factor_vaes_sides_do_not_touch_each_other(make: Make, images: Tensor) -> None:
    model = make("factor_vae")
    found = terms(model, images)
    adversary = list(model.discriminator.parameters())
    autoencoder = [*model.encoder.parameters(), *model.decoder.parameters()]
    assert len(adversary) + len(autoencoder) == len(list(model.parameters()))
    for loss, untouched, touched in (("loss", adversary, autoencoder), ("discriminator", autoencoder, adversary)):
        of_others = torch.autograd.grad(found[loss], untouched, retain_graph=True, allow_unused=True)
        assert all(gradient is None for gradient in of_others)
        of_own = torch.autograd.grad(found[loss], touched, retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in of_own)


def test_factor_vaes_optimizer_gives_each_side_its_own_settings(make: Make) -> None:
    model = make("factor_vae", learning_rate=3e-3, discriminator_learning_rate=2e-4)
    autoencoder, discriminator = model.configure_optimizers().param_groups
    assert (autoencoder["lr"], autoencoder["betas"]) == (3e-3, (0.9, 0.999))
    assert (discriminator["lr"], discriminator["betas"]) == (2e-4, (0.5, 0.9))
    found = {id(p) for group in (autoencoder, discriminator) for p in group["params"]}
    assert found == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_discriminator_learns_the_total_correlation_of_a_gaussian(correlation: float) -> None:
    torch.manual_seed(0)
    model = FactorVAE((1,), 2, discriminator_hidden=[64, 64])
    optimizer = torch.optim.Adam(model.discriminator.parameters(), lr=3e-3, betas=(0.5, 0.9))
    root = torch.linalg.cholesky(torch.tensor([[1.0, correlation], [correlation, 1.0]]))
    zero = torch.zeros(())

    def look(num_samples: int) -> dict[str, Tensor]:
        z = torch.randn(num_samples, 2) @ root.T
        return model.objective(zero, zero, z, z, z)

    for _ in range(400):
        optimizer.zero_grad()
        look(1024)["discriminator"].backward()
        optimizer.step()
    with torch.no_grad():
        estimate = float(look(50_000)["total_correlation"])
    # A network this small and briefly trained stays within a few hundredths of a nat of the optimal one.
    assert estimate == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=0.05)


@pytest.mark.parametrize(
    ("build", "settings", "message"),
    [
        (BetaVAE, {"beta": -1.0}, "beta must not be negative, got -1.0"),
        (VAE, {"likelihood": "poisson"}, "likelihood"),
        (AnnealedVAE, {"capacity_steps": 0}, "at least 1, got 0"),
        (AnnealedVAE, {"max_capacity": -1.0}, "max_capacity"),
        (DIPVAE, {"version": "iii"}, "version"),
        (DIPVAE, {"off_diagonal_weight": -1.0}, "off_diagonal_weight"),
        (FactorVAE, {"gamma": float("nan")}, "gamma"),
        (BetaTCVAE, {"estimator": "mss"}, "dataset_size, got None"),
        (BetaTCVAE, {"estimator": "mss", "dataset_size": 0}, "dataset_size, got 0"),
        (BetaTCVAE, {"estimator": "mst"}, "'mst'"),
        (BetaTCVAE, {"alpha": -1.0}, "alpha"),
    ],
)
def test_wrong_settings_are_refused(build: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build((4,), **settings)
