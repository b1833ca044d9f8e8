"""What the manifold metrics refuse, and how they say so."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.helpers import random_jacobian
from torchdisentangle.functional import (
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


@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 4), (0, 2, 2), (3, 0, 0)], ids=str)
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
