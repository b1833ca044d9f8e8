"""The largest share of each row or column of a matrix: InfoM and InfoC, and the loss that InfoE is made of."""

from __future__ import annotations

import torch
from torch import Tensor


def largest_share(information: Tensor, dim: int) -> Tensor:
    r"""How far one entry has all: 1 if the others are 0, and 0 if all are equal.

    .. math:: \frac{\max_i N_i / \sum_i N_i - 1/n}{1 - 1/n}

    Args:
        information: non-negative, ``(d, F)``; mutual information divided by the factors' entropies.
        dim: 1: of every code, over factors, whose mean is InfoM; 0: of every factor, over codes, whose mean is InfoC.

    Returns:
        ``(d,)`` or ``(F,)`` in [0, 1]; NaN where all entries are 0, and everywhere if there is a single one.

    Reference:
        Hsu et al., *Disentanglement via latent quantization*, NeurIPS 2023.

    Example:
        >>> information = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        >>> largest_share(information, dim=1), largest_share(information, dim=0)
        (tensor([1., 0.]), tensor([0.3333, 1.0000]))
    """
    number = information.shape[dim]
    if number < 2:
        return information.new_full((information.shape[1 - dim],), torch.nan)
    share = information.amax(dim) / information.sum(dim)  # 0 / 0 is NaN
    return (share - 1 / number) / (1 - 1 / number)
