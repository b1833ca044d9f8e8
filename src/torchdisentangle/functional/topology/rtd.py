"""Representation topology divergence, a differentiable difference of two clouds' topologies."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from torchdisentangle.functional.topology.witness import import_gudhi

Variant = Literal["min", "max"]


def representation_topology_divergence(
    distances_a: Tensor, distances_b: Tensor, *, dimension: int = 1, num_bars: int = 50, power: float = 1.0
) -> Tensor:
    r"""Representation topology divergence (RTD), symmetric, of two clouds with a one-to-one correspondence.

    .. math:: \mathrm{RTD} = \tfrac12 \sum_{\text{min}, \text{max}} \Bigl[ \sum_{\text{bars}(A \to B)} (d - b)^p +
              \sum_{\text{bars}(B \to A)} (d - b)^p \Bigr]

    The bars are those of the cross-barcode: persistent homology of the Vietoris-Rips filtration of a doubled cloud
    whose distances are, in the *min* variant, :math:`\begin{pmatrix} 0 & A \\ A & \min(A, B) \end{pmatrix}` and in the
    *max* variant :math:`\begin{pmatrix} 0 & \max(A, B) \\ \max(A, B) & B \end{pmatrix}`. 0 if :math:`A = B`; for two
    points at distances ``a`` and ``b`` it is :math:`|a - b|`. Differentiable: births and deaths are entries of the
    matrices.

    Args:
        distances_a: pairwise distances of the first cloud, ``(n, n)``, symmetric with a zero diagonal.
        distances_b: of the second, in the same order.
        dimension: of the homology, 1 for loops.
        num_bars: the longest bars of each barcode that count.
        power: ``p``.

    Returns:
        A scalar, at least 0. Cost: two to four Vietoris-Rips complexes on ``2n`` points, cubic in ``n``.

    Raises:
        ImportError: without gudhi.
        ValueError: if the matrices are not square and of one size, or not finite.

    Reference:
        Barannikov et al., *Representation Topology Divergence*, ICML 2022; both variants with p = 1 and 50 bars,
        Balabin et al., *Disentanglement Learning via Topology*, ICML 2024.

    Example:
        >>> a, b = torch.tensor([[0.0, 3.0], [3.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> representation_topology_divergence(a, b)
        tensor(2.)
    """
    if distances_a.ndim != 2 or distances_a.shape != distances_b.shape or distances_a.shape[0] != distances_a.shape[1]:
        raise ValueError(
            f"two square matrices of one size are needed, got {tuple(distances_a.shape)} and {tuple(distances_b.shape)}"
        )
    if not (distances_a.isfinite().all() and distances_b.isfinite().all()):
        raise ValueError("distances must be finite")
    total = distances_a.new_zeros(())
    for first, second in ((distances_a, distances_b), (distances_b, distances_a)):
        for variant in get_args(Variant):
            bars = cross_barcode(first, second, variant=variant, dimension=dimension)
            longest = (bars[:, 1] - bars[:, 0]).clamp(min=0).sort(descending=True).values[:num_bars]
            total = total + longest.pow(power).sum()
    return total / 2


def cross_barcode(distances_a: Tensor, distances_b: Tensor, *, variant: Variant = "min", dimension: int = 1) -> Tensor:
    """Finite bars of the cross-barcode from one cloud to another.

    Args:
        distances_a: ``(n, n)``.
        distances_b: ``(n, n)``.
        variant: ``"min"`` or ``"max"``, as in :func:`representation_topology_divergence`.
        dimension: of the homology, at least 1.

    Returns:
        Births and deaths, ``(k, 2)``, differentiable with respect to the distances.

    Raises:
        ImportError: without gudhi.

    Reference:
        Barannikov et al., ICML 2022.

    Example:
        >>> a, b = torch.tensor([[0.0, 3.0], [3.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> cross_barcode(a, b)
        tensor([[1., 3.]])
    """
    zero = torch.zeros_like(distances_a)
    if variant == "min":
        across, last = distances_a, torch.minimum(distances_a, distances_b)
    else:
        across, last = torch.maximum(distances_a, distances_b), distances_b
    matrix = torch.cat([torch.cat([zero, across], 1), torch.cat([across, last], 1)])
    tree = (
        import_gudhi()
        .RipsComplex(distance_matrix=matrix.detach().double().cpu().numpy())
        .create_simplex_tree(max_dimension=dimension + 1)
    )
    tree.compute_persistence(homology_coeff_field=2)
    by_dimension = tree.flag_persistence_generators()[1]
    edges = by_dimension[dimension - 1] if len(by_dimension) >= dimension else np.zeros((0, 4), dtype=int)
    edges = torch.as_tensor(edges, device=matrix.device).long().reshape(-1, 4)  # birth edge and death edge of each bar
    return torch.stack([matrix[edges[:, 0], edges[:, 1]], matrix[edges[:, 2], edges[:, 3]]], dim=1)


def quantile_normalized_distances(points: Tensor, quantile: float = 0.9) -> Tensor:
    r"""Pairwise Euclidean distances divided by one of their quantiles, so that clouds of any scale compare.

    The gradient passes through the quantile too: with a constant one a penalty on these distances would have a part
    that pulls all points together, though its value does not depend on their scale.

    Args:
        points: ``(n, *data_shape)``, flattened.
        quantile: of the distances between different points.

    Returns:
        ``(n, n)``; all zero if the points coincide.

    Reference:
        Balabin et al., *Disentanglement Learning via Topology*, ICML 2024.

    Example:
        >>> quantile_normalized_distances(torch.tensor([[0.0], [2.0]]))
        tensor([[0., 1.],
                [1., 0.]])
    """
    flat = points.flatten(1)
    n = len(flat)
    first, second = torch.triu_indices(n, n, offset=1, device=flat.device)
    between = (flat[first] - flat[second]).norm(dim=1)
    scale = between.quantile(quantile).clamp(min=1e-5) if len(between) else between.new_ones(())
    matrix = flat.new_zeros(n, n)
    matrix = matrix.index_put((first, second), between / scale)
    return matrix + matrix.mT


def shift_latent(z: Tensor, latent: int, step: float) -> tuple[Tensor, Tensor]:
    r"""Move one latent along its distribution, keeping that distribution.

    .. math:: z_i' = m + s \, \Phi^{-1}\bigl( \Phi((z_i - m) / s) + c \bigr)

    with the mean ``m`` and standard deviation ``s`` of the batch.

    Args:
        z: ``(n, d)``.
        latent: ``i``.
        step: ``c``, in units of probability; rows that would leave (0, 1) are dropped.

    Returns:
        The shifted latents of the rows that remain ``(k, d)``, and which rows these are ``(n,)``.

    Reference:
        Balabin et al., *Disentanglement Learning via Topology*, ICML 2024.

    Example:
        >>> z = torch.tensor([[-1.0], [0.0], [1.0]])
        >>> shifted, kept = shift_latent(z, 0, 1 / 8)
        >>> kept
        tensor([ True,  True, False])
    """
    column = z[:, latent]
    mean, std = column.mean(), column.std(correction=0).clamp(min=1e-6)
    level = torch.special.ndtr((column - mean) / std) + step
    kept = (level > 0) & (level < 1)
    moved = z[kept].clone()
    moved[:, latent] = mean + std * torch.special.ndtri(level[kept])
    return moved, kept
