"""Holes of a point cloud, from witness complexes on a few landmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.topology.living_times import relative_living_times


def witness_holes(points: Tensor, landmarks: Tensor, gamma: float = 1 / 128) -> tuple[Tensor, float]:
    r"""Births and deaths of the holes of a relaxed witness complex.

    The landmarks are the vertices; a simplex :math:`\sigma` appears once some point :math:`w` is a witness up to the
    relaxation :math:`\alpha`: :math:`\max_{l \in \sigma} \lVert w - l \rVert \le \min_{l \notin \sigma} \lVert w - l
    \rVert + \alpha`. The filtration ends at :math:`\alpha_{\max} = \gamma \max_{w, l} \lVert w - l \rVert`.

    Args:
        points: ``(N, D)``, all of them witnesses.
        landmarks: which points are landmarks, ``(L,)`` integers; may repeat.
        gamma: :math:`\gamma`.

    Returns:
        The intervals, ``(k, 2)`` in float64, and :math:`\alpha_{\max}`.

    Raises:
        ImportError: without gudhi.
        ValueError: if the points are no finite matrix, or gamma is not positive.

    Reference:
        de Silva & Carlsson, *Topological estimation using witness complexes*, 2004; with these settings, Khrulkov &
        Oseledets, *Geometry Score*, ICML 2018.

    Example:
        >>> angle = torch.linspace(0, 2 * torch.pi, 201)[:-1]
        >>> circle = torch.stack([angle.cos(), angle.sin()], dim=1)
        >>> intervals, alpha_max = witness_holes(circle, torch.arange(0, 200, 10), gamma=1 / 8)
        >>> len(intervals)
        1
    """
    if points.ndim != 2 or 0 in points.shape or not points.isfinite().all():
        raise ValueError(f"a finite matrix of points (N, D) is needed, got shape {tuple(points.shape)}")
    if gamma <= 0:
        raise ValueError(f"gamma must be positive, got {gamma}")
    points = points.detach().double().cpu()
    exact = "donot_use_mm_for_euclid_dist"  # a product of matrices would lose half the digits of small distances
    distances, order = torch.cdist(points, points[landmarks.cpu()], compute_mode=exact).sort(dim=1, stable=True)
    alpha_max = gamma * float(distances[:, -1].max())
    if alpha_max == 0:  # all points coincide; the complex would be every simplex at once
        return torch.zeros(0, 2, dtype=torch.float64), 0.0
    table = torch.stack([order.double(), distances], dim=2).numpy()
    tree = import_gudhi().WitnessComplex(nearest_landmark_table=table).create_simplex_tree(alpha_max, limit_dimension=2)
    # without triangles gudhi takes the edges' dimension as the highest, and would skip the holes
    tree.compute_persistence(homology_coeff_field=2, persistence_dim_max=tree.dimension() < 2)
    intervals = torch.as_tensor(tree.persistence_intervals_in_dimension(1)).reshape(-1, 2).double()
    return intervals, alpha_max


def draw_landmarks(num_points: int, num_landmarks: int, draw: int, seed: int = 0, replace: bool = False) -> Tensor:
    """Landmarks of one draw: the same for every cloud of the same size, in every process.

    Args:
        num_points: ``N``.
        num_landmarks: ``L``; with fewer points all of them.
        draw: number of the draw.
        seed: of all draws.
        replace: whether a point may be drawn twice.

    Returns:
        Indices, ``(min(L, N),)``, or ``(L,)`` with replacement.

    Example:
        >>> sorted(draw_landmarks(5, 8, draw=0).tolist())
        [0, 1, 2, 3, 4]
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + draw) % 2**63)
    if replace:
        return torch.randint(num_points, (num_landmarks,), generator=generator)
    return torch.randperm(num_points, generator=generator)[:num_landmarks]


def living_times_of_draws(
    points: Tensor,
    draws: Iterable[int],
    *,
    num_landmarks: int = 64,
    gamma: float = 1 / 128,
    max_holes: int = 100,
    seed: int = 0,
    replace: bool = False,
    num_threads: int = 2,
) -> Tensor:
    """Relative living times of a cloud for several draws of landmarks, spread over threads.

    Args:
        points: ``(N, D)``.
        draws: their numbers.
        num_landmarks: landmarks of each draw.
        gamma: as in :func:`witness_holes`.
        max_holes: ``H``, as in :func:`~torchdisentangle.functional.topology.living_times.relative_living_times`.
        seed: of the landmarks.
        replace: whether landmarks are drawn with replacement.
        num_threads: gudhi works outside Python's lock, so threads help.

    Returns:
        ``(n, H + 1)``, a row for each draw; their mean is the cloud's mean relative living times.

    Raises:
        ImportError: without gudhi.
        ValueError: as :func:`witness_holes`.

    Reference:
        Khrulkov & Oseledets, *Geometry Score*, ICML 2018.

    Example:
        >>> square = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
        >>> living_times_of_draws(square, range(3), num_landmarks=16, max_holes=4).shape
        torch.Size([3, 5])
    """
    points = points.detach().double().cpu()

    def of_draw(draw: int) -> Tensor:
        landmarks = draw_landmarks(len(points), num_landmarks, draw, seed, replace)
        return relative_living_times(*witness_holes(points, landmarks, gamma), max_holes)

    with ThreadPoolExecutor(max(1, num_threads)) as pool:
        rows: Iterator[Tensor] = pool.map(of_draw, draws)
        collected = list(rows)
    return torch.stack(collected) if collected else torch.zeros(0, max_holes + 1, dtype=torch.float64)


def import_gudhi() -> Any:
    """The library gudhi, or an error that names the extra."""
    try:
        import gudhi
    except ImportError as error:
        raise ImportError("topology needs gudhi: pip install 'torchdisentangle[topology]'") from error
    return gudhi
