"""Relative living times, their averages, and the topologies of known clouds."""

from __future__ import annotations

import math

import gudhi
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import Tensor

from torchdisentangle.functional.topology.living_times import (
    entropic_barycenter,
    geometry_score,
    quantile_function,
    relative_living_times,
)
from torchdisentangle.functional.topology.witness import draw_landmarks, living_times_of_draws, witness_holes


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([[0.0, math.inf]], [0.0, 1.0, 0.0]),
        ([[0.2, 0.6], [0.4, 0.8]], [0.4, 0.4, 0.2]),
        ([], [1.0, 0.0, 0.0]),
        ([[0.3, 0.3]], [1.0, 0.0, 0.0]),  # a hole that never lives
        ([[0.0, 1.0]] * 5, [0.0, 0.0, 1.0]),  # more holes than there are entries: none of the time is lost
        ([[0.5, 3.0]], [0.5, 0.5, 0.0]),
    ],
)
def test_barcodes_by_hand(intervals: list[list[float]], expected: list[float]) -> None:
    rows = torch.tensor(intervals).reshape(-1, 2)
    found = relative_living_times(rows, 1.0, max_holes=2)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), max_size=8), st.integers(1, 4), st.floats(0.1, 3))
def test_shares_sum_to_one_and_equal_a_fine_grid(bars: list[tuple[float, float]], max_holes: int, end: float) -> None:
    intervals = torch.tensor([sorted(bar) for bar in bars], dtype=torch.float64).reshape(-1, 2)
    found = relative_living_times(intervals, end, max_holes)
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-12)
    grid = (torch.arange(4000, dtype=torch.float64) + 0.5) * end / 4000
    open_holes = ((intervals[:, :1] <= grid) & (grid < intervals[:, 1:])).sum(0).clamp(max=max_holes)
    expected = torch.bincount(open_holes, minlength=max_holes + 1) / 4000
    assert (found - expected).abs().max() <= 2 * (2 * len(bars) + 1) / 4000  # every end moves by less than one cell


def test_bad_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="intervals must have shape"):
        relative_living_times(torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="max_holes"):
        relative_living_times(torch.zeros(0, 2), 1.0, 0)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=9), st.lists(st.floats(0.01, 1), min_size=2, max_size=9))
def test_distance_of_quantile_functions_is_wasserstein(a: list[float], b: list[float]) -> None:
    p, q = (torch.tensor(x, dtype=torch.float64) / sum(x) for x in (a, b))
    levels = 4000
    distance = (quantile_function(p, levels) - quantile_function(q, levels)).abs().mean()
    expected = wasserstein_distance(range(len(p)), range(len(q)), p.numpy(), q.numpy())
    # every level that a step of either function falls into may be off by the largest distance
    assert float(distance) == pytest.approx(expected, abs=(len(a) + len(b)) * max(len(a), len(b)) / levels)


def test_barycentre_of_point_masses() -> None:
    masses = torch.eye(50, dtype=torch.float64)[[10, 30]]
    assert (quantile_function(masses).mean(0) == 20).all()


def test_entropic_barycentre_is_blurred_as_published() -> None:
    """Five equal point masses at bin 1 of 100: the mean moves to 5.67, and far from the border the width is 7.0."""
    position = torch.arange(100.0).double()
    at_border, inside = (entropic_barycenter(torch.eye(100, dtype=torch.float64)[[i] * 5]) for i in (1, 50))
    assert float(at_border @ position) == pytest.approx(5.67, abs=0.01)
    mean = float(inside @ position)
    assert math.sqrt(float(inside @ position.square()) - mean**2) == pytest.approx(7.0, abs=0.1)


def circle(n: int, generator: torch.Generator) -> Tensor:
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def clouds(name: str, n: int = 1500) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    ring = circle(n, generator)
    if name == "circle":
        return ring
    if name == "noisy circle":
        return ring + 0.05 * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    if name == "half arc":
        return torch.stack([ring[:, 0], ring[:, 1].abs()], dim=1)
    if name == "disk":
        return ring * torch.rand(n, 1, generator=generator, dtype=torch.float64).sqrt()
    if name == "figure eight":
        side = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()
        return ring + side[:, None] * torch.tensor([1.0, 0.0]).double()
    return torch.cat([ring, circle(n, generator)], dim=1)  # the flat torus


@pytest.mark.parametrize(
    ("name", "holes", "share"),
    [
        ("circle", 1, 0.99),
        ("noisy circle", 1, 0.95),
        ("half arc", 0, 0.99),
        ("disk", 0, 0.75),
        ("figure eight", 2, 0.95),
        ("flat torus", 2, 0.5),
    ],
)
def test_clouds_of_known_topology(name: str, holes: int, share: float) -> None:
    """Bands below what 100 draws on 5,000 points give (1, .996, 1, .952, .997, .845)."""
    landmarks = 64 if name == "flat torus" else 32
    times = living_times_of_draws(clouds(name), range(12), num_landmarks=landmarks, gamma=1 / 8, max_holes=10)
    torch.testing.assert_close(times.sum(1), torch.ones(12, dtype=torch.float64))
    mean = times.mean(0)
    assert int(mean.argmax()) == holes
    assert float(mean[holes]) > share


