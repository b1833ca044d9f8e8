r"""Disentanglement and completeness of a matrix of importances (Eastwood & Williams).

:math:`R_{df} \ge 0` says how much code ``d`` helps to predict factor ``f``; it comes from a fitted predictor, see
:class:`~torchdisentangle.supervised.DCI`. Entropies are relative to their maximum, so the scores are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor


def disentanglement_per_code(importance: Tensor) -> Tensor:
    r"""How far each code serves one factor only.

    .. math:: D_d = 1 + \sum_f p_{df} \log_F p_{df}, \quad p_{df} = R_{df} / \sum_g R_{dg}

    Args:
        importance: ``(D, F)``, none negative.

    Returns:
        ``(D,)`` in [0, 1]; 0 for a code without importance, and 1 for one with importance if there is one factor only.

    Raises:
        ValueError: if the importances are not a matrix, negative, or not finite.

    Reference:
        Eastwood & Williams, *A Framework for the Quantitative Evaluation of Disentangled Representations*, ICLR 2018.

    Example:
        >>> disentanglement_per_code(torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
        tensor([1., 0., 0.])
    """
    _check(importance)
    total = importance.sum(1, keepdim=True)
    share = importance / total.where(total > 0, torch.ones_like(total))
    entropy = -torch.special.xlogy(share, share).sum(1)
    relative = entropy / math.log(importance.shape[1]) if importance.shape[1] > 1 else torch.zeros_like(entropy)
    return torch.where(total[:, 0] > 0, 1 - relative, 0.0).clamp(0, 1)


def completeness_per_factor(importance: Tensor) -> Tensor:
    r"""How far each factor is served by one code only: :math:`C_f`, the same of the transposed matrix.

    Args:
        importance: ``(D, F)``, none negative.

    Returns:
        ``(F,)`` in [0, 1]; 0 for a factor that no code has importance for.

    Raises:
        ValueError: as for :func:`disentanglement_per_code`.

    Reference:
        Eastwood & Williams, ICLR 2018.

    Example:
        >>> completeness_per_factor(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).round(decimals=4)
        tensor([1.0000, 0.3691])
    """
    return disentanglement_per_code(importance.mT)


def dci_disentanglement(importance: Tensor) -> Tensor:
    r"""Disentanglement of all codes, each weighted by its share of the importance.

    .. math:: D = \sum_d \rho_d D_d, \quad \rho_d = \sum_f R_{df} / \sum_{ef} R_{ef}

    Args:
        importance: ``(D, F)``, none negative.

    Returns:
        A scalar in [0, 1]: 1 if every code serves at most one factor; 0 if all importances are 0.

    Raises:
        ValueError: as for :func:`disentanglement_per_code`.

    Reference:
        Eastwood & Williams, ICLR 2018.

    Example:
        >>> dci_disentanglement(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        tensor(1.)
    """
    return _weighted(disentanglement_per_code(importance), importance.sum(1))


def dci_completeness(importance: Tensor, weights: Literal["importance", "uniform"] = "importance") -> Tensor:
    r"""Completeness of all factors.

    .. math:: C = \sum_f \rho_f C_f

    Args:
        importance: ``(D, F)``, none negative.
        weights: ``"importance"``: by each factor's share of the importance; ``"uniform"``: the plain mean of the
            paper. They are equal if the importances of each factor sum to 1, as those of trees do.

    Returns:
        A scalar in [0, 1]: 1 if every factor is served by one code; 0 if all importances are 0.

    Raises:
        ValueError: as for :func:`disentanglement_per_code`.

    Reference:
        Eastwood & Williams, ICLR 2018.

    Example:
        >>> dci_completeness(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
        tensor(1.)
    """
    total = importance.sum(0)
    return _weighted(completeness_per_factor(importance), total if weights == "importance" else torch.ones_like(total))


def shapley_importance(
    predict: Callable[[Tensor], Tensor],
    codes: Tensor,
    targets: Tensor,
    background: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Importance of every code for a predictor of any kind: what knowing it takes off the squared error (SAGE).

    .. math:: \phi_k = \mathbb{E}_\pi \bigl[ v(S_{\pi k} \cup k) - v(S_{\pi k}) \bigr], \quad
              v(S) = -\mathbb{E} \bigl( y - \mathbb{E}_{z'} f(z_S, z'_{\bar S}) \bigr)^2

    over random orders :math:`\pi`, one for each row, with :math:`S_{\pi k}` the codes that come before ``k``. Codes
    that are not known are those of other rows, whatever the known ones are, so codes that depend on each other make
    rows that are not in the data. The sum over codes is exactly what all of them take off.

    Args:
        predict: from codes ``(n, d)`` to predictions ``(n, k)``.
        codes: of rows that the predictor was not fitted to, ``(n, d)``.
        targets: what the predictions should be, ``(n, k)``: numbers, or indicators of values.
        background: other rows, whose codes stand in for those that are not known, ``(m, d)``.
        generator: of the orders.

    Returns:
        ``(d, k)``; negative for a code that misleads. Cost: ``(d + 1) n m`` predictions.

    Reference:
        Covert, Lundberg & Lee, *Understanding global feature contributions with additive importance measures*, NeurIPS
        2020; here with squared errors, also of indicators.

    Example:
        >>> codes = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))
        >>> shapley_importance(lambda z: 2 * z[:, :1], codes, 2 * codes[:, :1], codes)[:, 0]
        tensor([2.6667, 0.0000])
    """
    place = torch.rand(codes.shape, generator=generator).argsort(1).argsort(1).to(codes.device)
    errors = []
    for num_known in range(codes.shape[1] + 1):
        mixed = torch.where((place < num_known)[:, None], codes[:, None], background)
        predicted = predict(mixed.flatten(0, 1)).unflatten(0, mixed.shape[:2]).mean(1)
        errors.append((targets - predicted).square())
    gains = -torch.stack(errors).diff(dim=0)  # by the known codes' number, row, column
    return gains.gather(0, place.mT[..., None].expand_as(gains)).mean(1)


def _weighted(scores: Tensor, weights: Tensor) -> Tensor:
    total = weights.sum()
    return (scores * weights).sum() / total.where(total > 0, torch.ones_like(total))


def _check(importance: Tensor) -> None:
    if importance.ndim != 2 or importance.numel() == 0:
        raise ValueError(f"importances must have shape (D, F), got {tuple(importance.shape)}")
    if not (importance.isfinite().all() and (importance >= 0).all()):
        raise ValueError("importances must be finite and not negative")
