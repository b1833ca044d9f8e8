"""Minibatch estimates of the aggregate posterior, and the correction by the KL divergence."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from torchdisentangle import functional as F
from torchdisentangle.functional.elbo.decomposition import adjusted_to_kl, explained_kl, regressed_on_kl
from torchdisentangle.functional.elbo.minibatch import minibatch_log_weights

GENERATOR = torch.Generator().manual_seed(0)
MEAN = torch.randn(7, 3, generator=GENERATOR).double()
LOG_VARIANCE = torch.randn(7, 3, generator=GENERATOR).double() - 1
Z = MEAN + (LOG_VARIANCE / 2).exp() * torch.randn(7, 3, generator=GENERATOR)
PRIOR = Normal(torch.zeros(3).double(), 1.0)
Estimator = Literal["mss", "mws"]


def test_gaussians_are_those_of_torch() -> None:
    posterior = Normal(MEAN, (LOG_VARIANCE / 2).exp())
    torch.testing.assert_close(F.gaussian_log_density(Z, MEAN, LOG_VARIANCE), posterior.log_prob(Z))
    torch.testing.assert_close(F.gaussian_entropy(LOG_VARIANCE), posterior.entropy())
    torch.testing.assert_close(F.gaussian_kl(MEAN, LOG_VARIANCE), kl_divergence(posterior, PRIOR))
    tiny = torch.tensor([1e-9], dtype=torch.float64)  # expm1 keeps what exp - 1 would lose: here x ** 2 / 4
    assert float(F.gaussian_kl(torch.zeros(1), tiny)) == pytest.approx(2.5e-19, rel=1e-6, abs=1e-26)


@given(st.integers(2, 40), st.integers(1, 1000))
def test_stratified_weights(batch_size: int, dataset_size: int) -> None:
    """A row's own posterior has its true weight, and the weights of each row sum to one."""
    if batch_size - 1 > dataset_size:
        with pytest.raises(ValueError, match=f"batches of 2 to {dataset_size + 1} rows"):
            minibatch_log_weights(batch_size, dataset_size, "mss")
        return
    weights = minibatch_log_weights(batch_size, dataset_size, "mss").exp()
    ones = torch.ones(batch_size, dtype=torch.float64)
    torch.testing.assert_close(weights.sum(0), ones)
    torch.testing.assert_close(weights.sum(1), ones)
    torch.testing.assert_close(weights.diagonal(), ones / dataset_size)


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_densities_by_a_loop(estimator: Estimator) -> None:
    joint, marginal = F.minibatch_log_densities(Z, MEAN, LOG_VARIANCE, 50, estimator)
    for i in range(7):
        densities = torch.stack([Normal(MEAN[j], (LOG_VARIANCE[j] / 2).exp()).log_prob(Z[i]).exp() for j in range(7)])
        weights = torch.full((7, 1), 1 / (50 * 7), dtype=torch.float64)
        if estimator == "mss":
            weights[:] = 1 / 6
            weights[i], weights[(i + 1) % 7] = 1 / 50, (50 - 6) / (50 * 6)
        torch.testing.assert_close(marginal[i].exp(), (weights * densities).sum(0))
        torch.testing.assert_close(joint[i].exp(), (weights[:, 0] * densities.prod(1)).sum())


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_terms_add_to_the_sampled_kl(estimator: Estimator) -> None:
    terms = F.minibatch_elbo_decomposition(Z, MEAN, LOG_VARIANCE, 50, estimator)
    sampled = (Normal(MEAN, (LOG_VARIANCE / 2).exp()).log_prob(Z) - PRIOR.log_prob(Z)).sum(1).mean()
    torch.testing.assert_close(sum(terms), sampled)


