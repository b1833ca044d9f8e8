"""Information at sampled latents against brute force, closed forms and identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm
from torch import Tensor

from torchdisentangle.functional import (
    LatentInformation,
    aggregate_log_sums,
    gaussian_log_density,
    latent_information,
    pairwise_information,
    separability,
)
from torchdisentangle.functional.device import CPU_SIZES, use_sizes
from torchdisentangle.functional.informativeness.separation import information_shares, mean_of_top, weighted_influence

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def posteriors(num_rows: int, num_latents: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Latents drawn one from each posterior, means, log-variances."""
    generator = torch.Generator().manual_seed(seed)
    mean, log_variance, noise = torch.randn(3, num_rows, num_latents, generator=generator).double()
    return mean + (0.5 * log_variance).exp() * noise, mean, log_variance


def information_of(z: Tensor, mean: Tensor, log_variance: Tensor) -> LatentInformation:
    sums = aggregate_log_sums(z, mean, log_variance, leave_one_out=True)
    return latent_information(gaussian_log_density(z, mean[: len(z)], log_variance[: len(z)]), sums)


@pytest.mark.parametrize("num_latents", [1, 2, 5])
def test_agreement_with_brute_force(num_latents: int) -> None:
    z, mean, log_variance = posteriors(30, num_latents)
    of_queries = information_of(z[:7], mean, log_variance)
    log_q = norm.logpdf(z[:7, None].numpy(), mean.numpy(), np.exp(0.5 * log_variance.numpy()))  # (S, N, d)

    def entropies(latents: list[int]) -> np.ndarray:
        return math.log(30) - logsumexp(log_q[:, :, latents].sum(-1), axis=1)

    def given_x(latents: list[int]) -> np.ndarray:
        return -log_q[np.arange(7), np.arange(7)][:, latents].sum(-1)

    everything = list(range(num_latents))
    np.testing.assert_allclose(of_queries.joint, entropies(everything) - given_x(everything), **EXACT)
    for i in everything:
        rest = [j for j in everything if j != i]
        np.testing.assert_allclose(of_queries.single[:, i], entropies([i]) - given_x([i]), **EXACT)
        np.testing.assert_allclose(of_queries.rest[:, i], entropies(rest) - given_x(rest), **EXACT)
        shared = entropies([i]) + entropies(rest) - entropies(everything)
        np.testing.assert_allclose(of_queries.shared[:, i], shared, **EXACT)
    pairs = pairwise_information(z[:7], mean, log_variance)
    for i in everything:
        for j in everything:
            expected = 0.0 if i == j else entropies([i]) + entropies([j]) - entropies([i, j])
            np.testing.assert_allclose(pairs[:, i, j], expected, **EXACT)


@settings(max_examples=25)
@given(st.permutations(range(5)), st.integers(0, 1000))
def test_permuted_latents_permute_the_scores(order: list[int], seed: int) -> None:
    z, mean, log_variance = posteriors(12, 5, seed)
    scores = separability(information_of(z, mean, log_variance).mean())
    permuted = separability(information_of(z[:, order], mean[:, order], log_variance[:, order]).mean())
    for name in ("sep", "sepin", "indin"):
        torch.testing.assert_close(getattr(permuted, name), getattr(scores, name)[order], **EXACT)
    for name in ("wsep", "wsepin", "windin"):
        torch.testing.assert_close(getattr(permuted, name), getattr(scores, name), **EXACT)
    pairs = pairwise_information(z, mean, log_variance)
    moved = pairwise_information(z[:, order], mean[:, order], log_variance[:, order])
    torch.testing.assert_close(moved, pairs[:, order][:, :, order], **EXACT)


