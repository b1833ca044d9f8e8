r"""What predictors of factors are worth on other data: formulas of sample efficiency, generalisation and unfairness."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_accuracy(accuracy: Tensor, usual: Tensor) -> Tensor:
    r"""Mean accuracy as a share of the usual one.

    .. math:: \sum_f A_f \Big/ \sum_f A^{\mathrm{usual}}_f

    With the accuracies of few and of many training rows it is sample efficiency; one minus it, with those of predictors
    that were trained while another factor was held, and while none was, is the strong generalisation gap.

    Args:
        accuracy: of each factor, ``(F,)``.
        usual: what it is compared with, ``(F,)``.

    Returns:
        A scalar; 1 if nothing is ever right usually.

    Reference:
        Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations*,
        ICML 2019 (sample efficiency).

    Example:
        >>> relative_accuracy(torch.tensor([0.5, 0.4]), torch.tensor([1.0, 0.8]))
        tensor(0.5000)
    """
    total = usual.sum()
    return torch.where(total > 0, accuracy.sum() / total.where(total > 0, torch.ones_like(total)), 1.0)
