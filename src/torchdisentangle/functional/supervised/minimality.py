r"""Minimality and sufficiency: disentanglement that does not ask for independent factors.

A representation is disentangled if every code is a minimal and sufficient statistic of its factor: it knows all that
there is to know about the factor, and whatever it knows about the data it knows through the factor.
"""

from __future__ import annotations

import torch
from torch import Tensor


def minimality(mutual_information: Tensor, code_information: Tensor) -> Tensor:
    r"""Minimality of every code: is all that it knows about the data about one factor?

    .. math:: m_k = \max_f \frac{I(z_k; y_f)}{I(z_k; x)}

    Args:
        mutual_information: :math:`I(z_k; y_f)`, ``(d, F)`` in nats.
        code_information: :math:`I(z_k; x)`, ``(d,)`` in nats; for deterministic codes in bins their entropy.

    Returns:
        ``(d,)``, between 0 and 1; NaN for a code that knows nothing about the data.

    Reference:
        Almudévar & Ortega, *Rethinking disentanglement under dependent factors of variation*, arXiv 2408.07016.

    Example:
        >>> minimality(torch.tensor([[0.6, 0.3], [0.1, 0.2], [0.0, 0.0]]), torch.tensor([0.6, 0.4, 0.0]))
        tensor([1.0000, 0.5000,    nan])
    """
    share = mutual_information.amax(1) / code_information.masked_fill(code_information <= 0, torch.nan)
    return share.clamp(0.0, 1.0)


def sufficiency(mutual_information: Tensor, factor_entropy: Tensor) -> Tensor:
    r"""Sufficiency for every factor: does one code know all of it?

    .. math:: s_f = \max_k \frac{I(z_k; y_f)}{H(y_f)}

    Args:
        mutual_information: :math:`I(z_k; y_f)`, ``(d, F)`` in nats.
        factor_entropy: :math:`H(y_f) = I(x; y_f)`, ``(F,)`` in nats, positive: factors are functions of the data.

    Returns:
        ``(F,)``, between 0 and 1.

    Reference:
        Almudévar & Ortega, arXiv 2408.07016.

    Example:
        >>> sufficiency(torch.tensor([[0.6, 0.3], [0.1, 0.2]]), torch.tensor([0.6, 0.6]))
        tensor([1.0000, 0.5000])
    """
    return (mutual_information.amax(0) / factor_entropy).clamp(0.0, 1.0)
