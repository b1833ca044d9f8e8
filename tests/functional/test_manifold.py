"""Manifold entropic metrics against closed forms, invariances and inequalities."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import NORMAL_ENTROPY, assert_close, on_devices, random_jacobian, random_orthogonal
from torchdisentangle.functional import (
    decoder_jacobian,
    effective_dimension,
    entropic_decomposition,
    gram_matrix,
    manifold_cross_pairwise_mutual_information,
    manifold_entropy,
    manifold_entropy_spectrum,
    manifold_mutual_information,
    manifold_pairwise_mutual_information,
    manifold_total_correlation,
)

seeds = st.integers(0, 2**16)
latent_dims = st.integers(2, 6)


# Linear decoders


def linear_decoder(device: str) -> tuple[Tensor, Tensor]:
    """A matrix ``A``, and the Gram matrices of ``z -> A z``, computed on a device."""
    matrix = random_jacobian(1, 8, 4)[0]
    z = random_jacobian(1, 6, 4, seed=1)[0].to(device)
    return matrix, gram_matrix(decoder_jacobian(lambda z: z @ matrix.T.to(device), z))


@on_devices
def test_spectrum_of_a_linear_decoder(device: str) -> None:
    matrix, gram = linear_decoder(device)
    assert_close(manifold_entropy_spectrum(gram), NORMAL_ENTROPY + matrix.norm(dim=0).log())


@on_devices
def test_entropy_of_a_linear_decoder_is_that_of_its_gaussian(device: str) -> None:
    matrix, gram = linear_decoder(device)
    gaussian = torch.distributions.MultivariateNormal(torch.zeros(4).double(), matrix.T @ matrix)
    assert_close(manifold_entropy(gram), gaussian.entropy())
    for part in ([1], [0, 2], [1, 2, 3]):
        marginal = torch.distributions.MultivariateNormal(
            torch.zeros(len(part)).double(), matrix[:, part].T @ matrix[:, part]
        )
        assert_close(manifold_entropy(gram, part), marginal.entropy())


@on_devices
def test_total_correlation_of_a_linear_decoder(device: str) -> None:
    matrix, gram = linear_decoder(device)
    expected = matrix.norm(dim=0).log().sum() - 0.5 * torch.linalg.slogdet(matrix.T @ matrix)[1]
    assert_close(manifold_total_correlation(gram), expected)


@on_devices
def test_pairwise_information_of_a_linear_decoder(device: str) -> None:
    matrix, gram = linear_decoder(device)
    mpmi = manifold_pairwise_mutual_information(gram)
    for i in range(4):
        for j in range(4):
            cosine = torch.nn.functional.cosine_similarity(matrix[:, i], matrix[:, j], dim=0).item()
            expected = 0.0 if i == j else -0.5 * math.log1p(-(cosine**2))
            assert mpmi[i, j].item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


# Orthogonal and principal-component decoders


@on_devices
@given(seed=seeds, dim=latent_dims)
def test_orthogonal_columns_share_nothing(seed: int, dim: int, device: str) -> None:
    columns = random_orthogonal(dim, seed) * torch.logspace(-2, 2, dim, dtype=torch.float64)
    gram = gram_matrix(columns[None].to(device))
    assert_close(manifold_total_correlation(gram), 0.0)
    assert_close(manifold_pairwise_mutual_information(gram), torch.zeros(dim, dim))


@on_devices
def test_principal_components_have_their_log_standard_deviation_as_entropy(device: str) -> None:
    data = random_jacobian(1, 500, 6)[0] @ random_jacobian(1, 6, 6, seed=1)[0]
    variances, components = torch.linalg.eigh(data.T.cov())
    decoder = components * variances.sqrt()
    z = random_jacobian(1, 3, 6, seed=2)[0].to(device)
    gram = gram_matrix(decoder_jacobian(lambda z: z @ decoder.T.to(device), z))
    assert_close(manifold_entropy_spectrum(gram), 0.5 * variances.log() + NORMAL_ENTROPY)
    assert_close(manifold_total_correlation(gram), 0.0)


# The polar map


@on_devices
def test_the_polar_map_is_orthogonal_everywhere(device: str) -> None:
    def polar(z: Tensor) -> Tensor:
        angle, radius = z.unbind(1)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

    generator = torch.Generator().manual_seed(0)
    z = torch.rand(100, 2, generator=generator, dtype=torch.float64) + 0.5
    gram = gram_matrix(decoder_jacobian(polar, z.to(device)))
    mean_log_radius = z[:, 1].log().mean()
    assert_close(manifold_entropy_spectrum(gram), NORMAL_ENTROPY + torch.tensor([1.0, 0.0]).double() * mean_log_radius)
    assert_close(manifold_pairwise_mutual_information(gram), torch.zeros(2, 2))
    assert_close(manifold_entropy(gram), 2 * NORMAL_ENTROPY + mean_log_radius)


# Invariances


@given(seed=seeds, dim=latent_dims, log_scales=st.lists(st.floats(-6, 6), min_size=6, max_size=6))
def test_rescaled_latents(seed: int, dim: int, log_scales: list[float]) -> None:
    jacobian = random_jacobian(latent_dim=dim, seed=seed)
    log_scale = torch.tensor(log_scales[:dim], dtype=torch.float64) * math.log(10)
    gram, rescaled = gram_matrix(jacobian), gram_matrix(jacobian * log_scale.exp())
    assert_close(manifold_total_correlation(rescaled), manifold_total_correlation(gram))
    assert_close(manifold_pairwise_mutual_information(rescaled), manifold_pairwise_mutual_information(gram))
    assert_close(manifold_entropy_spectrum(rescaled), manifold_entropy_spectrum(gram) + log_scale)
    assert_close(manifold_entropy(rescaled), manifold_entropy(gram) + log_scale.sum())


@given(seed=seeds, dim=latent_dims, log_scale=st.floats(-6, 6))
def test_isometries_and_zooms_of_the_data(seed: int, dim: int, log_scale: float) -> None:
    jacobian = random_jacobian(latent_dim=dim, seed=seed)
    moved = 10**log_scale * random_orthogonal(8, seed + 1) @ jacobian
    gram, moved = gram_matrix(jacobian), gram_matrix(moved)
    gain = log_scale * math.log(10)
    assert_close(manifold_total_correlation(moved), manifold_total_correlation(gram))
    assert_close(manifold_pairwise_mutual_information(moved), manifold_pairwise_mutual_information(gram))
    assert_close(manifold_entropy_spectrum(moved), manifold_entropy_spectrum(gram) + gain)
    assert_close(manifold_entropy(moved), manifold_entropy(gram) + dim * gain)


@given(seed=seeds, order=st.permutations(range(4)))
def test_permuted_latents(seed: int, order: list[int]) -> None:
    jacobian = random_jacobian(seed=seed)
    gram, permuted = gram_matrix(jacobian), gram_matrix(jacobian[..., order])
    assert_close(manifold_entropy_spectrum(permuted), manifold_entropy_spectrum(gram)[order])
    assert_close(
        manifold_pairwise_mutual_information(permuted), manifold_pairwise_mutual_information(gram)[order][:, order]
    )
    assert_close(manifold_total_correlation(permuted), manifold_total_correlation(gram))
    assert_close(manifold_entropy(permuted), manifold_entropy(gram))


@given(seed=seeds, dim=latent_dims)
def test_rotated_latents_keep_the_entropy_of_the_whole(seed: int, dim: int) -> None:
    jacobian = random_jacobian(latent_dim=dim, seed=seed)
    gram, rotated = gram_matrix(jacobian), gram_matrix(jacobian @ random_orthogonal(dim, seed + 1))
    assert_close(manifold_entropy(rotated), manifold_entropy(gram))


def test_rotated_latents_do_not_keep_the_spectrum() -> None:
    half_turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)  # by 45 degrees
    jacobian = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))[None]
    gram = gram_matrix(jacobian @ half_turn)
    assert_close(manifold_entropy_spectrum(gram), NORMAL_ENTROPY + 0.5 * torch.full((2,), 5.0).double().log())
    assert_close(manifold_total_correlation(gram), math.log(5 / 3))


def test_prior_entropies_shift_the_entropies_alone() -> None:
    gram = gram_matrix(random_jacobian())
    prior = torch.tensor([0.0, 1.0, -2.0, 3.5])
    assert_close(
        manifold_entropy_spectrum(gram, prior), manifold_entropy_spectrum(gram) - NORMAL_ENTROPY + prior.double()
    )
    assert_close(manifold_entropy(gram, [1, 3], prior), manifold_entropy(gram, [1, 3]) - 2 * NORMAL_ENTROPY + 4.5)
    assert_close(manifold_entropy(gram, None, 2.0), manifold_entropy(gram) + 4 * (2.0 - NORMAL_ENTROPY))


def test_a_wider_prior_is_a_scaled_column() -> None:
    jacobian, scale = random_jacobian(), torch.tensor([0.1, 1.0, 2.0, 5.0], dtype=torch.float64)
    assert_close(
        manifold_entropy_spectrum(gram_matrix(jacobian), NORMAL_ENTROPY + scale.log()),
        manifold_entropy_spectrum(gram_matrix(jacobian * scale)),
    )


def test_every_quantity_is_the_mean_of_the_samples() -> None:
    gram = gram_matrix(random_jacobian())
    for quantity in (manifold_entropy_spectrum, manifold_entropy, manifold_total_correlation):
        assert_close(quantity(gram), torch.stack([quantity(sample[None]) for sample in gram]).mean(0))


# Inequalities


@given(seed=seeds, dim=latent_dims, data_dim=st.integers(1, 8))
def test_total_correlation_is_at_least_the_largest_pair(seed: int, dim: int, data_dim: int) -> None:
    gram = gram_matrix(random_jacobian(data_dim=data_dim, latent_dim=dim, seed=seed))
    mpmi = manifold_pairwise_mutual_information(gram)
    assert mpmi.min() >= 0
    assert manifold_total_correlation(gram) >= mpmi.max() - 1e-10  # rounding of a sum of logarithms


@given(seed=seeds)
def test_in_two_dimensions_all_informations_are_one(seed: int) -> None:
    gram = gram_matrix(random_jacobian(latent_dim=2, seed=seed))
    total_correlation = manifold_total_correlation(gram)
    assert_close(manifold_pairwise_mutual_information(gram)[0, 1], total_correlation)
    assert_close(manifold_mutual_information(gram, [0], [1]), total_correlation)


@given(seed=seeds)
def test_finer_partitions_have_more_total_correlation(seed: int) -> None:
    gram = gram_matrix(random_jacobian(seed=seed))
    chain = [[[0, 1, 2, 3]], [[0, 3], [1, 2]], [[0, 3], [1], [2]], None]
    values = [manifold_total_correlation(gram, partition).item() for partition in chain]
    assert values[0] == pytest.approx(0, abs=1e-12)
    assert values == sorted(values)


# Gradients


@pytest.mark.parametrize(
    "function",
    [
        manifold_entropy_spectrum,
        manifold_entropy,
        manifold_total_correlation,
        manifold_pairwise_mutual_information,
        lambda gram: manifold_entropy(gram, [0, 2]),
        lambda gram: manifold_mutual_information(gram, [0], [1, 2]),
        lambda gram: manifold_total_correlation(gram, [[0, 2], [1]]),
        lambda gram: tuple(entropic_decomposition(gram, [[0, 2], [1]])),
        lambda gram: effective_dimension(manifold_entropy_spectrum(gram)),
    ],
)
def test_gradients_are_right(function: Callable[[Tensor], Tensor]) -> None:
    jacobian = random_jacobian(n=2, latent_dim=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda jacobian: function(gram_matrix(jacobian)), jacobian)


def test_gradients_across_models_are_right() -> None:
    inputs = [random_jacobian(2, 5, 3).requires_grad_(), random_jacobian(2, 5, 2, seed=1).requires_grad_()]
    assert torch.autograd.gradcheck(manifold_cross_pairwise_mutual_information, inputs)


def test_descending_the_total_correlation_makes_columns_orthogonal() -> None:
    jacobian = random_jacobian(n=1, latent_dim=3).requires_grad_()
    optimizer = torch.optim.Adam([jacobian], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss = manifold_total_correlation(gram_matrix(jacobian))
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3  # from 0.2 to 0.4; the minimum of 0 is quadratic, so a thousandth is a cosine below 0.05
