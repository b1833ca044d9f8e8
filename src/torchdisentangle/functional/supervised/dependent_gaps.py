r"""Information gaps for factors that depend on each other, with codes that are meant for a factor.

All take the mutual information :math:`I_{kf}` of codes and factors, the entropies of the factors, their conditional
entropies :math:`H(y_f | y_l)`, and the map :math:`r`: the code ``r(f)`` that each factor is meant to be in. Nats.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDING = 1e-9  # nats; a factor with less left to know is determined by another


def dmig(mutual_information: Tensor, factor_entropy: Tensor, conditional_entropy: Tensor, codes: Tensor) -> Tensor:
    r"""Dependency-aware mutual information gap (DMIG) of every factor: is it in its code only, as far as it can be?

    .. math:: \frac{I_{r(f) f} - I_{k^* f}}{H(y_f \,|\, y_l)}, \quad k^* = \arg\max_{k \ne r(f)} I_{kf} = r(l)

    What is left of the factor if ``l`` is known is the most that the gap can be; if no factor is meant for
    :math:`k^*`, the divisor is :math:`H(y_f)`.

    Args:
        mutual_information: ``(d, F)``.
        factor_entropy: ``(F,)``, positive.
        conditional_entropy: :math:`H(y_f | y_l)` at ``[f, l]``, ``(F, F)``.
        codes: of the factors, ``(F,)`` different integers; -1 for a factor without one.

    Returns:
        ``(F,)``, at most 1, below 0 if another code knows more; 0 for a factor without a code, NaN for one that ``l``
        determines.

    Reference:
        Watcharasupat & Lerch, *Evaluation of latent space disentanglement in the presence of interdependent
        attributes*, ISMIR late-breaking demo 2021.

    Example:
        >>> mutual, conditional = torch.tensor([[0.5, 0.25], [0.25, 0.5]]), torch.tensor([[0.0, 0.25], [0.25, 0.0]])
        >>> dmig(mutual, torch.tensor([0.5, 0.5]), conditional, torch.tensor([0, 1]))
        tensor([1., 1.])
    """
    others = mutual_information.scatter(0, codes.clamp(min=0)[None], -torch.inf)
    second, where = others.max(0)
    meant = (where[:, None] == codes) & (second[:, None] >= 0)  # [f, l]: the best other code of f is meant for l
    left = torch.where(meant, conditional_entropy, 0.0).sum(1)
    divisor = torch.where(meant.any(1), left, factor_entropy)
    return _gap(mutual_information, codes, second.clamp(min=0), divisor)


def xmig(mutual_information: Tensor, factor_entropy: Tensor, codes: Tensor) -> Tensor:
    r"""Dependency-blind information gap (XMIG) of every factor: against the codes that are meant for no factor.

    .. math:: \frac{I_{r(f) f} - \max_{k \notin r} I_{kf}}{H(y_f)}

    Args:
        mutual_information: ``(d, F)``.
        factor_entropy: ``(F,)``, positive.
        codes: of the factors, ``(F,)`` different integers; -1 for a factor without one.

    Returns:
        ``(F,)``; without other codes the share that the factor's own code knows, and 0 for a factor without a code.

    Reference:
        Watcharasupat, *Controllable music: supervised learning of disentangled representations for music generation*,
        2021.

    Example:
        >>> mutual = torch.tensor([[0.6, 0.2], [0.2, 0.6], [0.3, 0.0]])
        >>> xmig(mutual, torch.tensor([0.6, 0.6]), torch.tensor([0, 1]))
        tensor([0.5000, 1.0000])
    """
    spare = torch.ones(len(mutual_information), dtype=torch.bool, device=codes.device)
    spare[codes[codes >= 0]] = False
    second = torch.where(spare[:, None], mutual_information, 0.0).amax(0)
    return _gap(mutual_information, codes, second, factor_entropy)


def dlig(mutual_information: Tensor, factor_entropy: Tensor, conditional_entropy: Tensor, codes: Tensor) -> Tensor:
    r"""Dependency-aware latent information gap (DLIG) of every factor: does its code know it only?

    .. math:: \frac{I_{r(f) f} - I_{r(f) l}}{H(y_f \,|\, y_l)}, \quad l = \arg\max_{l \ne f} I_{r(f) l}

    Args:
        mutual_information: ``(d, F)``.
        factor_entropy: ``(F,)``, positive.
        conditional_entropy: :math:`H(y_f | y_l)` at ``[f, l]``, ``(F, F)``.
        codes: of the factors, ``(F,)`` different integers; -1 for a factor without one.

    Returns:
        ``(F,)`` as for :func:`dmig`; for a single factor the share that its code knows.

    Reference:
        Watcharasupat, *Controllable music*, 2021.

    Example:
        >>> mutual, conditional = torch.tensor([[0.5, 0.25], [0.25, 0.5]]), torch.tensor([[0.0, 0.25], [0.25, 0.0]])
        >>> dlig(mutual, torch.tensor([0.5, 0.5]), conditional, torch.tensor([0, 1]))
        tensor([1., 1.])
    """
    if len(codes) == 1:
        return _gap(mutual_information, codes, torch.zeros_like(factor_entropy), factor_entropy)
    known = mutual_information[codes.clamp(min=0)]  # (F, F): what the code of f knows about l
    second, where = known.fill_diagonal_(-torch.inf).max(1)
    return _gap(mutual_information, codes, second, conditional_entropy.gather(1, where[:, None])[:, 0])


def _gap(mutual_information: Tensor, codes: Tensor, second: Tensor, divisor: Tensor) -> Tensor:
    own = mutual_information.gather(0, codes.clamp(min=0)[None])[0]
    gap = (own - second) / torch.where(divisor > _ROUNDING, divisor, torch.nan)
    return torch.where(codes >= 0, gap, 0.0)
