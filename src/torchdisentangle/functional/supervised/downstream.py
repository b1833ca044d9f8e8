r"""What predictors of factors are worth on other data: formulas of sample efficiency, generalisation and unfairness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from torchdisentangle.functional.supervised.intervention import alike_but_for


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


def intervention_total_variation(predictions: Tensor, labels: Tensor, factor: int) -> Tensor:
    r"""How far the distribution of a prediction moves with a factor that it should not depend on.

    .. math::

        \frac1{V_j} \sum_c \mathrm{TV} \bigl( p(\hat y \mid \mathrm{do}(y_j = c)), \bar p(\hat y) \bigr), \quad
        \mathrm{TV}(p, q) = \frac12 \sum_{\hat y} | p(\hat y) - q(\hat y) |

    with :math:`\bar p` the mean over the values ``c``. Rows that agree in all factors but ``j`` are a group, and each
    value is compared with the mean over the values in the groups in which it occurs. So on a grid of all combinations
    this is the formula, on fewer rows no other factor moves with ``c``, and predictions that do not depend on factor
    ``j`` give 0 always.

    Args:
        predictions: ``(N,)`` integers from 0.
        labels: values of the factors, ``(N, F)`` integers from 0.
        factor: ``j``.

    Returns:
        A scalar in [0, 1]; NaN if no two rows differ in this factor alone.

    Reference:
        Locatello et al., *On the Fairness of Disentangled Representations*, NeurIPS 2019.

    Example:
        >>> labels = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> of_parity = intervention_total_variation(labels.sum(1) % 2, labels, 0)  # moves, but not on average
        >>> intervention_total_variation(labels[:, 0], labels, 0), of_parity
        (tensor(0.5000, dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    group = alike_but_for(labels, factor)
    place, cell = torch.stack([group, labels[:, factor]], 1).unique(dim=0, return_inverse=True)
    in_cell = _mean_over(one_hot(predictions).double(), cell)
    moved = place[:, 0].bincount()[place[:, 0]] > 1
    shift = (in_cell - _mean_over(in_cell, place[:, 0])[place[:, 0]])[moved]
    if not len(shift):
        return torch.tensor(torch.nan, dtype=torch.float64)
    of_values = _mean_over(shift, place[moved, 1].unique(return_inverse=True)[1])
    return 0.5 * of_values.abs().sum(1).mean()


def _mean_over(rows: Tensor, group: Tensor) -> Tensor:
    """Mean of the rows of every group, ``(G, k)``."""
    counts = group.bincount()
    return rows.new_zeros(len(counts), rows.shape[1]).index_add(0, group, rows) / counts[:, None]
