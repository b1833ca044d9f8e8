"""Pairs of latents, within a model and across models, against plain loops."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import assert_close, random_jacobian
from torchdisentangle import ManifoldCrossPairwiseMutualInformation
from torchdisentangle.functional import (
    gram_matrix,
    manifold_cross_pairwise_mutual_information,
    manifold_pairwise_mutual_information,
    match_latents,
    matched_orders,
)
from torchdisentangle.functional.manifold.gram import MAX_PAIRWISE

seeds = st.integers(0, 2**16)


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


@given(order=st.permutations(range(6)), signs=st.lists(st.sampled_from([-2.0, 0.5]), min_size=6, max_size=6))
def test_matching_recovers_a_permutation(order: list[int], signs: list[float]) -> None:
    jacobian = random_jacobian(latent_dim=6)
    cross = manifold_cross_pairwise_mutual_information(jacobian, (jacobian * torch.tensor(signs))[..., order])
    permutation = match_latents(cross)
    assert [order[i] for i in permutation] == list(range(6))
    assert (cross[:, permutation].diagonal() == MAX_PAIRWISE).all()


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


@given(seed=seeds, shape=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_partners_of_any_two_numbers_of_latents_are_on_the_diagonal(seed: int, shape: tuple[int, int]) -> None:
    cross = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows, columns = matched_orders(cross)
    assert sorted(rows.tolist()) == list(range(shape[0]))
    assert sorted(columns.tolist()) == list(range(shape[1]))
    best = max(
        sum(cross[row, column] for row, column in zip(chosen, others, strict=True))
        for chosen in permutations(range(shape[0]), min(shape))
        for others in combinations(range(shape[1]), min(shape))
    )
    assert_close(cross[rows][:, columns].diagonal().sum(), best)
    assert torch.equal(columns, match_latents(cross))


def test_the_figure_shows_partners_on_the_diagonal() -> None:
    cross = torch.tensor([[0.1, 0.0], [0.0, 3.0], [2.0, 0.0]])
    _, ax = ManifoldCrossPairwiseMutualInformation().plot(cross)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1", "2", "0"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "0"]
