"""Manifold entropic metrics against closed forms, invariances and plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchdisentangle.functional import (
    active_latents,
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
    match_latents,
)
from torchdisentangle.functional.gram import DEAD_NORM, MAX_PAIRWISE

NORMAL_ENTROPY = 1.4189385332046727  # (1 + log 2 pi) / 2
DEAD_ENTROPY = NORMAL_ENTROPY + math.log(DEAD_NORM)

# Means over a few samples of logarithms of Gram matrices with condition numbers of at most some thousands: each
# entry carries about 2^-53, which the inverse inside a determinant amplifies by the condition number.
ROUNDING: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}

seeds = st.integers(0, 2**16)
latent_dims = st.integers(2, 6)


def random_jacobian(n: int = 5, data_dim: int = 8, latent_dim: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, data_dim, latent_dim, generator=generator, dtype=torch.float64)


def random_orthogonal(dim: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(random_jacobian(1, dim, dim, seed)[0])[0]


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """Every way of cutting ``items`` into non-empty parts."""
    if not items:
        yield []
        return
    first, *rest = items
    for smaller in partitions(rest):
        yield [[first], *smaller]
        for i, part in enumerate(smaller):
            yield [*smaller[:i], [first, *part], *smaller[i + 1 :]]


ALL_PARTITIONS = list(partitions([0, 1, 2, 3]))


def assert_close(actual: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=torch.float64), **ROUNDING)


# 1. Linear decoders


def linear_decoder(seed: int = 0) -> tuple[Tensor, Tensor]:
    """A matrix ``A``, and the Gram matrices of ``z -> A z``."""
    matrix = random_jacobian(1, 8, 4, seed)[0]
    z = random_jacobian(1, 6, 4, seed + 1)[0]
    return matrix, gram_matrix(decoder_jacobian(lambda z: z @ matrix.T, z))


def test_spectrum_of_a_linear_decoder() -> None:
    matrix, gram = linear_decoder()
    assert_close(manifold_entropy_spectrum(gram), NORMAL_ENTROPY + matrix.norm(dim=0).log())


def test_entropy_of_a_linear_decoder_is_that_of_its_gaussian() -> None:
    matrix, gram = linear_decoder()
    gaussian = torch.distributions.MultivariateNormal(torch.zeros(4).double(), matrix.T @ matrix)
    assert_close(manifold_entropy(gram), gaussian.entropy())
    for part in ([1], [0, 2], [1, 2, 3]):
        marginal = torch.distributions.MultivariateNormal(
            torch.zeros(len(part)).double(), matrix[:, part].T @ matrix[:, part]
        )
        assert_close(manifold_entropy(gram, part), marginal.entropy())


def test_total_correlation_of_a_linear_decoder() -> None:
    matrix, gram = linear_decoder()
    expected = matrix.norm(dim=0).log().sum() - 0.5 * torch.linalg.slogdet(matrix.T @ matrix)[1]
    assert_close(manifold_total_correlation(gram), expected)


def test_pairwise_information_of_a_linear_decoder() -> None:
    matrix, gram = linear_decoder()
    mpmi = manifold_pairwise_mutual_information(gram)
    for i in range(4):
        for j in range(4):
            cosine = torch.nn.functional.cosine_similarity(matrix[:, i], matrix[:, j], dim=0).item()
            expected = 0.0 if i == j else -0.5 * math.log1p(-(cosine**2))
            assert mpmi[i, j].item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


# 2. Orthogonal and principal-component decoders


@settings(deadline=None)
@given(seed=seeds, dim=latent_dims)
def test_orthogonal_columns_share_nothing(seed: int, dim: int) -> None:
    gram = gram_matrix((random_orthogonal(dim, seed) * torch.logspace(-2, 2, dim, dtype=torch.float64))[None])
    assert_close(manifold_total_correlation(gram), 0.0)
    assert_close(manifold_pairwise_mutual_information(gram), torch.zeros(dim, dim))


def test_principal_components_have_their_log_standard_deviation_as_entropy() -> None:
    data = random_jacobian(1, 500, 6)[0] @ random_jacobian(1, 6, 6, seed=1)[0]
    variances, components = torch.linalg.eigh(data.T.cov())
    decoder = components * variances.sqrt()
    gram = gram_matrix(decoder_jacobian(lambda z: z @ decoder.T, random_jacobian(1, 3, 6, seed=2)[0]))
    assert_close(manifold_entropy_spectrum(gram), 0.5 * variances.log() + NORMAL_ENTROPY)
    assert_close(manifold_total_correlation(gram), 0.0)


# 3. The polar map


def test_the_polar_map_is_orthogonal_everywhere() -> None:
    def polar(z: Tensor) -> Tensor:
        angle, radius = z.unbind(1)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

    generator = torch.Generator().manual_seed(0)
    z = torch.rand(100, 2, generator=generator, dtype=torch.float64) + 0.5
    gram = gram_matrix(decoder_jacobian(polar, z))
    mean_log_radius = z[:, 1].log().mean()
    assert_close(manifold_entropy_spectrum(gram), NORMAL_ENTROPY + torch.tensor([1.0, 0.0]).double() * mean_log_radius)
    assert_close(manifold_pairwise_mutual_information(gram), torch.zeros(2, 2))
    assert_close(manifold_entropy(gram), 2 * NORMAL_ENTROPY + mean_log_radius)


# 4. Invariances


@settings(deadline=None)
@given(seed=seeds, dim=latent_dims, log_scales=st.lists(st.floats(-6, 6), min_size=6, max_size=6))
def test_rescaled_latents(seed: int, dim: int, log_scales: list[float]) -> None:
    jacobian = random_jacobian(latent_dim=dim, seed=seed)
    log_scale = torch.tensor(log_scales[:dim], dtype=torch.float64) * math.log(10)
    gram, rescaled = gram_matrix(jacobian), gram_matrix(jacobian * log_scale.exp())
    assert_close(manifold_total_correlation(rescaled), manifold_total_correlation(gram))
    assert_close(manifold_pairwise_mutual_information(rescaled), manifold_pairwise_mutual_information(gram))
    assert_close(manifold_entropy_spectrum(rescaled), manifold_entropy_spectrum(gram) + log_scale)
    assert_close(manifold_entropy(rescaled), manifold_entropy(gram) + log_scale.sum())


@settings(deadline=None)
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


@settings(deadline=None)
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


@settings(deadline=None)
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


# 5. Inequalities


@settings(deadline=None)
@given(seed=seeds, dim=latent_dims, data_dim=st.integers(1, 8))
def test_total_correlation_is_at_least_the_largest_pair(seed: int, dim: int, data_dim: int) -> None:
    gram = gram_matrix(random_jacobian(data_dim=data_dim, latent_dim=dim, seed=seed))
    mpmi = manifold_pairwise_mutual_information(gram)
    assert mpmi.min() >= 0
    assert manifold_total_correlation(gram) >= mpmi.max() - 1e-10  # rounding of a sum of logarithms


@settings(deadline=None)
@given(seed=seeds)
def test_in_two_dimensions_all_informations_are_one(seed: int) -> None:
    gram = gram_matrix(random_jacobian(latent_dim=2, seed=seed))
    total_correlation = manifold_total_correlation(gram)
    assert_close(manifold_pairwise_mutual_information(gram)[0, 1], total_correlation)
    assert_close(manifold_mutual_information(gram, [0], [1]), total_correlation)


@settings(deadline=None)
@given(seed=seeds)
def test_finer_partitions_have_more_total_correlation(seed: int) -> None:
    gram = gram_matrix(random_jacobian(seed=seed))
    chain = [[[0, 1, 2, 3]], [[0, 3], [1, 2]], [[0, 3], [1], [2]], None]
    values = [manifold_total_correlation(gram, partition).item() for partition in chain]
    assert values[0] == pytest.approx(0, abs=1e-12)
    assert values == sorted(values)


# 6. Decompositions


def test_there_are_fifteen_partitions_of_four() -> None:
    assert len(ALL_PARTITIONS) == 15  # the Bell number, so that the tests below cover what they say


@pytest.mark.parametrize("partition", ALL_PARTITIONS, ids=str)
def test_decomposition_holds_for_every_partition(partition: list[list[int]]) -> None:
    gram = gram_matrix(random_jacobian())
    parts, total, shared = entropic_decomposition(gram, partition)
    assert_close(parts, torch.stack([manifold_entropy(gram, part) for part in partition]))
    assert_close(total, manifold_entropy(gram))
    assert_close(shared, manifold_total_correlation(gram, partition))
    assert_close(total, parts.sum() - shared)


@pytest.mark.parametrize("partition", ALL_PARTITIONS, ids=str)
def test_total_correlation_is_that_between_parts_and_that_within(partition: list[list[int]]) -> None:
    gram = gram_matrix(random_jacobian())
    within = sum(manifold_total_correlation(gram[:, part][:, :, part]) for part in partition)
    assert_close(manifold_total_correlation(gram), manifold_total_correlation(gram, partition) + within)


def test_decomposition_into_single_latents_is_the_default() -> None:
    gram = gram_matrix(random_jacobian())
    for default, explicit in zip(
        entropic_decomposition(gram), entropic_decomposition(gram, [[0], [1], [2], [3]]), strict=True
    ):
        assert_close(default, explicit)
    assert_close(entropic_decomposition(gram).parts, manifold_entropy_spectrum(gram))
    assert_close(manifold_total_correlation(gram), manifold_total_correlation(gram, [[0], [1], [2], [3]]))


def test_decomposition_uses_the_prior_it_is_given() -> None:
    gram, prior = gram_matrix(random_jacobian()), torch.tensor([0.0, 1.0, -2.0, 3.5])
    parts, total, shared = entropic_decomposition(gram, [[1, 0], [3, 2]], prior)
    plain = entropic_decomposition(gram, [[1, 0], [3, 2]])
    assert_close(parts, plain.parts - 2 * NORMAL_ENTROPY + torch.tensor([1.0, 1.5]))
    assert_close(total, parts.sum() - shared)


@pytest.mark.parametrize(("part_a", "part_b"), [([0], [1]), ([2, 0], [3]), ([1, 2], [0, 3]), ([3], [0, 1, 2])])
def test_mutual_information_is_what_two_entropies_have_too_much(part_a: list[int], part_b: list[int]) -> None:
    gram = gram_matrix(random_jacobian())
    expected = (
        manifold_entropy(gram, part_a) + manifold_entropy(gram, part_b) - manifold_entropy(gram, [*part_a, *part_b])
    )
    assert_close(manifold_mutual_information(gram, part_a, part_b), expected)
    assert_close(manifold_mutual_information(gram, part_b, part_a), expected)


def test_mutual_information_of_orthogonal_planes_is_zero_although_they_are_skewed_inside() -> None:
    skewed = torch.tensor([[1.0, 0.9], [0.0, 0.1]], dtype=torch.float64)
    gram = gram_matrix((random_orthogonal(4) @ torch.block_diag(skewed, skewed))[None])
    assert_close(manifold_mutual_information(gram, [0, 1], [2, 3]), 0.0)
    assert manifold_mutual_information(gram, [0], [1]) > 2


# Pairs of latents, within a model and across models


def pairwise_by_loops(jacobian_a: Tensor, jacobian_b: Tensor) -> Tensor:
    """The definition, one pair of columns and one sample at a time."""
    result = torch.zeros(jacobian_a.shape[-1], jacobian_b.shape[-1], dtype=torch.float64)
    for a, b in zip(jacobian_a, jacobian_b, strict=True):
        for i in range(a.shape[1]):
            for j in range(b.shape[1]):
                pair = torch.stack([a[:, i], b[:, j]], dim=1)
                log_area = 0.5 * torch.linalg.slogdet(pair.T @ pair)[1]
                result[i, j] += (a[:, i].norm().log() + b[:, j].norm().log() - log_area) / len(jacobian_a)
    return result


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_pairwise_information_against_loops(scale: float) -> None:
    jacobian = scale * random_jacobian()
    expected = pairwise_by_loops(jacobian, jacobian).fill_diagonal_(0)
    assert_close(manifold_pairwise_mutual_information(gram_matrix(jacobian)), expected)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_cross_pairwise_information_against_loops(scale: float) -> None:
    jacobian_a, jacobian_b = random_jacobian(latent_dim=3), scale * random_jacobian(latent_dim=5, seed=1)
    actual = manifold_cross_pairwise_mutual_information(jacobian_a, jacobian_b)
    assert_close(actual, pairwise_by_loops(jacobian_a, jacobian_b))
    assert_close(manifold_cross_pairwise_mutual_information(jacobian_b, jacobian_a), actual.T)


def test_cross_pairwise_information_in_the_datas_own_unit() -> None:
    jacobian_a, jacobian_b = random_jacobian(latent_dim=3), random_jacobian(latent_dim=5, seed=1)
    std = torch.linspace(0.1, 4.0, 8, dtype=torch.float64)
    assert_close(
        manifold_cross_pairwise_mutual_information(jacobian_a, jacobian_b, std),
        pairwise_by_loops(std[:, None] * jacobian_a, std[:, None] * jacobian_b),
    )


def test_cross_pairwise_information_of_a_model_with_itself() -> None:
    jacobian = random_jacobian()
    cross = manifold_cross_pairwise_mutual_information(jacobian, jacobian)
    assert (cross.diagonal() == MAX_PAIRWISE).all()
    within = manifold_pairwise_mutual_information(gram_matrix(jacobian))
    assert_close(cross.fill_diagonal_(0), within)


@settings(deadline=None)
@given(order=st.permutations(range(6)), signs=st.lists(st.sampled_from([-2.0, 0.5]), min_size=6, max_size=6))
def test_matching_recovers_a_permutation(order: list[int], signs: list[float]) -> None:
    jacobian = random_jacobian(latent_dim=6)
    cross = manifold_cross_pairwise_mutual_information(jacobian, (jacobian * torch.tensor(signs))[..., order])
    permutation = match_latents(cross)
    assert [order[i] for i in permutation] == list(range(6))
    assert (cross[:, permutation].diagonal() == MAX_PAIRWISE).all()


@settings(deadline=None)
@given(seed=seeds)
def test_matching_is_the_best_of_all_permutations(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cross = torch.rand(4, 4, generator=generator, dtype=torch.float64)
    every = torch.cartesian_prod(*[torch.arange(4)] * 4)
    every = every[[len(set(row)) == 4 for row in every.tolist()]]
    best = cross[torch.arange(4), every].sum(1).max()
    assert_close(cross[:, match_latents(cross)].trace(), best)


def test_columns_without_a_partner_come_last() -> None:
    cross = torch.tensor([[0.0, 0.0, 0.0, 5.0], [0.0, 4.0, 0.0, 0.0]])
    assert match_latents(cross).tolist() == [3, 1, 0, 2]


def test_matching_more_rows_than_columns_keeps_every_column() -> None:
    cross = torch.tensor([[0.0, 5.0], [3.0, 0.0], [0.0, 0.0]])
    assert match_latents(cross).tolist() == [1, 0]


# Floors


def test_a_dead_latent_is_at_the_floor_and_shares_nothing() -> None:
    jacobian = random_jacobian()
    alive = gram_matrix(jacobian[..., [0, 2, 3]])
    jacobian[..., 1] = 0
    gram = gram_matrix(jacobian)
    assert manifold_entropy_spectrum(gram)[1].item() == pytest.approx(DEAD_ENTROPY, rel=1e-15)
    assert (manifold_pairwise_mutual_information(gram)[1] == 0).all()
    assert_close(manifold_total_correlation(gram), manifold_total_correlation(alive))
    assert_close(manifold_entropy(gram), manifold_entropy(alive) + DEAD_ENTROPY)


def test_identical_columns_reach_the_ceiling() -> None:
    jacobian = random_jacobian()
    jacobian[..., 3] = jacobian[..., 0]
    gram = gram_matrix(jacobian)
    mpmi = manifold_pairwise_mutual_information(gram)
    assert mpmi[0, 3] == mpmi[3, 0] == mpmi.max() == MAX_PAIRWISE
    total_correlation = manifold_total_correlation(gram)
    assert total_correlation.isfinite()
    assert total_correlation >= MAX_PAIRWISE


@pytest.mark.parametrize("data_dim", [1, 2, 3])
def test_more_latents_than_data_dimensions_stay_finite(data_dim: int) -> None:
    gram = gram_matrix(random_jacobian(data_dim=data_dim))
    # an eigenvalue at the floor costs MAX_PAIRWISE + log(2), and the others, which sum to 4, give back at most log(2)
    assert manifold_total_correlation(gram) >= (4 - data_dim) * MAX_PAIRWISE
    assert manifold_total_correlation(gram).isfinite()
    assert manifold_entropy(gram).isfinite()
    parts, total, shared = entropic_decomposition(gram, [[0, 1], [2, 3]])
    assert_close(total, parts.sum() - shared)


def test_a_decoder_that_ignores_everything() -> None:
    gram = gram_matrix(torch.zeros(3, 5, 2))
    assert_close(manifold_entropy_spectrum(gram), torch.full((2,), DEAD_ENTROPY, dtype=torch.float64))
    assert_close(manifold_total_correlation(gram), 0.0)
    assert_close(manifold_pairwise_mutual_information(gram), torch.zeros(2, 2))


def test_a_single_latent_has_nobody_to_share_with() -> None:
    gram = gram_matrix(random_jacobian(latent_dim=1))
    assert_close(manifold_total_correlation(gram), 0.0)
    assert torch.equal(manifold_pairwise_mutual_information(gram), torch.zeros(1, 1, dtype=torch.float64))


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12])
def test_nearly_parallel_columns_keep_their_information(gap: float) -> None:
    angle = math.asin(math.sqrt(gap))  # 1 - rho^2 = sin^2 of the angle between the columns
    jacobian = torch.tensor([[[1.0, math.cos(angle)], [0.0, math.sin(angle)]]], dtype=torch.float64)
    gram = gram_matrix(jacobian)
    # rho is known to 2^-53, so 1 - rho^2 = gap to a relative 2^-51 / gap
    tolerance = 2**-50 / gap + 1e-12
    assert manifold_pairwise_mutual_information(gram)[0, 1].item() == pytest.approx(-0.5 * math.log(gap), abs=tolerance)
    assert manifold_total_correlation(gram).item() == pytest.approx(-0.5 * math.log(gap), abs=tolerance)


# Effective dimension and active latents


@pytest.mark.parametrize("dim", [1, 2, 7, 100])
@pytest.mark.parametrize("level", [-27.0, 0.0, 30.0])
def test_effective_dimension_of_an_even_spectrum_is_the_dimension(dim: int, level: float) -> None:
    assert effective_dimension(torch.full((dim,), level).double()).item() == pytest.approx(dim, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 7, 100])
def test_effective_dimension_of_a_spectrum_with_one_peak_is_one(dim: int) -> None:
    spectrum = torch.full((dim,), DEAD_ENTROPY, dtype=torch.float64)
    spectrum[-1] = 0.0
    # each of the others carries e^-52.4 of the power, and -p log p of it in exponent
    assert effective_dimension(spectrum).item() == pytest.approx(1.0, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=10), st.floats(-10, 10))
def test_effective_dimension_is_bounded_and_ignores_the_unit(spectrum: list[float], shift: float) -> None:
    values = torch.tensor(spectrum, dtype=torch.float64)
    dimension = effective_dimension(values).item()
    assert 1 - 1e-12 <= dimension <= len(spectrum) * (1 + 1e-12)
    assert effective_dimension(values + shift).item() == pytest.approx(dimension, rel=1e-10)


def test_effective_dimension_is_the_effective_rank_of_the_covariance() -> None:
    variances = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)
    share = variances / variances.sum()
    expected = torch.distributions.Categorical(share).entropy().exp()
    gram = gram_matrix((random_orthogonal(3) * variances.sqrt())[None])
    assert_close(effective_dimension(manifold_entropy_spectrum(gram)), expected)


def test_effective_dimension_takes_batches_of_spectra() -> None:
    spectra = random_jacobian(2, 3, 4)
    expected = torch.stack([effective_dimension(row) for row in spectra.reshape(-1, 4)]).view(2, 3)
    assert_close(effective_dimension(spectra), expected)


def test_active_latents_are_those_within_reach_of_the_largest() -> None:
    spectrum = torch.tensor([3.0, 3.0 + math.log(0.101), 3.0 + math.log(0.099), DEAD_ENTROPY])
    assert active_latents(spectrum).tolist() == [True, True, False, False]
    assert active_latents(spectrum, threshold=0.1).tolist() == [True, True, False, False]
    assert active_latents(spectrum, threshold=1.0).tolist() == [True, False, False, False]
    assert active_latents(spectrum, threshold=1e-12).tolist() == [True, True, True, False]


def test_equal_latents_are_all_active() -> None:
    assert active_latents(torch.zeros(2, 5)).all()


@pytest.mark.parametrize("prior_entropy", [0.0, NORMAL_ENTROPY, 3.0])
def test_no_latent_of_a_collapsed_decoder_is_active(prior_entropy: float) -> None:
    spectrum = manifold_entropy_spectrum(gram_matrix(torch.zeros(3, 5, 2)), prior_entropy)
    assert not active_latents(spectrum, prior_entropy=prior_entropy).any()


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.5, math.nan])
def test_thresholds_outside_the_unit_interval_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got"):
        active_latents(torch.zeros(2), threshold)


# Bad input


@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 4), (0, 2, 2), (3, 0, 0), (1, 3, 2, 2)], ids=str)
@pytest.mark.parametrize(
    "function",
    [
        manifold_entropy_spectrum,
        manifold_entropy,
        manifold_total_correlation,
        manifold_pairwise_mutual_information,
        entropic_decomposition,
        lambda gram: manifold_mutual_information(gram, [0], [1]),
    ],
)
def test_what_is_no_batch_of_gram_matrices_is_refused(
    function: Callable[[Tensor], object], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"must have shape \(N, d, d\) with N, d >= 1, got"):
        function(torch.ones(shape))


@pytest.mark.parametrize("index_set", [[], [0, 0], [4], [-1], [1, 2, 3, 4]], ids=str)
def test_index_sets_that_name_no_latents_are_refused(index_set: list[int]) -> None:
    gram = gram_matrix(random_jacobian())
    message = "non-empty, disjoint and within the 4 latents"
    with pytest.raises(ValueError, match=message):
        manifold_entropy(gram, index_set)
    with pytest.raises(ValueError, match=message):
        manifold_total_correlation(gram, [index_set, [0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("part_a", "part_b"), [([0], [0]), ([0, 1], [1, 2]), ([0], [4]), ([-1], [0]), ([], []), ([0], []), ([], [0])]
)
def test_parts_that_are_not_two_disjoint_sets_are_refused(part_a: list[int], part_b: list[int]) -> None:
    with pytest.raises(ValueError, match="non-empty, disjoint and within the 4 latents"):
        manifold_mutual_information(gram_matrix(random_jacobian()), part_a, part_b)


@pytest.mark.parametrize("partition", [[], [[0]], [[0, 1], [2]], [[0, 1], [1, 2, 3]]], ids=str)
def test_what_is_no_partition_is_refused(partition: list[list[int]]) -> None:
    gram = gram_matrix(random_jacobian())
    for function in (manifold_total_correlation, entropic_decomposition):
        with pytest.raises(ValueError, match="must hold each of the 4 latents once"):
            function(gram, partition)


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 1), (2, 4), (4, 4)], ids=str)
def test_prior_entropies_that_are_no_number_for_each_latent_are_refused(shape: tuple[int, ...]) -> None:
    gram = gram_matrix(random_jacobian())
    for function in (
        lambda prior: manifold_entropy(gram, None, prior),
        lambda prior: entropic_decomposition(gram, None, prior),
    ):
        with pytest.raises(ValueError, match="prior_entropy must be a number or have 4 entries"):
            function(torch.ones(shape))


@pytest.mark.parametrize(("n", "data_dim"), [(4, 8), (5, 7)])
def test_jacobians_at_other_data_points_are_refused(n: int, data_dim: int) -> None:
    with pytest.raises(ValueError, match=r"same data points: \(N, D\) is \(5, 8\) and"):
        manifold_cross_pairwise_mutual_information(random_jacobian(), random_jacobian(n, data_dim))


@pytest.mark.parametrize("cross", [torch.ones(3), torch.tensor([[1.0, math.nan]]), torch.tensor([[math.inf]])])
def test_matching_refuses_what_is_no_finite_matrix(cross: Tensor) -> None:
    with pytest.raises(ValueError, match="finite matrix"):
        match_latents(cross)


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
