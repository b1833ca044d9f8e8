"""Geometry of single samples: Gram matrices, lengths, angles, volumes, and their floors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import random_jacobian
from torchdisentangle.functional import gram_matrix, log_column_norms, log_volume, tangent_correlation
from torchdisentangle.functional.manifold.gram import (
    DEAD_NORM,
    MAX_PAIRWISE,
    SATURATION,
    dead_latents,
    log_det_correlation,
    pairwise_mutual_information,
    rescale_jacobian,
)

# Sums of at most a few hundred products of numbers near 1 in float64: some hundred units of 2^-53, far below 1e-12.
ROUNDING: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
SCALES = [1e-6, 1.0, 1e6]


# gram_matrix


def test_gram_is_every_pair_of_dot_products() -> None:
    jacobian = random_jacobian()
    gram = gram_matrix(jacobian)
    for n in range(5):
        for i in range(4):
            for j in range(4):
                expected = sum(jacobian[n, k, i].item() * jacobian[n, k, j].item() for k in range(8))
                assert gram[n, i, j].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gram_of_any_precision_is_formed_in_float64(dtype: torch.dtype) -> None:
    jacobian = random_jacobian().to(dtype)
    gram = gram_matrix(jacobian)
    assert gram.dtype == torch.float64
    torch.testing.assert_close(gram, gram_matrix(jacobian.double()), rtol=0, atol=0)  # the widening itself is exact


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("data_std", [255.0, 1e-4])
def test_rescaling_is_done_in_float64_too(dtype: torch.dtype, data_std: float) -> None:
    jacobian = torch.tensor([[[300.0, 1.0], [0.01, 400.0]]], dtype=dtype)  # 300 * 255 is beyond float16, 0.01e-4 below
    torch.testing.assert_close(gram_matrix(jacobian, data_std), gram_matrix(jacobian.double(), data_std), **ROUNDING)


def test_data_std_is_the_jacobian_of_the_rescaled_decoder() -> None:
    jacobian = random_jacobian()
    std = torch.linspace(0.5, 3.0, 8, dtype=torch.float64)
    torch.testing.assert_close(gram_matrix(jacobian, std), gram_matrix(torch.diag(std) @ jacobian), **ROUNDING)


def test_a_single_data_std_scales_the_gram_by_its_square() -> None:
    jacobian = random_jacobian()
    torch.testing.assert_close(gram_matrix(jacobian, 3.0), 9 * gram_matrix(jacobian), **ROUNDING)
    torch.testing.assert_close(gram_matrix(jacobian, torch.tensor([3.0])), 9 * gram_matrix(jacobian), **ROUNDING)


def test_data_std_may_have_the_shape_of_an_image() -> None:
    jacobian = random_jacobian(data_dim=6)
    std = torch.rand(1, 2, 3, dtype=torch.float64) + 0.5
    assert torch.equal(rescale_jacobian(jacobian, std), rescale_jacobian(jacobian, std.flatten()))


@pytest.mark.parametrize(
    "jacobian",
    [torch.ones(3, 2), torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, dtype=torch.int64)],
    ids=["matrix", "four axes", "integers"],
)
def test_what_is_no_jacobian_is_refused(jacobian: Tensor) -> None:
    with pytest.raises(ValueError, match=r"floating point of shape \(N, D, d\), got"):
        gram_matrix(jacobian)


@pytest.mark.parametrize("entries", [0, 2, 7])
def test_data_std_of_the_wrong_length_is_refused(entries: int) -> None:
    with pytest.raises(ValueError, match=f"have 8 entries, got {entries}"):
        gram_matrix(random_jacobian(), torch.ones(entries))


# lengths and angles


@pytest.mark.parametrize("scale", SCALES)
def test_log_column_norms_are_logs_of_vector_norms(scale: float) -> None:
    jacobian = scale * random_jacobian()
    expected = torch.linalg.vector_norm(jacobian, dim=1).log()
    torch.testing.assert_close(log_column_norms(gram_matrix(jacobian)), expected, **ROUNDING)


@pytest.mark.parametrize("scale", SCALES)
def test_tangent_correlation_is_the_cosine_of_every_pair(scale: float) -> None:
    jacobian = scale * random_jacobian()
    cosine = torch.nn.functional.cosine_similarity(jacobian[..., :, None], jacobian[..., None, :], dim=1, eps=1e-30)
    torch.testing.assert_close(tangent_correlation(gram_matrix(jacobian)), cosine, **ROUNDING)


@pytest.mark.parametrize("seed", range(3))
def test_correlations_stay_within_one(seed: int) -> None:
    column = random_jacobian(data_dim=50, latent_dim=1, seed=seed)
    correlation = tangent_correlation(gram_matrix(torch.cat([column, -3 * column, 0.1 * column], dim=-1)))
    assert correlation.abs().max() <= 1
    torch.testing.assert_close(correlation.abs(), torch.ones_like(correlation), **ROUNDING)


def test_dead_latents_have_no_length_and_no_angle() -> None:
    jacobian = random_jacobian()
    jacobian[..., 1] = 0
    gram = gram_matrix(jacobian)
    assert dead_latents(gram).tolist() == [[False, True, False, False]] * 5
    assert (log_column_norms(gram)[:, 1] == math.log(DEAD_NORM)).all()
    expected = torch.zeros(5, 4, dtype=torch.float64)
    expected[:, 1] = 1
    assert torch.equal(tangent_correlation(gram)[:, 1], expected)


@pytest.mark.parametrize(("length", "is_dead"), [(0.9 * DEAD_NORM, True), (1.1 * DEAD_NORM, False)])
def test_where_dead_begins(length: float, is_dead: bool) -> None:
    gram = gram_matrix(torch.tensor([[[length, 0.6], [0.0, 0.8]]], dtype=torch.float64))
    assert dead_latents(gram).tolist() == [[is_dead, False]]
    assert tangent_correlation(gram)[0, 0, 1].item() == pytest.approx(0.0 if is_dead else 0.6, rel=1e-12)


# volumes


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("index_set", [None, [0], [2], [0, 3], [3, 0], [1, 2, 3]])
def test_log_volume_is_half_the_log_determinant(index_set: list[int] | None, scale: float) -> None:
    gram = gram_matrix(scale * random_jacobian())
    block = gram if index_set is None else gram[:, index_set][:, :, index_set]
    torch.testing.assert_close(log_volume(gram, index_set), 0.5 * torch.linalg.slogdet(block)[1], **ROUNDING)


@pytest.mark.parametrize("scale", SCALES)
def test_log_volume_is_the_sum_of_log_singular_values(scale: float) -> None:
    jacobian = scale * random_jacobian()
    singular_values = torch.linalg.svdvals(jacobian)
    torch.testing.assert_close(log_volume(gram_matrix(jacobian)), singular_values.log().sum(-1), **ROUNDING)


def test_latents_of_very_different_scale_keep_their_volume() -> None:
    columns = random_jacobian()
    scales = torch.tensor([1e-6, 1.0, 1e3, 1e6], dtype=torch.float64)  # the raw Gram matrix has condition number 1e24
    expected = log_volume(gram_matrix(columns)) + scales.log().sum()
    torch.testing.assert_close(log_volume(gram_matrix(columns * scales)), expected, **ROUNDING)


def test_log_volume_of_one_matrix_and_of_many_axes() -> None:
    gram = gram_matrix(random_jacobian(n=6))
    expected = log_volume(gram)
    assert log_volume(gram[0]).shape == ()
    torch.testing.assert_close(log_volume(gram[0]), expected[0], **ROUNDING)
    torch.testing.assert_close(log_volume(gram.view(2, 3, 4, 4)), expected.view(2, 3), **ROUNDING)


def test_singular_samples_leave_their_neighbours_alone() -> None:
    jacobian = random_jacobian()
    expected = log_volume(gram_matrix(jacobian))
    jacobian[2, :, 3] = jacobian[2, :, 0]
    gram = gram_matrix(jacobian)
    assert log_det_correlation(tangent_correlation(gram))[1].tolist() == [False, False, True, False, False]
    regular = [0, 1, 3, 4]
    torch.testing.assert_close(log_volume(gram)[regular], expected[regular], **ROUNDING)


@given(latent_dim=st.integers(2, 12), rank=st.integers(1, 11), seed=st.integers(0, 2**16))
def test_singular_volumes_are_finite_and_floored(latent_dim: int, rank: int, seed: int) -> None:
    rank = min(rank, latent_dim - 1)
    jacobian = random_jacobian(n=3, data_dim=rank, latent_dim=latent_dim, seed=seed)
    log_det, _ = log_det_correlation(tangent_correlation(gram_matrix(jacobian)))
    assert (log_det >= latent_dim * math.log(SATURATION / 4)).all()
    assert (log_det <= math.log(SATURATION)).all()  # a quarter of SATURATION, times at most e for the other eigenvalues


@pytest.mark.parametrize("latent_dim", [2, 3, 4, 12])
def test_more_latents_than_data_dimensions_are_singular(latent_dim: int) -> None:
    jacobian = random_jacobian(n=1000, data_dim=latent_dim - 1, latent_dim=latent_dim)
    assert log_det_correlation(tangent_correlation(gram_matrix(jacobian)))[1].all()


@pytest.mark.parametrize("latent_dim", [2, 3, 4, 12])
def test_as_many_latents_as_data_dimensions_are_regular(latent_dim: int) -> None:
    jacobian = torch.eye(latent_dim) + 0.1 * random_jacobian(n=1000, data_dim=latent_dim, latent_dim=latent_dim)
    assert not log_det_correlation(tangent_correlation(gram_matrix(jacobian)))[1].any()


@pytest.mark.parametrize("latent_dim", [2, 5, 50])
def test_log_det_of_the_identity_is_zero(latent_dim: int) -> None:
    log_det, singular = log_det_correlation(torch.eye(latent_dim, dtype=torch.float64))
    assert log_det.item() == 0
    assert not singular


def test_log_det_of_a_near_singular_matrix_keeps_its_digits() -> None:
    gap = 2.0**-40  # 1 - rho^2 of the two columns, known exactly; the floor is at 2^-46
    rho = math.sqrt(1 - gap)
    log_det, singular = log_det_correlation(torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64))
    assert not singular
    # rho is rounded by 2^-54, which moves 1 - rho^2 by 2^-53: a 2^-13 part of it
    assert log_det.item() == pytest.approx(math.log(gap), abs=2.0**-12)


# pairs


@pytest.mark.parametrize("rho", [-0.999, -0.5, 0.0, 1e-4, 0.3, 0.9, 0.999999])
def test_pairwise_information_is_its_formula(rho: float) -> None:
    value = pairwise_mutual_information(torch.tensor(rho, dtype=torch.float64)).item()
    # log1p keeps the digits of small rho; squaring rounds 1 - rho^2 by 1e-16, 2e-6 of which is left at rho = 0.999999
    assert value == pytest.approx(-0.5 * math.log1p(-(rho**2)), abs=1e-9)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_pairwise_information_saturates(sign: float) -> None:
    assert pairwise_mutual_information(torch.tensor(sign, dtype=torch.float64)).item() == MAX_PAIRWISE
    assert pytest.approx(23 * math.log(2)) == MAX_PAIRWISE


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("factor", [1.0, -3.0, 1e-3])
@pytest.mark.parametrize("data_dim", [3, 784])
def test_parallel_columns_reach_the_ceiling(scale: float, factor: float, data_dim: int) -> None:
    column = scale * random_jacobian(n=20, data_dim=data_dim, latent_dim=1)
    correlation = tangent_correlation(gram_matrix(torch.cat([column, factor * column], dim=-1)))
    assert (pairwise_mutual_information(correlation[:, 0, 1]) == MAX_PAIRWISE).all()


# gradients


def dead_column(jacobian: Tensor) -> Tensor:
    return torch.cat([jacobian, torch.zeros_like(jacobian[..., :1])], dim=-1)


def twin_columns(jacobian: Tensor) -> Tensor:
    return torch.cat([jacobian, jacobian[..., :1]], dim=-1)


def volume(jacobian: Tensor) -> Tensor:
    return log_volume(gram_matrix(jacobian))


def norms(jacobian: Tensor) -> Tensor:
    return log_column_norms(gram_matrix(jacobian, 2.0))


def correlations(jacobian: Tensor) -> Tensor:
    return tangent_correlation(gram_matrix(jacobian))


def pairs(jacobian: Tensor) -> Tensor:
    return pairwise_mutual_information(correlations(jacobian))


@pytest.mark.parametrize("function", [gram_matrix, norms, correlations, volume])
def test_gradients_are_right(function: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(function, random_jacobian(n=2, latent_dim=3).requires_grad_())


@pytest.mark.parametrize("degenerate", [dead_column, twin_columns])
@pytest.mark.parametrize("function", [norms, correlations, volume, pairs])
def test_gradients_of_degenerate_decoders_are_finite(
    function: Callable[[Tensor], Tensor], degenerate: Callable[[Tensor], Tensor]
) -> None:
    jacobian = random_jacobian(n=2, latent_dim=3).requires_grad_()
    (gradient,) = torch.autograd.grad(function(degenerate(jacobian)).sum(), jacobian)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("function", [norms, correlations, volume, pairs])
def test_gradients_are_finite_where_there_are_more_latents_than_data_dimensions(
    function: Callable[[Tensor], Tensor],
) -> None:
    jacobian = random_jacobian(data_dim=3, latent_dim=5).requires_grad_()
    (gradient,) = torch.autograd.grad(function(jacobian).sum(), jacobian)
    assert gradient.isfinite().all()