def test_constants_of_weighted_sampling() -> None:
    """Against log-sums without any constant: (d - 1) log(N b) in the total correlation."""
    joint, marginal = F.minibatch_log_densities(Z, MEAN, LOG_VARIANCE, 50, "mws")
    sums = F.aggregate_log_sums(Z, MEAN, LOG_VARIANCE)
    torch.testing.assert_close(joint, sums.joint - math.log(50 * 7))
    torch.testing.assert_close(marginal, sums.marginal - math.log(50 * 7))
    free = (sums.joint - sums.marginal.sum(1)).mean()
    total_correlation = F.minibatch_total_correlation(Z, MEAN, LOG_VARIANCE, 50, "mws")
    torch.testing.assert_close(total_correlation, free + 2 * math.log(50 * 7))


@pytest.mark.parametrize(("estimator", "constants"), [("mss", (0, 0, 0)), ("mws", (1, 9, -10))])
def test_collapsed_posteriors(estimator: Estimator, constants: tuple[int, ...]) -> None:
    """All posteriors are the prior: 0, and for weighted sampling log N, (d - 1) log N, -d log N whatever the batch."""
    z, zero = torch.randn(256, 10).double(), torch.zeros(256, 10).double()
    terms = F.minibatch_elbo_decomposition(z, zero, zero, 10_000, estimator)
    assert [float(term) for term in terms] == pytest.approx([k * math.log(10_000) for k in constants], abs=1e-9)


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_gradients(estimator: Estimator) -> None:
    inputs = tuple(x[:4].clone().requires_grad_() for x in (Z, MEAN, LOG_VARIANCE))
    assert torch.autograd.gradcheck(lambda *x: F.minibatch_elbo_decomposition(*x, 50, estimator), inputs)


def test_edges_of_the_batch_size() -> None:
    with pytest.raises(ValueError, match="batches of 2 to 51 rows of a data set of 50, got 1"):
        F.minibatch_total_correlation(Z[:1], MEAN[:1], LOG_VARIANCE[:1], 50)
    terms = F.minibatch_elbo_decomposition(Z[:1], MEAN[:1], LOG_VARIANCE[:1], 50, "mws")
    assert float(terms.mutual_information) == pytest.approx(math.log(50))  # a row alone is its own mixture
    assert F.minibatch_total_correlation(Z, MEAN, LOG_VARIANCE, 6).isfinite()  # one weight is zero
    with pytest.raises(ValueError, match="at least 1"):
        F.minibatch_total_correlation(Z, MEAN, LOG_VARIANCE, 0)
    with pytest.raises(ValueError, match="'mss' or 'mws'"):
        F.minibatch_total_correlation(Z, MEAN, LOG_VARIANCE, 50, "exact")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="same shape"):
        F.minibatch_total_correlation(Z, MEAN[:2], LOG_VARIANCE, 50)


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(-50, 50))
def test_the_correction_adds_up_and_leaves_constants_alone(seed: int, count: int, kl: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    terms = torch.randn(count, 3, generator=generator).double()
    terms[:, 0] = 3.0
    centred = terms - terms.mean(0)
    value, left = adjusted_to_kl(terms.mean(0), centred.mT @ centred / count, torch.tensor(kl, dtype=torch.float64))
    assert float(value.sum()) == pytest.approx(kl, abs=1e-9 * max(1.0, float(value.abs().max())))
    assert float(value[0]) == pytest.approx(3.0)
    assert float(left[0]) == pytest.approx(0.0, abs=1e-12)
    assert (left >= 0).all()


def test_the_influence_of_samples_is_that_of_leaving_each_out() -> None:
    """The closed form against regressions on all samples but one, by NumPy's least squares."""
    terms = torch.randn(12, 3, generator=torch.Generator().manual_seed(5)).double().exp()
    kl = 4.5

    def fitted(kept: Tensor) -> Tensor:
        chosen = terms[kept].numpy()
        design = np.stack([np.ones(len(chosen)), chosen.sum(1) - kl], 1)
        return torch.from_numpy(np.linalg.lstsq(design, chosen, rcond=None)[0][0])

    everyone = torch.arange(12)
    without = torch.stack([fitted(everyone[everyone != left_out]) for left_out in range(12)])
    value, influence, share = regressed_on_kl(terms, torch.tensor(kl).double())
    torch.testing.assert_close(influence, fitted(everyone) - without, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(value, 12 * fitted(everyone) - 11 * without.mean(0), rtol=1e-9, atol=1e-9)
    assert float(value.sum()) == pytest.approx(kl)
    assert float(share.sum()) == pytest.approx(1)


def test_few_samples_are_unbiased() -> None:
    """Slopes that are fitted to ten samples of a curve bias the plain regression estimate, by 0.10 here."""
    generator = torch.Generator().manual_seed(0)
    sampled = torch.randn(1000, 10, generator=generator).double()
    curved = 1 - 0.5 * sampled.square() + 0.1 * torch.randn(1000, 10, generator=generator)
    values = torch.stack(
        [
            regressed_on_kl(torch.stack([t, torch.zeros_like(t), x - t], 1), torch.zeros(()).double()).value
            for x, t in zip(sampled, curved, strict=True)
        ]
    )
    assert float(values[:, 0].mean()) == pytest.approx(
        0.5, abs=0.05
    )  # five standard errors of 1,000 with a spread of 0.3


def test_one_far_sample_says_nothing_about_its_absence() -> None:
    """A queried row of 80,000 nats of which the others' slopes know nothing: no error of thousands of nats."""
    terms = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)).double()
    terms[0, 2] = 8e4
    value, influence, _ = regressed_on_kl(terms, torch.tensor(20.0).double())
    assert value[:2].abs().max() < 0.5  # five standard errors of the others
    assert influence.square().sum(0)[:2].sqrt().max() < 0.5


