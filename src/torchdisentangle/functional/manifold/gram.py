r"""Per-sample geometry of a decoder, from its Gram matrices :math:`G = J^\top J` (the pull-back metric).

Everything is computed in float64, because :math:`1 - \rho^2` of nearly parallel tangent vectors is lost in float32.
Three floors keep degenerate decoders finite:

* a column of the Jacobian shorter than :data:`DEAD_NORM` is a *dead* latent: its norm counts as ``DEAD_NORM`` and it is
  orthogonal to every other latent;
* :math:`1 - \rho^2` of two columns is at least :data:`SATURATION`, the rounding error of a float64 Gram matrix, so
  that identical columns have the mutual information :data:`MAX_PAIRWISE` (about 15.9 nats) instead of infinity;
* the eigenvalues of a singular correlation matrix are at least a quarter of :data:`SATURATION`.

Where a function takes ``num_probes``, the Gram matrix may be that of this many random projections of the Jacobian, from
:func:`~torchdisentangle.functional.probed_jacobian`: the result is then right on average instead of exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from torchdisentangle.functional.device import float64_device, to_float64
from torchdisentangle.functional.manifold.determinant import SATURATION, log_det_correlation
from torchdisentangle.functional.manifold.wishart import log_volume_bias, pairwise_bias

DEAD_NORM = 1e-12
MAX_PAIRWISE = -0.5 * math.log(SATURATION)

_STRIP = 96  # columns; on a CPU the fastest for 256 to 784 of them


def gram_matrix(jacobian: Tensor, data_std: Tensor | float | None = None) -> Tensor:
    r"""Gram matrices of the columns of Jacobians, in float64.

    .. math:: G = J^\top \operatorname{diag}(s)^2 J

    Args:
        jacobian: ``(N, D, d)``.
        data_std: ``s``, the standard deviation by which each data dimension was divided before the model saw it,
            ``(D,)`` or a number; the result is then in the data's own unit. ``None``: no rescaling.

    Returns:
        ``(N, d, d)`` in float64.

    Raises:
        ValueError: if the Jacobian is not ``(N, D, d)`` or the standard deviation does not fit it.

    Reference:
        Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025.

    Example:
        >>> gram_matrix(torch.tensor([[[3.0, 0.0], [4.0, 1.0]]]))
        tensor([[[25.,  4.],
                 [ 4.,  1.]]], dtype=torch.float64)
    """
    return product_of_columns(rescale_jacobian(jacobian, data_std))


def product_of_columns(matrices: Tensor) -> Tensor:
    r"""Products :math:`A^\top A`. Of large ones, which are symmetric, little more than a half is multiplied out.

    Args:
        matrices: ``(N, D, d)``.

    Returns:
        ``(N, d, d)``.

    Example:
        >>> product_of_columns(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 2.],
                 [2., 4.]]])
    """
    size = matrices.shape[-1]
    if min(matrices.shape[1:]) < 2 * _STRIP or matrices.requires_grad:
        return matrices.mT @ matrices
    product = matrices.new_empty(len(matrices), size, size)
    for start in range(0, size, _STRIP):
        stop = min(start + _STRIP, size)
        strip = matrices[:, :, start:stop].mT @ matrices[:, :, :stop]
        product[:, :stop, start:stop] = strip.mT
        product[:, start:stop, :stop] = strip
    return product


def rescale_jacobian(jacobian: Tensor, data_std: Tensor | float | None) -> Tensor:
    """Rows of a Jacobian in the data's own unit: each scaled by the standard deviation of its data dimension.

    Args:
        jacobian: ``(N, D, d)``.
        data_std: ``(D,)``, a number, or ``None``.

    Returns:
        ``(N, D, d)`` in float64.

    Raises:
        ValueError: if the Jacobian is not ``(N, D, d)`` or the standard deviation does not fit it.

    Example:
        >>> rescale_jacobian(torch.ones(1, 2, 1), torch.tensor([2.0, 3.0])).flatten()
        tensor([2., 3.], dtype=torch.float64)
    """
    if jacobian.ndim != 3 or not jacobian.is_floating_point():
        raise ValueError(
            f"Jacobians must be floating point of shape (N, D, d), got {tuple(jacobian.shape)} of {jacobian.dtype}"
        )
    if data_std is None:
        return to_float64(jacobian)
    jacobian = jacobian.to(float64_device(jacobian.device))
    scale = torch.as_tensor(data_std, dtype=torch.float64, device=jacobian.device).flatten()
    if scale.numel() not in (1, jacobian.shape[1]):
        raise ValueError(f"data_std must be a number or have {jacobian.shape[1]} entries, got {scale.numel()}")
    return jacobian * scale[:, None]


def log_column_norms(gram: Tensor, num_probes: int | None = None) -> Tensor:
    r"""Logarithm of the length of each tangent vector, :math:`\log \lVert J_i \rVert = \tfrac12 \log G_{ii}`.

    Args:
        gram: Gram matrices, ``(..., d, d)``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        ``(..., d)`` in nats; a dead latent has ``log(DEAD_NORM)``.

    Example:
        >>> log_column_norms(torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64)))
        tensor([  0.0000, -27.6310], dtype=torch.float64)
    """
    log_norms = 0.5 * gram.diagonal(dim1=-2, dim2=-1).clamp(min=DEAD_NORM**2).log()
    return log_norms if num_probes is None else _unbiased(log_norms, dead_latents(gram), num_probes)


def _unbiased(log_norms: Tensor, dead: Tensor, num_probes: int) -> Tensor:
    return torch.where(dead, log_norms, log_norms - log_volume_bias(1, num_probes)[1])


def dead_latents(gram: Tensor) -> Tensor:
    """Which latents do not move the data: those whose tangent vector is shorter than :data:`DEAD_NORM`.

    Args:
        gram: ``(..., d, d)``.

    Returns:
        Booleans, ``(..., d)``.

    Example:
        >>> dead_latents(torch.diag(torch.tensor([1.0, 0.0])))
        tensor([False,  True])
    """
    return gram.diagonal(dim1=-2, dim2=-1) < DEAD_NORM**2


def tangent_correlation(gram: Tensor) -> Tensor:
    r"""Cosines between tangent vectors.

    .. math:: \rho_{ij} = G_{ij} / \sqrt{G_{ii} G_{jj}}

    Args:
        gram: ``(..., d, d)``.

    Returns:
        ``(..., d, d)`` with ones on the diagonal; dead latents have cosine 0 with all others.

    Example:
        >>> tangent_correlation(torch.tensor([[4.0, 2.0], [2.0, 4.0]], dtype=torch.float64))
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]], dtype=torch.float64)
    """
    return TangentVectors.of(gram).correlation


@dataclass(frozen=True)
class TangentVectors:
    """What Gram matrices tell of each tangent vector and of each pair.

    Args:
        log_norms: ``(..., d)``, of Gram matrices as they are.
        dead: which latents do not move the data, ``(..., d)``.
        correlation: cosines, ``(..., d, d)``.
    """

    log_norms: Tensor
    dead: Tensor
    correlation: Tensor

    @classmethod
    def of(cls, gram: Tensor) -> TangentVectors:
        """From Gram matrices ``(..., d, d)``."""
        log_norms, dead = log_column_norms(gram), dead_latents(gram)
        inverse_norm = (-log_norms).exp().masked_fill(dead, 0.0)
        correlation = (gram * inverse_norm[..., :, None] * inverse_norm[..., None, :]).clamp_(-1.0, 1.0)
        correlation.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        return cls(log_norms, dead, correlation)

    def of_latents(self, index: Tensor) -> TangentVectors:
        """Those of the latents of an index set, ``(s,)``."""
        return TangentVectors(
            self.log_norms[..., index], self.dead[..., index], self.correlation[..., index[:, None], index]
        )

    def unbiased_log_norms(self, num_probes: int | None) -> Tensor:
        """The log-lengths that so many projections estimate, ``(..., d)``."""
        return self.log_norms if num_probes is None else _unbiased(self.log_norms, self.dead, num_probes)

    def log_volume(self, log_det: Tensor, num_probes: int | None) -> Tensor:
        """The log-volumes, ``(...)``, from the log-determinants of the cosines."""
        volume = self.log_norms.sum(-1) + 0.5 * log_det
        if num_probes is None:
            return volume
        bias = _log_volume_bias_on(self.log_norms.shape[-1], num_probes, volume.device)
        return volume - bias[(~self.dead).sum(-1)]  # dead latents are at their floor, which has no bias


def log_volume(gram: Tensor, index_set: Sequence[int] | None = None, num_probes: int | None = None) -> Tensor:
    r"""Logarithm of the matrix volume of a set of tangent vectors.

    .. math:: \log |J_S| = \tfrac12 \log\det (J_S^\top J_S)

    Args:
        gram: ``(..., d, d)``.
        index_set: the latents ``S``; ``None``: all.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        ``(...)`` in nats.

    Raises:
        ValueError: if there are fewer probes than latents in the set.

    Example:
        >>> log_volume(torch.diag(torch.tensor([4.0, 9.0], dtype=torch.float64)))
        tensor(1.7918, dtype=torch.float64)
    """
    if index_set is not None:
        index = torch.as_tensor(list(index_set), device=gram.device)
        gram = gram[..., index[:, None], index]
    vectors = TangentVectors.of(gram)
    return vectors.log_volume(log_det_correlation(vectors.correlation)[0], num_probes)


@lru_cache
def _log_volume_bias_on(max_size: int, num_probes: int, device: torch.device) -> Tensor:
    return torch.tensor(log_volume_bias(max_size, num_probes), dtype=torch.float64, device=device)


def pairwise_mutual_information(correlation: Tensor, num_probes: int | None = None) -> Tensor:
    r"""Mutual information of pairs of tangent vectors with cosine :math:`\rho`.

    .. math:: -\tfrac12 \log (1 - \rho^2)

    Args:
        correlation: cosines, any shape.
        num_probes: number of projections that the cosines were found from, at least two; ``None``: of the tangent
            vectors themselves. The cosine 0 is then taken for that of a dead latent.

    Returns:
        Same shape, nats, between 0 and :data:`MAX_PAIRWISE`; from probes single values may be slightly negative.

    Raises:
        ValueError: if there is one probe only.

    Example:
        >>> pairwise_mutual_information(torch.tensor([0.0, 0.8, 1.0]))
        tensor([-0.0000,  0.5108, 15.9424])
    """
    information = -0.5 * (1 - correlation.square()).clamp(min=SATURATION, max=1.0).log()
    if num_probes is None:
        return information
    estimate = information - pairwise_bias(num_probes)
    at_a_bound = (correlation == 0) | (information >= MAX_PAIRWISE)
    return torch.where(at_a_bound, information, estimate)
