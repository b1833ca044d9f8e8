"""Co-clustering of distance matrices with known blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchdisentangle.functional.topology.coclustering import block_score, co_cluster

GROUPS = torch.arange(6) // 2


def blocks(inside: float, outside: float) -> torch.Tensor:
    same = (GROUPS[:, None] == GROUPS).double()
    return inside * same + outside * (1 - same)


@pytest.mark.parametrize(
    ("inside", "outside", "three", "two"), [(0.001, 0.01, 90.0, 67.5), (0.05, 0.9, 8500.0, 6375.0)]
)
def test_blocks_of_two(inside: float, outside: float, three: float, two: float) -> None:
    """10^4 times the gap for the three true blocks; with two blocks one of them mixes two groups."""
    best = co_cluster(blocks(inside, outside))
    assert best.num_clusters == 3
    assert best.score == pytest.approx(three, rel=1e-12)
    assert best.variance == pytest.approx(0.0, abs=1e-12)
    assert co_cluster(blocks(inside, outside), 2).score == pytest.approx(two, rel=1e-12)


@given(st.permutations(range(6)))
def test_order_does_not_matter(order: list[int]) -> None:
    found = co_cluster(blocks(0.05, 0.9)[order][:, order])
    assert found.num_clusters == 3
    assert found.score == pytest.approx(8500.0)
    groups = GROUPS[order]
    assert torch.equal(found.rows[:, None] == found.rows, groups[:, None] == groups)
    assert torch.equal(found.rows, found.columns)


def test_latents_against_factors() -> None:
    distances = torch.full((4, 3), 0.8)
    for row, column in enumerate((2, 0, 1, 1)):
        distances[row, column] = 0.1
    found = co_cluster(distances)
    assert found.num_clusters == 3
    assert found.score == pytest.approx(7000.0, rel=1e-6)
    assert found.rows.tolist() == [found.columns[2], found.columns[0], found.columns[1], found.columns[1]]


def test_all_alike_scores_nothing() -> None:
    """No partition into blocks that all exist can be told from another, and the gap is 0 for each."""
    for distances in (torch.zeros(5, 5), torch.full((4, 4), 0.3)):
        assert co_cluster(distances).score == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1)])
def test_too_few_to_partition(shape: tuple[int, int]) -> None:
    found = co_cluster(torch.rand(shape))
    assert (found.score, found.num_clusters) == (0.0, 1)


def test_an_empty_block_counts_as_zero() -> None:
    rows, columns = torch.tensor([0, 0, 2]), torch.tensor([0, 1, 2])  # block 1 has no row
    distances = torch.tensor([[0.1, 0.5, 0.5], [0.1, 0.5, 0.5], [0.6, 0.6, 0.2]])
    score, _ = block_score(distances, rows, columns)
    assert score == pytest.approx(1e4 * (0.4 + 0.4 + 0.0) / 3, rel=1e-6)


def test_bad_distances_are_refused() -> None:
    for distances in (torch.zeros(3), torch.tensor([[0.0, 2.0]]), torch.tensor([[float("nan"), 0.0]])):
        with pytest.raises(ValueError, match="distances between 0 and 1"):
            co_cluster(distances)
