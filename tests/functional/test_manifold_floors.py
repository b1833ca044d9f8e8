"""Degenerate decoders: dead, parallel and too many latents; which latents count."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import NORMAL_ENTROPY, assert_close, random_jacobian, random_orthogonal
from torchdisentangle.functional import (
    active_latents,
    effective_dimension,
    entropic_decomposition,
    gram_matrix,
    manifold_entropy,
    manifold_entropy_spectrum,
    manifold_pairwise_mutual_information,
    manifold_total_correlation,
    principal_spectrum,
)
from torchdisentangle.functional.manifold.gram import DEAD_NORM, MAX_PAIRWISE

DEAD_ENTROPY = NORMAL_ENTROPY + math.log(DEAD_NORM)


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


@pytest.mark.parametrize("dim", [1, 7])
@pytest.mark.parametrize("level", [-27.0, 0.0, 30.0])
def test_effective_dimension_of_an_even_spectrum_is_the_dimension(dim: int, level: float) -> None:
    assert effective_dimension(torch.full((dim,), level).double()).item() == pytest.approx(dim, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 7])
def test_effective_dimension_of_a_spectrum_with_one_peak_is_one(dim: int) -> None:
    spectrum = torch.full((dim,), DEAD_ENTROPY, dtype=torch.float64)
    spectrum[-1] = 0.0
    # each of the others carries e^-52.4 of the power, and -p log p of it in exponent
    assert effective_dimension(spectrum).item() == pytest.approx(1.0, abs=1e-12)


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


def test_beside_a_reference_a_collapsed_vae_has_no_active_latent() -> None:
    spectrum = torch.tensor([-2.0, -2.2, 0.1])
    assert active_latents(spectrum[:2]).all()
    assert active_latents(spectrum, reference=2.3).tolist() == [False, False, True]
    assert active_latents(spectrum, threshold=1.0, reference=-2.1).tolist() == [True, False, True]


def test_principal_spectrum_is_that_of_the_decoder_along_principal_components() -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(50, 2, 3, generator=generator).double() @ torch.randn(3, 3, generator=generator).double()
    centred = (data - data.mean(0)).flatten(1)
    _, deviations, components = torch.linalg.svd(centred / math.sqrt(49), full_matrices=False)
    decoder = components.mT * deviations  # its columns, orthogonal, are as long as the data vary along them
    assert_close(principal_spectrum(data), manifold_entropy_spectrum(gram_matrix(decoder[None])))
    with pytest.raises(ValueError, match="at least two data, got 1"):
        principal_spectrum(data[:1])


def test_principal_spectrum_of_constant_and_of_single_dimensions() -> None:
    data = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    assert principal_spectrum(data)[0].item() == pytest.approx(NORMAL_ENTROPY + 0.5 * math.log(2))
    assert principal_spectrum(data)[1].item() == pytest.approx(DEAD_ENTROPY)
    assert principal_spectrum(data[:, 0]).tolist() == principal_spectrum(data)[:1].tolist()


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.5, math.nan])
def test_thresholds_outside_the_unit_interval_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got"):
        active_latents(torch.zeros(2), threshold)
