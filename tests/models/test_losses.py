"""The objectives' formulas against NumPy, closed forms and the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from torchdisentangle.models.losses import (
    density_ratio,
    joint_or_permuted_loss,
    latent_covariance,
    linear_capacity,
    permute_latents,
    squared_covariance_errors,
)


def test_capacity_is_a_line_and_then_a_plateau() -> None:
    steps = np.array([0, 1, 250, 999, 1000, 5000])
    wanted = np.interp(steps, [0, 1000], [0, 25])
    np.testing.assert_allclose(linear_capacity(torch.tensor(steps), 1000, 25.0).numpy(), wanted, rtol=1e-6)  # float32


def test_covariance_and_its_errors_are_numpys() -> None:
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(40, 5)), rng.normal(size=(40, 5))
    of_means = np.cov(mean.T, bias=True)
    of_samples = of_means + np.diag(np.exp(log_variance).mean(0))
    for covariance, wanted in (
        (latent_covariance(torch.tensor(mean)), of_means),
        (latent_covariance(torch.tensor(mean), torch.tensor(log_variance)), of_samples),
    ):
        np.testing.assert_allclose(covariance.numpy(), wanted, rtol=1e-12)
        off_diagonal, diagonal = squared_covariance_errors(covariance)
        off = wanted[~np.eye(5, dtype=bool)]
        assert float(off_diagonal) == pytest.approx((off**2).sum())
        assert float(diagonal) == pytest.approx(((np.diag(wanted) - 1) ** 2).sum())


def test_covariance_of_samples_is_that_of_many_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(50, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    z = mean + (0.5 * log_variance).exp() * torch.randn(4000, 50, 3, generator=generator, dtype=torch.float64)
    # 200,000 samples, of standard deviations up to 3: a covariance is off by about 9 / sqrt(200,000) = 0.02.
    wanted = latent_covariance(z.reshape(-1, 3))
    torch.testing.assert_close(latent_covariance(mean, log_variance), wanted, rtol=0, atol=0.1)


def test_permuted_latents_keep_their_values_and_lose_their_dependence() -> None:
    torch.manual_seed(0)
    z = torch.randn(5000, 1).repeat(1, 3) + 0.1 * torch.randn(5000, 3)
    permuted = permute_latents(z)
    assert torch.equal(permuted.sort(0).values, z.sort(0).values)
    # Correlations of independent columns have standard error 1 / sqrt(5000) = 0.014.
    torch.testing.assert_close(torch.corrcoef(permuted.T), torch.eye(3), rtol=0, atol=0.07)


def test_discriminator_loss_is_the_halved_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    joint, permuted = (torch.randn(20, 2, generator=generator) for _ in range(2))
    classes = torch.tensor([0] * 20 + [1] * 20)
    wanted = torch.nn.functional.cross_entropy(torch.cat([joint, permuted]), classes)
    torch.testing.assert_close(joint_or_permuted_loss(joint, permuted), wanted)


def test_the_optimal_density_ratio_averages_to_the_total_correlation() -> None:
    correlation = 0.8
    covariance = torch.tensor([[1, correlation], [correlation, 1]], dtype=torch.float64)
    q = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), covariance)
    torch.manual_seed(0)
    z = q.sample((200_000,))
    product = torch.distributions.Normal(0, 1).log_prob(z).sum(1)
    ratio = density_ratio(torch.stack([q.log_prob(z), product], dim=1))
    # five standard errors of a mean
    error = 5 * float(ratio.std()) / math.sqrt(len(z))
    assert float(ratio.mean()) == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=error)
