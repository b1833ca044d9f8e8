r"""Bhattacharyya fingerprints: how well a channel tells the points of a data set apart.

A *channel* maps a data point :math:`x_i` to a distribution :math:`p(u \mid x_i)`: a diagonal Gaussian posterior, or the
certain value of a label. Its fingerprint is the matrix of Bhattacharyya coefficients between all pairs of ``F`` points,

.. math:: B_{ij} = \int \sqrt{p(u \mid x_i) \, p(u \mid x_j)} \, du = e^{-D_{ij}}.

Distances :math:`D` of independent channels add: that of a whole latent space is the sum over its latents, and that of
two draws from one channel is twice the distance.

Reference: Murphy, Dillavou & Bassett, *Comparing the information content of probabilistic representation spaces*,
TMLR 2025.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LOG_VARIANCE = 80.0
"""Log-variances are clamped to plus or minus this, so that no variance underflows; e^-40 is far below any encoder's."""


def bhattacharyya_distance(mean: Tensor, log_variance: Tensor, rows: slice = slice(None)) -> Tensor:
    r"""Bhattacharyya distance between the Gaussian posteriors of all pairs of points, for every channel.

    .. math:: D_{ij} = \frac{(\mu_i - \mu_j)^2}{8 \bar\sigma^2} + \frac12 \log \frac{\bar\sigma^2}{\sigma_i \sigma_j},
              \quad \bar\sigma^2 = \tfrac12 (\sigma_i^2 + \sigma_j^2)

    Unchanged if a channel is shifted, scaled or flipped, with its standard deviation.

    Args:
        mean: ``(F, d)``, floating point.
        log_variance: ``(F, d)``.
        rows: which points ``i`` to take; all ``j`` are taken.

    Returns:
        ``(d, R, F)`` in nats, differentiable; sum over the first dimension for the joint space.

    Raises:
        ValueError: if the shapes do not fit.

    Reference:
        Bhattacharyya, *On a measure of divergence between two statistical populations*, 1943.

    Example:
        >>> bhattacharyya_distance(torch.tensor([[0.0], [2.0]]), torch.zeros(2, 1))
        tensor([[[0.0000, 0.5000],
                 [0.5000, 0.0000]]])
    """
    check_posteriors(mean, log_variance)
    mean, log_variance = mean.mT / 8**0.5, log_variance.mT.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)
    half, quarter = 0.5 * log_variance.exp(), 0.25 * log_variance  # scaled here, where they are F numbers, not F^2
    variance = half[:, rows, None] + half[:, None]
    apart = (mean[:, rows, None] - mean[:, None]).square() / variance
    return apart + 0.5 * variance.log() - (quarter[:, rows, None] + quarter[:, None])


def bhattacharyya_coefficients(mean: Tensor, log_variance: Tensor, rows: slice = slice(None)) -> Tensor:
    r"""Bhattacharyya coefficients between the Gaussian posteriors of all pairs of points, for every channel.

    .. math:: B_{ij} = \sqrt{\frac{2 \sigma_i \sigma_j}{\sigma_i^2 + \sigma_j^2}}
              \exp\Bigl(-\frac{(\mu_i - \mu_j)^2}{4 (\sigma_i^2 + \sigma_j^2)}\Bigr)

    1 for points that the channel does not tell apart, 0 for those that it tells apart with certainty.

    Args:
        mean: ``(F, d)``, floating point.
        log_variance: ``(F, d)``.
        rows: which points ``i`` to take; all ``j`` are taken.

    Returns:
        ``(d, R, F)`` in [0, 1], differentiable.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> bhattacharyya_coefficients(torch.zeros(2, 1), torch.tensor([[0.0], [4.0]]).log1p())[0, 0]
        tensor([1.0000, 0.8633])
    """
    return (-bhattacharyya_distance(mean, log_variance, rows)).exp()


def space_coefficients(mean: Tensor, log_variance: Tensor, rows: slice = slice(None)) -> Tensor:
    r"""Bhattacharyya coefficients of a whole latent space, as one channel.

    .. math:: B_{ij} = \exp\Bigl(-\sum_c D^{(c)}_{ij}\Bigr)

    Args:
        mean: ``(F, d)``, floating point.
        log_variance: ``(F, d)``.
        rows: which points ``i`` to take; all ``j`` are taken.

    Returns:
        ``(1, R, F)`` in [0, 1], differentiable.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> space_coefficients(torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.zeros(2, 2))[0, 0]
        tensor([1.0000, 0.3679])
    """
    return (-bhattacharyya_distance(mean, log_variance, rows).sum(0, keepdim=True)).exp()


def label_coefficients(labels: Tensor, rows: slice = slice(None)) -> Tensor:
    r"""Discrete labels as channels: 1 for points of the same value, 0 for others.

    Args:
        labels: ``(F,)`` or ``(F, K)``, one channel for each column.
        rows: which points ``i`` to take; all ``j`` are taken.

    Returns:
        ``(K, R, F)`` in float64.

    Raises:
        ValueError: for another shape.

    Example:
        >>> label_coefficients(torch.tensor([0, 7, 0]))
        tensor([[[1., 0., 1.],
                 [0., 1., 0.],
                 [1., 0., 1.]]], dtype=torch.float64)
    """
    columns = labels[:, None] if labels.ndim == 1 else labels
    if columns.ndim != 2:
        raise ValueError(f"labels must have shape (F,) or (F, K), got {tuple(labels.shape)}")
    return (columns.mT[:, rows, None] == columns.mT[:, None]).double()


def continuity(distance: Tensor, closed: bool = False) -> Tensor:
    r"""How evenly neighbouring points of a curve lie in a representation: whether it has a tear.

    .. math:: \frac{\max_i D_{i,i+1}}{Q_{0.9}(D_{i,i+1})}

    About 1 for a representation that follows the curve; a tear makes it large.

    Args:
        distance: Bhattacharyya distances of points in their order along the curve, ``(..., F, F)``.
        closed: whether the curve is closed, so that the last point is the first one's neighbour.

    Returns:
        ``(...)``, at least 1; 1 also if all neighbours coincide.

    Raises:
        ValueError: with fewer than three points.

    Reference:
        Murphy et al., TMLR 2025 (fusion of weak learners).

    Example:
        >>> mean = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> continuity(bhattacharyya_distance(mean, torch.zeros(4, 1))).round(decimals=4)
        tensor([1.])
    """
    if distance.shape[-1] < 3 or distance.shape[-1] != distance.shape[-2]:
        raise ValueError(f"distances of three or more points are needed, (..., F, F), got {tuple(distance.shape)}")
    steps = distance.diagonal(offset=1, dim1=-2, dim2=-1)
    if closed:
        steps = torch.cat([steps, distance[..., -1, :1]], dim=-1)
    tiny = torch.finfo(distance.dtype).tiny
    return steps.amax(-1).clamp(min=tiny) / steps.quantile(0.9, dim=-1).clamp(min=tiny)


def check_posteriors(mean: Tensor, log_variance: Tensor) -> None:
    """Refuse what are not means and log-variances of Gaussian posteriors."""
    if mean.ndim != 2 or 0 in mean.shape or mean.shape != log_variance.shape or not mean.is_floating_point():
        raise ValueError(
            "mean and log_variance must be floating point of one shape (F, d), F, d >= 1, "
            f"got {tuple(mean.shape)} of {mean.dtype} and {tuple(log_variance.shape)} of {log_variance.dtype}"
        )
