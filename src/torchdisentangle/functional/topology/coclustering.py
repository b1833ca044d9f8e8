"""Groups of latents that act alike, from distances between what they generate."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

SCORE_SCALE = 1e4  # by which the published scores are multiplied


class CoClustering(NamedTuple):
    """The best partition of a distance matrix into blocks, and its score.

    Args:
        score: how much closer rows are to the columns of their own block than to others; higher is better.
        variance: of the block means behind the score; the partition is chosen by the smallest.
        num_clusters: number of blocks.
        rows: block of each row, ``(n,)``.
        columns: block of each column, ``(m,)``.
    """

    score: float
    variance: float
    num_clusters: int
    rows: Tensor
    columns: Tensor


def block_score(distances: Tensor, rows: Tensor, columns: Tensor) -> tuple[float, float]:
    r"""Score of a given partition into blocks.

    .. math:: s = \frac{10^4}{T} \sum_t \Bigl( \overline{M}[R_t, \bar C_t] - \overline{M}[R_t, C_t] \Bigr), \quad
              v = \frac{10^4}{T} \sum_t \left( \frac{\sigma(M[R_t, C_t])}{|R_t| |C_t|} \right)^2
              + \left( \frac{\sigma(M[R_t, \bar C_t])}{|R_t| |\bar C_t|} \right)^2

    Blocks without rows, without columns, or with all columns contribute 0 to both.

    Args:
        distances: :math:`M`, ``(n, m)``, between 0 and 1.
        rows: block of each row, ``(n,)``.
        columns: block of each column, ``(m,)``.

    Returns:
        Score and variance.

    Reference:
        Zhou et al., *Evaluating the Disentanglement of Deep Generative Models through Manifold Topology*, ICLR 2021.

    Example:
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> distances = torch.where(labels[:, None] == labels, 0.001, 0.01)
        >>> score, variance = block_score(distances, labels, labels)
        >>> round(score, 3)
        90.0
    """
    num_clusters = int(max(rows.max(), columns.max())) + 1
    score = variance = 0.0
    for t in range(num_clusters):
        block = distances[rows == t].double()
        inside, outside = block[:, columns == t], block[:, columns != t]
        if inside.numel() and outside.numel():
            score += float(outside.mean() - inside.mean())
            variance += sum(float(part.std(correction=0) / part.numel()) ** 2 for part in (inside, outside))
    return SCORE_SCALE * score / num_clusters, SCORE_SCALE * variance / num_clusters


def co_cluster(distances: Tensor, num_clusters: int | None = None, *, empty_blocks: bool = False) -> CoClustering:
    r"""Spectral co-clustering of a distance matrix, with the number of blocks chosen by the smallest variance.

    Args:
        distances: ``(n, m)``, between 0 and 1; latents against latents, or latents against factors.
        num_clusters: number of blocks; ``None``: the best from 2 to ``min(n, m)``.
        empty_blocks: whether partitions with blocks that have no row, or no column, may be chosen. They look less
            variable than they are; the published code admits them.

    Returns:
        The partition and its score: 0, in one block, where there are fewer than two rows or columns, or no partition
        is admitted.

    Raises:
        ImportError: without scikit-learn.
        ValueError: if the distances are no finite matrix of values between 0 and 1.

    Reference:
        Zhou et al., ICLR 2021; Dhillon, *Co-clustering documents and words using bipartite spectral graph
        partitioning*, KDD 2001.

    Example:
        >>> labels = torch.tensor([0, 1, 2, 0, 1, 2])
        >>> distances = torch.where(labels[:, None] == labels, 0.001, 0.01)
        >>> co_cluster(distances).num_clusters
        3
    """
    if distances.ndim != 2 or not ((distances >= 0) & (distances <= 1)).all():
        raise ValueError(f"a matrix of distances between 0 and 1 is needed, got shape {tuple(distances.shape)}")
    n, m = distances.shape
    whole = CoClustering(0.0, 0.0, 1, torch.zeros(n, dtype=torch.int64), torch.zeros(m, dtype=torch.int64))
    counts = range(2, min(n, m) + 1) if num_clusters is None else [num_clusters]
    partitions = (_partition(distances, count) for count in counts if 2 <= count <= min(n, m))
    admitted = [partition for partition in partitions if empty_blocks or _has_all_blocks(partition)]
    return min(admitted, key=lambda partition: partition.variance, default=whole)


def _partition(distances: Tensor, num_clusters: int) -> CoClustering:
    model = _spectral_coclustering()(n_clusters=num_clusters, random_state=0)
    # a similarity of exactly 0 in a whole row or column has no normalisation
    similarity = (1 - distances.detach().double().cpu()).clamp(min=1e-12).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct points than clusters: such partitions have empty blocks
        model.fit(similarity)
    rows, columns = torch.as_tensor(model.row_labels_).long(), torch.as_tensor(model.column_labels_).long()
    score, variance = block_score(distances.detach().cpu(), rows, columns)
    return CoClustering(score, variance, num_clusters, rows, columns)


def _has_all_blocks(partition: CoClustering) -> bool:
    return all(len(labels.unique()) == partition.num_clusters for labels in (partition.rows, partition.columns))


def _spectral_coclustering() -> Any:
    try:
        from sklearn.cluster import SpectralCoclustering
    except ImportError as error:
        raise ImportError("co-clustering needs scikit-learn: pip install 'torchdisentangle[topology]'") from error
    return SpectralCoclustering
