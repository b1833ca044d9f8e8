r"""Bins of real numbers, and of Gaussian posteriors.

``B`` bins are given by their ``B - 1`` inner edges in ascending order, ``(B - 1,)`` for all dimensions or
``(d, B - 1)`` for each. A bin holds its left edge; the outer two bins are open, so every number has a bin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchdisentangle.functional.device import Device

_NARROWEST = -170.0  # log-variance below which 1 / sigma would overflow in float32
_LOWEST_PEAK = 1e-5  # density at the nearest centre below which a posterior is narrower than its bin


def equal_width_edges(
    low: Tensor | float, high: Tensor | float, num_bins: int, *, device: Device | None = None
) -> Tensor:
    r"""Inner edges of bins of equal width.

    .. math:: e_k = l + k \, (h - l) / B, \quad k = 1, \dots, B - 1

    Args:
        low: lower end of the range, a number or ``(d,)``.
        high: upper end. Where it equals the lower end (a constant code) all numbers are in one bin.
        num_bins: number of bins ``B``.
        device: where the edges shall be; by default where the range is.

    Returns:
        ``(B - 1,)`` or ``(d, B - 1)`` in float64.

    Raises:
        ValueError: if a range of numbers is not finite or descends, or there is no bin. Tensors are not looked at,
            since that would be a wait for their device.

    Example:
        >>> equal_width_edges(-1.0, 1.0, 4)
        tensor([-0.5000,  0.0000,  0.5000], dtype=torch.float64)
    """
    _check_number(num_bins)
    numbers = [end for end in (low, high) if not isinstance(end, Tensor)]
    if not all(map(math.isfinite, numbers)) or sorted(numbers) != numbers:
        raise ValueError(f"a range must be finite and ascend, got {low} to {high}")
    lower, upper = (_as_float64(end, device) for end in (low, high))
    steps = torch.arange(1, num_bins, dtype=torch.float64, device=lower.device)
    lower, upper = lower[..., None], upper[..., None]
    edges = lower + steps * ((upper - lower) / num_bins)
    share = steps / num_bins
    return torch.where(edges.isfinite(), edges, (1 - share) * lower + share * upper)  # the width may overflow


def normal_quantile_edges(num_bins: int) -> Tensor:
    r"""Inner edges of bins that a standard normal fills equally: its quantiles.

    .. math:: e_k = \Phi^{-1}(k / B), \quad k = 1, \dots, B - 1

    Args:
        num_bins: number of bins ``B``.

    Returns:
        ``(B - 1,)`` in float64.

    Raises:
        ValueError: if there is no bin.

    Example:
        >>> normal_quantile_edges(4)
        tensor([-0.6745,  0.0000,  0.6745], dtype=torch.float64)
    """
    _check_number(num_bins)
    return torch.special.ndtri(torch.arange(1, num_bins, dtype=torch.float64) / num_bins)


def assign_bins(values: Tensor, edges: Tensor) -> Tensor:
    """The bin that each number falls into.

    Args:
        values: ``(n, d)``.
        edges: inner edges, ``(B - 1,)`` or ``(d, B - 1)``.

    Returns:
        ``(n, d)`` integers from 0 to ``B - 1``, contiguous along ``n``.

    Example:
        >>> assign_bins(torch.tensor([[-9.0], [0.0], [0.2], [1.0]]), torch.tensor([0.0, 1.0]))[:, 0]
        tensor([0, 1, 1, 2])
    """
    by_dimension = values.mT.to(edges).contiguous()
    shared = edges if edges.ndim == 1 else edges.contiguous()
    return torch.searchsorted(shared, by_dimension, right=True).mT


def assign_equal_bins(values: Tensor, low: Tensor | float, high: Tensor | float, num_bins: int) -> Tensor:
    """The bin of equal width that each number falls into: as :func:`assign_bins` by search, but twice as fast.

    Arithmetic finds the bin up to one place, the edges decide: so a number next to an edge is where search puts it.

    Args:
        values: ``(n, d)``.
        low: lower end of the range, a number or ``(d,)``.
        high: upper end.
        num_bins: number of bins ``B``.

    Returns:
        ``(n, d)`` integers from 0 to ``B - 1``, contiguous along ``n``.

    Raises:
        ValueError: as :func:`equal_width_edges`.

    Example:
        >>> assign_equal_bins(torch.tensor([[-9.0], [0.0], [0.5], [1.0]]), 0.0, 1.0, 2)[:, 0]
        tensor([0, 0, 1, 1])
    """
    edges = equal_width_edges(low, high, num_bins, device=values.device)
    half_low, half_high = (0.5 * _as_float64(end, values.device)[..., None] for end in (low, high))
    half_width = (half_high - half_low) / num_bins  # the width itself may overflow
    x = values.mT.to(edges).contiguous()
    end = edges.new_full((*edges.shape[:-1], 1), torch.inf)
    starts = torch.cat([-end, edges, end], -1).expand(len(x), -1).reshape(-1)
    divisor = torch.where(half_width > 0, half_width, torch.inf)  # a constant is in one bin, whichever
    guess = torch.add(-half_low, x, alpha=0.5).div_(divisor).clamp_(0, num_bins - 1).long()
    place = guess + (num_bins + 1) * torch.arange(len(x), device=x.device)[:, None]
    return (guess - (x < starts.take(place)).long() + (x >= starts.take(place + 1)).long()).mT


def soft_bins(mean: Tensor, log_variance: Tensor, edges: Tensor) -> Tensor:
    r"""Probability of each bin under Gaussian posteriors.

    .. math:: Q_b = \Phi\Bigl(\frac{e_{b+1} - \mu}{\sigma}\Bigr) - \Phi\Bigl(\frac{e_b - \mu}{\sigma}\Bigr), \quad
              e_0 = -\infty, \; e_B = \infty

    The bin is a function of the code, so information about the bin never exceeds information about the code.
    Differences are taken of the smaller tails, and keep their relative precision far out. Differentiable.

    Args:
        mean: ``(n, d)``.
        log_variance: ``(n, d)``, logarithms of variances.
        edges: inner edges, ``(B - 1,)`` or ``(d, B - 1)``.

    Returns:
        ``(n, d, B)``; sums to 1 over bins.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020
        (quantised posteriors; with open outer bins and exact probabilities instead of densities at centres).

    Example:
        >>> soft_bins(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([-1.0, 1.0]))
        tensor([[[0.1587, 0.6827, 0.1587]]])
    """
    scale = 2**0.5 * (-0.5 * log_variance.clamp(min=_NARROWEST)).exp()
    z = (mean[..., None] - edges.to(mean)) * scale[..., None]
    half = torch.copysign(z.new_full((), 0.5), z.detach())  # negative for edges above the mean
    signed = torch.special.erfc(z * half) * half  # the smaller tail: the distribution function, or that less 1
    nothing = torch.zeros_like(mean)[..., None]
    steps = torch.cat([nothing, signed, nothing], -1).diff(dim=-1)
    holds_mean = (half.sum(-1, keepdim=True) + half.shape[-1] / 2).long()  # as many edges are below
    return steps.scatter_add_(-1, holds_mean, nothing + 1)


def density_bins(
    mean: Tensor, log_variance: Tensor, low: Tensor | float, high: Tensor | float, num_bins: int
) -> Tensor:
    r"""Bins weighted by the posterior's density at their centres, as the published numbers were computed.

    .. math:: Q_b \propto \mathcal N(c_b; \mu, \sigma^2), \quad c_b = l + (b + \tfrac12) (h - l) / B

    A posterior whose density is below 1e-5 at every centre counts fully in the bin of its mean. Mass outside the range
    is spread back inside; posteriors a little narrower than a bin are misjudged. :func:`soft_bins` has neither defect.

    Args:
        mean: ``(n, d)``.
        log_variance: ``(n, d)``.
        low: lower end of the range, one number.
        high: upper end.
        num_bins: number of bins ``B``.

    Returns:
        ``(n, d, B)``; sums to 1 over bins.

    Reference:
        Do & Tran, ICLR 2020 (quantised estimator).

    Example:
        >>> density_bins(torch.zeros(1, 1), torch.zeros(1, 1), -1.5, 1.5, 3)
        tensor([[[0.2741, 0.4519, 0.2741]]])
    """
    edges = equal_width_edges(low, high, num_bins, device=mean.device)
    width = (high - low) / num_bins
    centres = low + (torch.arange(num_bins, dtype=torch.float64, device=mean.device) + 0.5) * width
    log_density = -0.5 * (
        ((centres.to(mean) - mean[..., None]) * (-0.5 * log_variance.clamp(min=_NARROWEST)).exp()[..., None]).square()
        + log_variance[..., None]
        + math.log(2 * math.pi)
    )
    narrow = log_density.amax(-1, keepdim=True) < math.log(_LOWEST_PEAK)
    holds_mean = assign_bins(mean, edges)[..., None] == torch.arange(num_bins, device=mean.device)
    return torch.where(narrow, holds_mean.to(mean.dtype), torch.softmax(log_density, dim=-1))


def _check_number(num_bins: int) -> None:
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")


def _as_float64(end: Tensor | float, device: Device | None) -> Tensor:
    """An end of a range; a number is filled in, not copied, since a GPU waits for copies."""
    if isinstance(end, Tensor):
        return end.to(device=device, dtype=torch.float64)
    return torch.full((), end, dtype=torch.float64, device=device)