@given(st.integers(2, 20), st.integers(1, 6), st.integers(0, 1000))
def test_identities_hold_for_every_query(num_rows: int, num_latents: int, seed: int) -> None:
    """SEPIN is INDIN; single information minus that of all is total correlation."""
    z, mean, log_variance = posteriors(num_rows, num_latents, seed)
    joint, single, rest, shared = information_of(z, mean, log_variance)
    torch.testing.assert_close(joint[:, None] - rest, single - shared, **EXACT)
    sums = aggregate_log_sums(z, mean, log_variance)
    total_correlation = (sums.joint - sums.weight) - (sums.marginal - sums.weight).sum(1)
    torch.testing.assert_close(single.sum(1) - joint, total_correlation, **EXACT)


def test_two_latents_share_what_the_pair_shares() -> None:
    z, mean, log_variance = posteriors(40, 2)
    shared = information_of(z, mean, log_variance).shared
    pairs = pairwise_information(z, mean, log_variance)
    torch.testing.assert_close(pairs[:, 0, 1], shared[:, 0], **EXACT)


def test_pairs_far_from_all_rows_do_not_underflow() -> None:
    """Each row is near in one latent and 60 standard deviations away in the other: exp(-1800) is no float."""
    z = torch.zeros(1, 2).double()
    mean = torch.tensor([[0.0, 60.0], [60.0, 0.0]]).double()
    value = pairwise_information(z, mean, torch.zeros(2, 2).double())[0, 0, 1].item()
    # log of (2 e^-1800 c^2 / 2) / (c / 2)^2, c the density at the mode
    assert value == pytest.approx(math.log(4) - 1800, rel=1e-12)


@pytest.mark.parametrize("scale", [-6.0, -14.0])
def test_pairs_that_underflow_in_some_blocks_or_in_all(scale: float) -> None:
    """In blocks of four rows, against SciPy's densities; values reach 1e7, with 1e-16 of them lost in differences."""
    z, mean, log_variance = posteriors(40, 3)
    log_variance = log_variance + scale
    log_q = norm.logpdf(z[:5, None].numpy(), mean.numpy(), np.exp(0.5 * log_variance.numpy()))  # (S, N, d)
    of_pairs = logsumexp(log_q[..., :, None] + log_q[..., None, :], axis=1)
    of_singles = logsumexp(log_q, axis=1)
    expected = of_pairs - of_singles[:, :, None] - of_singles[:, None, :] + math.log(40)
    expected[:, range(3), range(3)] = 0
    with use_sizes(CPU_SIZES._replace(numbers_at_once=12)):
        found = pairwise_information(z[:5], mean, log_variance)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-7)


def test_blocks_do_not_matter() -> None:
    z, mean, log_variance = posteriors(50, 3)
    whole = pairwise_information(z, mean, log_variance)
    with use_sizes(CPU_SIZES._replace(numbers_at_once=40)):
        torch.testing.assert_close(pairwise_information(z, mean, log_variance), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("log_variance", [-20.0, -60.0, -100.0, -600.0, -800.0, -1e30])
def test_posteriors_narrower_than_rounding_errors(log_variance: float) -> None:
    """Every row is a point: any latent tells which of 64 rows it was, and no more."""
    mean = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).double()
    information = information_of(mean, mean, torch.full_like(mean, log_variance)).mean()
    for value in (information.joint, *information.single, *information.rest, *information.shared):
        assert float(value) == pytest.approx(math.log(64), abs=1e-9)


def test_many_latents_meet_no_floor() -> None:
    """Floors on densities would give 4.06 nats instead of 7.94 here, and negative SEPIN (Do & Tran's own code)."""
    generator = torch.Generator().manual_seed(0)
    mean = math.sqrt(0.75) * torch.randn(3000, 20, generator=generator).double()
    log_variance = torch.full_like(mean, 2 * math.log(0.5))
    z = mean[:500] + 0.5 * torch.randn(500, 20, generator=generator)
    information = information_of(z, mean, log_variance)
    scores = separability(information.mean())
    error = information.joint.std() / math.sqrt(500)
    assert information.joint.mean() == pytest.approx(7.945, abs=4 * error.item() + 0.01)  # 0.01: other means
    assert information.joint.mean() < math.log(3000)
    assert (information.joint <= math.log(3000) + 1e-9).all()  # the bound holds for each query
    assert (scores.sepin > 0).all()
    assert scores.wsepin == pytest.approx(0.031, abs=0.01)
    torch.testing.assert_close(scores.sepin, scores.indin, **EXACT)


