"""Scores of generators whose answer is known, in one process and in several."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchdisentangle import StatisticCollection
from torchdisentangle.functional.topology.submanifold import conditional_latents
from torchdisentangle.topology import (
    GeometryScore,
    ManifoldTopologyScore,
    RandomConvEmbedding,
    SupervisedManifoldTopologyScore,
)

SETTINGS = {"num_draws": 4, "num_landmarks": 32, "gamma": 1 / 8, "max_holes": 8, "num_threads": 1}
VALUES = [-0.7, 0.1, 0.8]


def rings(z: Tensor) -> Tensor:
    """Each latent by itself: an angle on an ellipse, a short length, and an angle on another ellipse."""
    first, second = math.pi * z[:, 0], math.pi * z[:, 2]
    return torch.stack([first.cos(), 0.8 * first.sin(), 0.3 * z[:, 1], second.cos(), 0.8 * second.sin()], dim=1)


def rotated(z: Tensor) -> Tensor:
    """The same points from latents that are turned first: entangled."""
    return rings(z @ (torch.eye(3) - 2 / 3).double())  # a reflection that mixes all three alike


def uniform(seed: int) -> Tensor:
    return 2 * torch.rand(400, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


BASE = uniform(0)


def filled(
    generate: Callable[[Tensor], Tensor], metric: ManifoldTopologyScore | None = None, **settings: object
) -> ManifoldTopologyScore:
    metric = metric or ManifoldTopologyScore(3, 3, **{**SETTINGS, **settings})
    for latent in range(3):
        for number, value in enumerate(VALUES):
            metric.update(generate(conditional_latents(BASE, latent, value)), latent=latent, value=number)
    return metric


def test_holding_a_disentangled_latent_elsewhere_only_moves_the_cloud() -> None:
    """Independent coordinates: exactly the same living times, so distances within a latent are exactly zero."""
    times = filled(rings).mean_living_times()
    assert torch.equal(times[:, 0], times[:, 1])
    assert torch.equal(times[:, 0], times[:, 2])
    assert (filled(rings).distances().diagonal() == 0).all()
    assert (filled(rotated).distances().diagonal() > 0).all()


def test_disentangled_scores_above_entangled() -> None:
    disentangled, entangled = filled(rings), filled(rotated)
    assert disentangled.compute()["score"] > 1.5 * entangled.compute()["score"] > 0
    assert disentangled.distances().shape == (3, 3)
    assert (disentangled.distances() <= 1).all()


def test_homeomorphic_latents_are_grouped() -> None:
    """Two angles leave the same topology when held; only the length stands apart: the known blind spot."""
    found = filled(rings).clusters()
    assert found.num_clusters == 2
    assert found.rows[0] == found.rows[2] != found.rows[1]


def test_distances_are_wasserstein_distances_of_barycentres() -> None:
    metric = filled(rotated)
    quantiles = metric.latent_quantiles / 4
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            pairs = [(v, w) for v in range(3) for w in range(3) if (i, v) != (j, w)]
            for v, w in pairs:
                expected[i, j] += (quantiles[i, v] - quantiles[j, w]).abs().mean() / 8 / len(pairs)
    torch.testing.assert_close(metric.distances(), expected, rtol=1e-12, atol=1e-15)


def test_supervised_score_matches_latents_to_factors() -> None:
    """Real data from the same process: the length's column is near the length's row, the angles' near the angles'."""
    metric = SupervisedManifoldTopologyScore(3, 3, [3, 2, 3], **SETTINGS)
    filled(rings, metric)
    real = uniform(1)
    for factor, number in ((0, 3), (1, 2), (2, 3)):
        for value in range(number):
            metric.update(rings(conditional_latents(real, factor, VALUES[value])), factor=factor, value=value)
    distances = metric.distances()
    assert distances.shape == (3, 3)
    assert distances[1].argmin() == 1
    assert distances[0].argmin() in (0, 2)
    assert metric.compute()["score"] > 0


@pytest.mark.parametrize("mode", ["wasserstein", "reference"])
def test_processes_give_the_values_of_one(run_processes: Callable, mode: str) -> None:
    expected = filled(rotated, mode=mode)
    for score, distances, times in run_processes(2, work, mode) + run_processes(3, work, mode):
        assert torch.equal(distances, expected.distances())  # every draw has its own landmarks: identical
        assert score == expected.compute()["score"]
        torch.testing.assert_close(times, expected.mean_living_times(), rtol=1e-14, atol=1e-15)  # sums in another order


def work(rank: int, mode: str) -> tuple[Tensor, Tensor, Tensor]:
    metric = filled(rotated, mode=mode)
    return metric.compute()["score"], metric.distances(), metric.mean_living_times()


def test_reference_mode_ignores_the_order_of_hole_counts() -> None:
    """One hole everywhere against two holes everywhere: the published distance is blind to it, this one is not."""
    angle = 2 * math.pi * torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    eight = ring + torch.tensor([1.0, 0.0]).double() * torch.where(torch.arange(200) % 2 == 0, 1, -1)[:, None]
    distances = {}
    for mode in ("wasserstein", "reference"):
        metric = ManifoldTopologyScore(2, 1, mode=mode, **{**SETTINGS, "num_landmarks": 32})  # type: ignore[arg-type]
        metric.update(ring, latent=0)
        metric.update(eight, latent=1)
        distances[mode] = float(metric.distances()[0, 1])
    assert distances["wasserstein"] == pytest.approx(1 / 8, rel=0.3)  # one hole apart, of eight
    assert distances["reference"] < 0.5 * distances["wasserstein"]


def test_merging_and_collections() -> None:
    first, second = ManifoldTopologyScore(3, 3, **SETTINGS), ManifoldTopologyScore(3, 3, **SETTINGS)
    for latent in range(3):
        for number, value in enumerate(VALUES):
            cloud = rotated(conditional_latents(BASE, latent, value))
            first.update(cloud, latent=latent, value=number, draws=[0, 3])
            second.update(cloud, latent=latent, value=number, draws=[1, 2])
    first.merge_state(second)
    assert torch.equal(first.distances(), filled(rotated).distances())
    members = {"a": ManifoldTopologyScore(3, 3, **SETTINGS), "b": ManifoldTopologyScore(3, 3, **SETTINGS)}
    assert len(StatisticCollection(members).compute_groups) == 1


def test_bad_input_is_refused() -> None:
    metric = ManifoldTopologyScore(3, 3, **SETTINGS)
    points = rings(BASE)
    with pytest.raises(ValueError, match="needs a cloud of every latent"):
        metric.compute()
    with pytest.raises(ValueError, match="which latent or which factor"):
        metric.update(points)
    with pytest.raises(TypeError, match="positional"):
        metric.update(points, 0)
    with pytest.raises(ValueError, match=r"points must have shape \(N, \*data_shape\)"):
        metric.update(points[0], latent=0)
    with pytest.raises(ValueError, match="latent 3 with value 0 does not exist"):
        metric.update(points, latent=3)
    with pytest.raises(ValueError, match="factor 0 with value 0 does not exist"):
        metric.update(points, factor=0)
    with pytest.raises(ValueError, match="draws must be among 4"):
        metric.update(points, latent=0, draws=[4])
    with pytest.raises(ValueError, match="finite"):
        metric.update(points * math.nan, latent=0)
    with pytest.raises(ValueError, match="mode"):
        ManifoldTopologyScore(3, mode="exact")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive"):
        ManifoldTopologyScore(0)
    with pytest.raises(ValueError, match="latent 3 does not exist"):
        conditional_latents(BASE, 3, 0.0)


def test_a_dead_generator_scores_nothing() -> None:
    metric = filled(lambda z: torch.ones(len(z), 2))
    assert float(metric.compute()["score"]) == pytest.approx(0.0, abs=1e-9)
    assert (metric.distances() == 0).all()


def test_geometry_score(run_processes: Callable) -> None:
    metric = geometry(0, 1)
    assert 1.0 < float(metric.compute()) <= 2.0
    for value in run_processes(2, geometry_work):
        assert value == metric.compute()


def test_points_of_the_geometry_score() -> None:
    metric, ring = GeometryScore(), torch.rand(50, 2, 3)
    with pytest.raises(ValueError, match="GeometryScore has no points"):
        metric.compute()
    with pytest.raises(TypeError, match="positional"):
        metric.update(ring, True)  # type: ignore[misc]
    with pytest.raises(TypeError, match="points must be a tensor"):
        metric.update([1.0], real=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="index must be integers of shape"):
        metric.update(ring, real=True, index=torch.arange(3))
    ring[4, 0, 0] = math.nan
    with pytest.warns(UserWarning, match="points with NaN or infinite values are left out"):
        metric.update(ring, real=True)
    assert metric.points.shape == (49, 6)
    with pytest.raises(ValueError, match="real and generated"):
        metric.compute()


def test_geometry_of_a_batch_does_not_depend_on_what_came_before() -> None:
    def fresh() -> GeometryScore:
        metric = GeometryScore(num_draws=2, num_landmarks=16, gamma=1 / 8, max_holes=8, num_threads=1)
        metric.update(rings(BASE), real=False)
        return metric

    metric, alone = fresh(), fresh()
    metric.update(rings(uniform(1))[:100], real=True)
    metric.reset()
    metric.update(rings(uniform(2)), real=True)
    metric.update(rings(BASE), real=False)
    alone.update(rings(uniform(2)), real=True)  # the clouds in the other order
    torch.testing.assert_close(metric.compute(), alone.compute(), rtol=1e-12, atol=0.0)


def geometry(rank: int, world_size: int) -> GeometryScore:
    metric = GeometryScore(num_draws=4, num_landmarks=24, gamma=1 / 8, max_holes=8, num_threads=1)
    angle = 2 * math.pi * torch.rand(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    index = torch.arange(rank, 300, world_size)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    metric.update(ring[index], real=True, index=index)
    metric.update((ring * torch.linspace(0, 1, 300)[:, None].sqrt())[index], real=False, index=index)
    return metric


def geometry_work(rank: int) -> Tensor:
    return geometry(rank, 2).compute()


def test_random_embedding_is_fixed_by_its_seed() -> None:
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    first, again, other = (RandomConvEmbedding(3, seed=seed)(images) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.std() > 0.01  # different images do not collapse


def test_figures() -> None:
    metric = filled(rotated)
    _, ax = metric.plot()
    assert len(ax.patches) == metric.clusters().num_clusters
    assert metric.plot_living_times()[1].get_ylabel() == "latent held"
    assert geometry(0, 1).plot()[1].get_yticklabels()[0].get_text() == "real"