def test_geometry_score_tells_a_ring_from_a_disk() -> None:
    ring, disk = (
        living_times_of_draws(clouds(name), range(8), num_landmarks=32, gamma=1 / 8, max_holes=10).mean(0)
        for name in ("noisy circle", "disk")
    )
    assert 1.4 < float(geometry_score(ring, disk)) < 2
    assert float(geometry_score(ring, ring)) == 0


@pytest.mark.parametrize("gamma", [1 / 8, 1 / 16])
def test_moving_and_scaling_a_cloud_changes_nothing(gamma: float) -> None:
    points = clouds("disk", 300)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    moved = 3.7 * points @ turn + torch.tensor([5.0, -2.0]).double()
    times = [living_times_of_draws(cloud, range(4), num_landmarks=24, gamma=gamma) for cloud in (points, moved)]
    torch.testing.assert_close(*times, rtol=0, atol=1e-9)  # rounding of distances after the motion


def brute_force_holes(points: Tensor, landmarks: Tensor, gamma: float) -> Tensor:
    """The same complex from its definition, simplex by simplex."""
    distances = torch.cdist(points, points[landmarks], compute_mode="donot_use_mm_for_euclid_dist")
    alpha_max, count = gamma * float(distances.max()), len(landmarks)
    tree = gudhi.SimplexTree()
    value: dict[tuple[int, ...], float] = {}

    def relaxation(simplex: tuple[int, ...]) -> float:
        inside = distances[:, list(simplex)].amax(1)
        outside = distances[:, [i for i in range(count) if i not in simplex]].amin(1)
        return float((inside - outside).clamp(min=0).min())

    for size in (1, 2, 3):
        for simplex in torch.combinations(torch.arange(count), size).tolist():
            key = tuple(simplex)
            faces = [key[:i] + key[i + 1 :] for i in range(size)] if size > 1 else []
            if all(face in value for face in faces):
                filtration = max([relaxation(key), *(value[face] for face in faces)])
                if filtration <= alpha_max:
                    value[key] = filtration
                    tree.insert(list(key), filtration)
    tree.compute_persistence(homology_coeff_field=2, persistence_dim_max=True)
    return torch.as_tensor(tree.persistence_intervals_in_dimension(1)).reshape(-1, 2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_complex_is_that_of_the_definition(seed: int) -> None:
    points = torch.randn(120, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    landmarks = draw_landmarks(120, 14, draw=seed)
    found, _ = witness_holes(points, landmarks, gamma=1 / 4)
    expected = brute_force_holes(points, landmarks, gamma=1 / 4)
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found.sort(0).values, expected.sort(0).values, rtol=0, atol=1e-12)


def test_a_ring_without_triangles_has_its_hole() -> None:
    """Evenly spaced landmarks give a complex of edges alone, whose holes gudhi skips unless asked."""
    angle = 2 * math.pi * torch.arange(200) / 200
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    intervals, _ = witness_holes(points, torch.arange(0, 200, 10), gamma=1 / 8)
    assert intervals.tolist() == [[0.0, math.inf]]


def test_degenerate_clouds() -> None:
    same = torch.ones(30, 4)
    assert living_times_of_draws(same, range(2), num_landmarks=8)[:, 0].tolist() == [1.0, 1.0]
    few = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert living_times_of_draws(few, range(2), num_landmarks=8).sum(1).tolist() == [1.0, 1.0]
    repeated = living_times_of_draws(few, range(2), num_landmarks=8, replace=True)
    assert repeated.isfinite().all()
    assert living_times_of_draws(few, []).shape == (0, 101)
    for bad in (torch.full((4, 2), math.nan), torch.zeros(0, 2), torch.zeros(4)):
        with pytest.raises(ValueError, match="finite matrix of points"):
            witness_holes(bad, torch.tensor([0]))
    with pytest.raises(ValueError, match="gamma"):
        witness_holes(few, torch.arange(5), gamma=0)


def test_landmarks_depend_on_the_draw_and_the_seed_alone() -> None:
    assert torch.equal(draw_landmarks(100, 10, 3), draw_landmarks(100, 10, 3))
    assert not torch.equal(draw_landmarks(100, 10, 3), draw_landmarks(100, 10, 4))
    assert not torch.equal(draw_landmarks(100, 10, 3), draw_landmarks(100, 10, 3, seed=1))
    threads = [living_times_of_draws(clouds("disk", 200), range(5), num_threads=n, gamma=1 / 16) for n in (1, 2)]
    assert torch.equal(*threads)
