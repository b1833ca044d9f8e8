"""Total entropy as the entropies of parts minus what they share, for every partition."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.helpers import NORMAL_ENTROPY, assert_close, random_jacobian, random_orthogonal
from torchdisentangle.functional import (
    entropic_decomposition,
    gram_matrix,
    manifold_entropy,
    manifold_entropy_spectrum,
    manifold_mutual_information,
    manifold_total_correlation,
)


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