@pytest.mark.parametrize("log_variance", [-40.0, -100.0, -300.0])
def test_a_latent_of_very_narrow_posteriors_leaves_the_others_alone(log_variance: float) -> None:
    """All but the narrow one is the other: what is known of it must not drown in 1e9 standard deviations."""
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, 500, 2, generator=generator).double()
    width = torch.tensor([log_variance, 0.0]).double().expand_as(mean)
    z = mean + (0.5 * width).exp() * noise
    of_queries = information_of(z, mean, width)
    torch.testing.assert_close(of_queries.rest.flip(1), of_queries.single, **EXACT)
    scores = separability(of_queries.mean())
    assert float(of_queries.joint.mean()) == pytest.approx(math.log(500), abs=1e-9)
    assert float(scores.sepin.max()) < math.log(500)  # 7.41 by subtracting the latent from the joint
    assert float(scores.sep.min()) > 0  # -1.19


def test_shares_of_nothing_are_zero() -> None:
    assert information_shares(torch.tensor([-0.1, 0.0])).tolist() == [0.0, 0.0]
    nothing = LatentInformation(torch.tensor(0.0), *torch.zeros(3, 4))
    assert separability(nothing).wsepin == 0
    assert weighted_influence(*torch.zeros(2, 5, 4)).tolist() == [0.0] * 5


def test_scores_at_k() -> None:
    scores, information = torch.tensor([5.0, 1.0, 3.0]), torch.tensor([0.0, 2.0, 2.0])
    assert [mean_of_top(scores, information, k).item() for k in (1, 2, 3, 9)] == [1.0, 2.0, 3.0, 3.0]
    with pytest.raises(ValueError, match="k must be at least 1"):
        mean_of_top(scores, information, 0)
    both = mean_of_top(torch.stack([scores, 2 * scores]), information, 2)
    assert both.tolist() == [2.0, 4.0]  # of each query


@pytest.mark.parametrize("name", ["wsep", "wsepin", "windin"])
def test_influence_is_the_linearisation(name: str) -> None:
    """Its mean is the weighted score, and its deviations are the derivative with respect to each query's weight."""
    of_queries = information_of(*posteriors(25, 3))
    scores = {
        "wsep": of_queries.shared,
        "wsepin": of_queries.joint[:, None] - of_queries.rest,
        "windin": of_queries.single - of_queries.shared,
    }
    influence = weighted_influence(of_queries.single, scores[name])
    value = getattr(separability(of_queries.mean()), name)
    assert influence.mean().item() == pytest.approx(value.item(), rel=1e-12)
    weights = torch.full((25,), 1 / 25, dtype=torch.float64, requires_grad=True)

    def averaged(values: Tensor) -> Tensor:
        return torch.tensordot(weights, values, 1) / weights.sum()

    value = getattr(separability(LatentInformation(*map(averaged, of_queries))), name)
    (gradient,) = torch.autograd.grad(value, weights)
    torch.testing.assert_close(gradient, influence - influence.mean(), **EXACT)


def test_bad_input_is_refused() -> None:
    z, mean, log_variance = posteriors(4, 2)
    with pytest.raises(ValueError, match="leave_one_out=True"):
        latent_information(z, aggregate_log_sums(z, mean, log_variance))
    with pytest.raises(ValueError, match=r"log_conditional must have shape \(4, 2\), got \(3, 2\)"):
        latent_information(z[:3], aggregate_log_sums(z, mean, log_variance, leave_one_out=True))
    with pytest.raises(ValueError, match=r"queries \(S, d\) and rows"):
        pairwise_information(z, mean[:, :1], log_variance)
