"""Priors: samples, moments and entropies, and latents in their units."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.prior import Prior

LOC, SCALE = torch.tensor([[1.0, -2.0]]).double(), torch.tensor([[0.5, 3.0]]).double()
GAUSSIAN = Prior.gaussian(LOC, SCALE)
CLASSES = Prior.gaussian(torch.cat([LOC, -LOC, 2 * LOC]), torch.cat([SCALE, 2 * SCALE, SCALE]))
UNIFORM = Prior(LOC, SCALE, torch.tensor([False, True]))
PRIORS = {"Gaussian": GAUSSIAN, "classes": CLASSES, "uniform": UNIFORM}


@pytest.fixture
def posteriors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 5, 2, generator=generator, dtype=torch.float64))  # type: ignore[return-value]


def test_prior_is_reproducible_and_leaves_the_global_generator_alone() -> None:
    prior = Prior.gaussian(torch.tensor([[0.0, 5.0], [1.0, -5.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    labels = torch.arange(6) % 2
    before = torch.get_rng_state()
    first, second = (prior.sample(6, torch.Generator().manual_seed(3), labels) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ValueError, match="labels are needed"):
        prior.sample(6)


def test_prior_moments_and_entropies() -> None:
    uniform = torch.tensor([False, True])
    prior = Prior(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 3.0]]), uniform)
    z = prior.sample(100_000, torch.Generator().manual_seed(0))
    # five standard errors of a mean and of a standard deviation over 1e5 samples
    torch.testing.assert_close(z.mean(0), torch.tensor([1.0, 2.0]), atol=5 * 0.9 / 316, rtol=0)
    torch.testing.assert_close(z.std(0), torch.tensor([0.5, 3 / 12**0.5]), atol=5 * 0.9 / 447, rtol=0)
    expected = [Normal(0.0, 0.5).entropy().item(), torch.tensor(3.0).log().item()]
    torch.testing.assert_close(prior.entropies(), torch.tensor([expected]))


def test_which_priors_are_gaussian() -> None:
    assert {name: prior.is_gaussian for name, prior in PRIORS.items()} == {
        "Gaussian": True,
        "classes": False,
        "uniform": False,
    }
    assert Prior.standard_normal(3).is_gaussian


def test_moments_of_one_class() -> None:
    for prior, deviations in ((GAUSSIAN, SCALE[0]), (UNIFORM, SCALE[0] / torch.tensor([1.0, 12**0.5]).double())):
        loc, scale = prior.moments()
        torch.testing.assert_close(loc, LOC[0], atol=0, rtol=0)
        torch.testing.assert_close(scale, deviations)


def test_moments_of_a_mixture() -> None:
    """Law of total variance, by the second moments of the classes."""
    loc, scale = CLASSES.moments()
    torch.testing.assert_close(loc, CLASSES.loc.mean(0))
    second = (CLASSES.loc.square() + CLASSES.scale.square()).mean(0)
    torch.testing.assert_close(scale.square(), second - loc.square())


def test_units_of_a_gaussian_prior(posteriors: tuple[Tensor, Tensor]) -> None:
    mean, log_variance = posteriors
    scaled_mean, scaled_log_variance = GAUSSIAN.prior_units(mean, log_variance)
    assert torch.equal(scaled_mean, (mean - LOC) / SCALE)
    assert torch.equal(scaled_log_variance, log_variance - 2 * SCALE.log())
    standard = Prior.standard_normal(2).prior_units(mean, log_variance)
    assert all(map(torch.equal, standard, posteriors))


def test_divergence_from_the_prior_is_that_from_the_standard_normal(posteriors: tuple[Tensor, Tensor]) -> None:
    mean, log_variance = posteriors
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(LOC, SCALE))
    torch.testing.assert_close(gaussian_kl(*GAUSSIAN.prior_units(mean, log_variance)), expected)


@pytest.mark.parametrize("name", PRIORS)
def test_units_leave_information_alone(name: str, posteriors: tuple[Tensor, Tensor]) -> None:
    """How far posteriors are from each other does not depend on units; that is all the information there is."""

    def divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
        q = Normal(mean, (0.5 * log_variance).exp())
        return kl_divergence(q.expand((5, 5, 2)), Normal(q.loc[:, None], q.scale[:, None]))

    torch.testing.assert_close(divergences(*PRIORS[name].prior_units(*posteriors)), divergences(*posteriors))


@pytest.mark.parametrize("name", PRIORS)
def test_samples_have_unit_variance_in_the_prior_s_units(name: str) -> None:
    prior = PRIORS[name]
    labels = torch.arange(90_000) % len(prior.loc)
    z = prior.sample(90_000, torch.Generator().manual_seed(0), labels)
    z, log_variance = prior.prior_units(z, torch.zeros_like(z))
    assert z.dtype == log_variance.dtype == torch.float32
    # five standard errors over 9e4 samples, of a mean and of the standard deviation of a Gaussian
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=5 / 300, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(2), atol=5 * 0.71 / 300, rtol=0)