def test_what_the_queries_do_not_reach_goes_to_the_last_term() -> None:
    """A row of 1,000 nats that is not queried, of 50: all of it is dimension-wise KL, and the sum is exact."""
    generator = torch.Generator().manual_seed(3)
    mean, noise = torch.randn(2, 50, 2, generator=generator).double()
    log_variance = torch.full_like(mean, -1.0)
    z = (mean + (0.5 * log_variance).exp() * noise)[:20]
    plain = F.elbo_decomposition(z, mean, log_variance)
    log_variance[-1] = 7.0
    kl = F.gaussian_kl(mean, log_variance).sum(1)
    terms = F.elbo_decomposition(z, mean, log_variance)
    assert float(sum(terms)) == pytest.approx(float(kl.mean()), rel=1e-12)
    # one row less that could be confused: (d - 1) log N / N, and of the mean that is left 1 / N
    assert float(terms.mutual_information) == pytest.approx(float(plain.mutual_information), abs=0.1)
    assert float(terms.total_correlation) == pytest.approx(float(plain.total_correlation), abs=0.1)
    posteriors, known = (mean[:-1], log_variance[:-1]), kl[:-1].mean()  # the sample lacks the row
    torch.testing.assert_close(explained_kl(*posteriors, 20, known), known)
    torch.testing.assert_close(explained_kl(*posteriors, 20, kl.mean()), known)  # the mean has it
    assert float(explained_kl(*posteriors, 20, known + 0.01)) == pytest.approx(float(known) + 0.01)


def test_the_correction_takes_noise_away() -> None:
    """Two terms that follow the sum: the corrected means spread no more than their residual variance says."""

    def means(seed: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        shared, own = torch.randn(400, 1, generator=generator), torch.randn(400, 3, generator=generator)
        terms = torch.cat([shared + 1, -0.5 * shared, 0.1 * shared], 1).double() + 0.05 * own
        centred = terms - terms.mean(0)
        value, left = adjusted_to_kl(terms.mean(0), centred.mT @ centred / 400, torch.tensor(1.0).double())
        return terms.mean(0), value, left

    plain, corrected, left = (torch.stack(x) for x in zip(*map(means, range(200)), strict=True))
    expected = (left.mean(0) / 400).sqrt()
    torch.testing.assert_close(corrected.std(0), expected, rtol=0.25, atol=0.0)  # 200 repetitions: 5 % each
    torch.testing.assert_close(corrected.mean(0), torch.tensor([1.0, 0, 0]).double(), rtol=0, atol=5e-4)
    assert (corrected.std(0)[:2] < 0.25 * plain.std(0)[:2]).all()
