"""How far the second moments of codes are from those of independent ones."""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.gram import log_det_correlation


def gaussian_total_correlation(covariance: Tensor) -> Tensor:
    r"""Total correlation of a Gaussian with a given covariance.

    .. math:: \mathrm{TC} = \tfrac12 \Bigl( \sum_i \log \Sigma_{ii} - \log \det \Sigma \Bigr)
              = -\tfrac12 \log \det R

    with the correlation matrix :math:`R`. Sees second moments only: 0 also for codes that are uncorrelated but
    dependent. Differentiable.

    Args:
        covariance: ``(d, d)``, symmetric and positive semi-definite. A constant code (variance 0) is independent of all
            others and left out.

    Returns:
        A scalar in nats, at least 0. A singular covariance, as of a duplicated code, gives about 16 for each lost
        dimension instead of infinity.

    Raises:
        ValueError: if ``covariance`` is no finite square matrix.

    Reference:
        Watanabe, *Information theoretical analysis of multivariate correlation*, 1960; as a metric of codes, Locatello
        et al., *Challenging Common Assumptions*, ICML 2019.

    Example:
        >>> gaussian_total_correlation(torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
        tensor(0.8304)
    """
    check_covariance(covariance)
    variance = covariance.diagonal()
    constant = variance <= 0
    scale = variance.masked_fill(constant, 1.0).rsqrt()
    correlation = covariance * scale[:, None] * scale
    diagonal = torch.eye(len(covariance), dtype=torch.bool, device=covariance.device)
    correlation = correlation.masked_fill(constant[:, None] | constant, 0.0).masked_fill(diagonal, 1.0)
    return -0.5 * log_det_correlation(correlation)[0].clamp(max=0.0)


def gaussian_wasserstein_correlation(covariance: Tensor, normalize: bool = False) -> Tensor:
    r"""Squared Wasserstein distance between a Gaussian and the product of its marginals.

    .. math:: W_2^2 = 2 \operatorname{tr} \Sigma
              - 2 \operatorname{tr} \bigl( D^{1/2} \, \Sigma \, D^{1/2} \bigr)^{1/2}, \quad
              D = \operatorname{diag} \Sigma

    In squared units of the codes; ``normalize`` divides by the total variance :math:`\operatorname{tr} \Sigma`.

    Args:
        covariance: ``(d, d)``, symmetric and positive semi-definite; may be singular.
        normalize: whether to divide by the trace.

    Returns:
        A scalar, at least 0: 0 for uncorrelated codes, and if all are constant. Normalised it is below 2.

    Raises:
        ValueError: if ``covariance`` is no finite square matrix.

    Reference:
        Xiao & Wang, *Disentangled Representation Learning with Wasserstein Total Correlation*, 2019; distance of
        Gaussians: Dowson & Landau, 1982.

    Example:
        >>> gaussian_wasserstein_correlation(torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
        tensor(0.6107)
    """
    check_covariance(covariance)
    root = covariance.diagonal().clamp(min=0).sqrt()
    trace = covariance.diagonal().sum()
    eigenvalues = torch.linalg.eigvalsh(root[:, None] * covariance * root).clamp(min=0)
    distance = (2 * trace - 2 * eigenvalues.sqrt().sum()).clamp(min=0)
    return torch.where(trace > 0, distance / trace.masked_fill(trace <= 0, 1.0), 0.0) if normalize else distance


def check_covariance(covariance: Tensor) -> None:
    """Refuse what is no finite square matrix."""
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not len(covariance):
        raise ValueError(f"a covariance of shape (d, d) is needed, got {tuple(covariance.shape)}")
    if not covariance.isfinite().all():
        raise ValueError("a covariance must be finite")
