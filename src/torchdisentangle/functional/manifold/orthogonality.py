"""Distance to orthogonality: how far a decoder's singular directions are from its latent axes."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from torchdisentangle.functional.device import to_float64
from torchdisentangle.functional.manifold.entropy import check_gram

MIN_GAP = 1e-5
"""Smallest distance of neighbouring singular values, in units of the largest, at which directions are taken as known.

Rounding of float32 Jacobians turns singular vectors by about 1e-7 over this.
"""


def distance_to_orthogonality(gram: Tensor, normalize: bool = False, min_gap: float = MIN_GAP) -> Tensor:
    r"""Distance to orthogonality (DtO) of a decoder.

    .. math:: \mathbb{E}_z \min_P \lVert V(z) - P \rVert_F, \quad J = U \Sigma V^\top

    over the signed permutations ``P``. The columns of ``V`` are the directions in latent space along which the data
    move most, second most, and so on: the eigenvectors of :math:`J^\top J`. Zero if these are the latent axes, so that
    the columns of the Jacobian are orthogonal.

    Args:
        gram: Gram matrices of Jacobians, ``(N, d, d)``.
        normalize: whether to divide by :math:`\sqrt d`.
        min_gap: a sample whose singular values are closer together, in units of the largest, is left out: equal ones
            leave the directions undetermined.

    Returns:
        A scalar, at most :math:`\sqrt{2 d}`; NaN if no sample determines its directions.

    Raises:
        ValueError: if ``gram`` is not ``(N, d, d)``.

    Reference:
        Rolinek, Zietlow & Martius, *Variational Autoencoders Pursue PCA Directions (by Accident)*, CVPR 2019.

    Example:
        >>> turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() / 2**0.5
        >>> jacobian = torch.tensor([2.0, 1.0]).double().diag() @ turn.T
        >>> distance_to_orthogonality((jacobian.T @ jacobian)[None])
        tensor(1.0824, dtype=torch.float64)
    """
    check_gram(gram)
    return orthogonality_distances(gram, normalize, min_gap).nanmean(0)


def orthogonality_distances(gram: Tensor, normalize: bool = False, min_gap: float = MIN_GAP) -> Tensor:
    """Distance to orthogonality of each sample by itself.

    Args:
        gram: ``(N, d, d)``.
        normalize: whether to divide by the root of ``d``.
        min_gap: as for :func:`distance_to_orthogonality`.

    Returns:
        ``(N,)``; NaN where singular values are closer together.

    Example:
        >>> orthogonality_distances(torch.stack([torch.diag(torch.tensor([4.0, 1.0])), torch.eye(2)]))
        tensor([0., nan], dtype=torch.float64)
    """
    eigenvalues, vectors = torch.linalg.eigh(to_float64(gram.detach()))
    singular_values = eigenvalues.clamp(min=0).sqrt()
    known = (singular_values.diff(dim=1) > min_gap * singular_values[:, -1:]).all(1)
    closeness = vectors.abs().cpu().numpy()
    aligned = [of_one[linear_sum_assignment(of_one, maximize=True)].sum() for of_one in closeness]
    size = gram.shape[-1]
    squared = 2 * size - 2 * eigenvalues.new_tensor(aligned)
    distance = (squared.clamp(min=0) / (size if normalize else 1)).sqrt()
    return distance.masked_fill(~known, torch.nan)
