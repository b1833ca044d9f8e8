r"""Entropy and mutual information of discrete variables, from tables of counts.

A joint table :math:`C_{bv}` of shape ``(..., B, V)`` says how often bin ``b`` of one variable met value ``v`` of
another; :math:`p_{bv} = C_{bv} / n` with :math:`n = \sum_{bv} C_{bv}`. Counts may be integers, or sums of weights.
Every function takes any leading dimensions, works in float64 for integers, returns nats, and is differentiable where
the counts are.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

BiasCorrection = Literal["miller_madow", "permutation"]

_ROUNDING = 16.0  # units in the last place of 1: less information is the rounding of a table of independent variables


def entropy(counts: Tensor, miller_madow: bool = False) -> Tensor:
    r"""Entropy of a discrete variable.

    .. math:: H = -\sum_b p_b \log p_b

    The plug-in estimate is too small by about :math:`(K - 1) / 2n` for :math:`K` occupied cells.

    Args:
        counts: non-negative, ``(..., B)``.
        miller_madow: add :math:`(K - 1) / 2n`.

    Returns:
        ``(...)`` in nats, between 0 and :math:`\log B`; 0 without any counts.

    Reference:
        Shannon, *A mathematical theory of communication*, 1948; Miller, *Note on the bias of information estimates*,
        1955.

    Example:
        >>> entropy(torch.tensor([2, 2, 0]))
        tensor(0.6931, dtype=torch.float64)
    """
    p, n = _normalised(counts, dim=-1)
    value = -_p_log(p, p).sum(-1)
    return value + (_occupied(counts).sum(-1) - 1).clamp(min=0) / (2 * n.squeeze(-1)) if miller_madow else value


def joint_entropy(joint: Tensor, miller_madow: bool = False) -> Tensor:
    r"""Entropy of a pair of discrete variables.

    .. math:: H = -\sum_{bv} p_{bv} \log p_{bv}

    Args:
        joint: non-negative counts, ``(..., B, V)``.
        miller_madow: as for :func:`entropy`.

    Returns:
        ``(...)`` in nats.

    Reference:
        Shannon, 1948.

    Example:
        >>> joint_entropy(torch.tensor([[1, 1], [1, 1]]))
        tensor(1.3863, dtype=torch.float64)
    """
    return entropy(joint.flatten(-2), miller_madow)


def mutual_information(joint: Tensor, bias_correction: BiasCorrection | None = None) -> Tensor:
    r"""Mutual information of two discrete variables.

    .. math:: I = \sum_{bv} p_{bv} \log \frac{p_{bv}}{p_b \, p_v}

    The plug-in estimate of independent variables is too large by about :func:`plug_in_bias`. It can be corrected:

    - ``"miller_madow"`` corrects each of the three entropies, and so takes :math:`(K_{bv} - K_b - K_v + 1) / 2n` off;
    - ``"permutation"`` takes off what random pairings of the same marginals give, and rescales so that a variable that
      determines ``v`` keeps its value: :math:`H_v (I - \bar I) / (H_v - \bar I)`. The mean :math:`\bar I` over all
      permutations is exact, see :func:`expected_mutual_information`.

    Args:
        joint: non-negative counts, ``(..., B, V)``; integers for a correction.
        bias_correction: which correction; ``None``: the plug-in estimate.

    Returns:
        ``(...)`` in nats, at least 0; exactly 0 for a table of independent variables, such as one with a constant.

    Raises:
        ValueError: for an unknown correction.

    Reference:
        Miller, 1955; Vinh, Epps & Bailey, *Information theoretic measures for clusterings comparison*, JMLR 2010
        (adjustment for chance).

    Example:
        >>> joint = torch.tensor([[2, 0], [0, 2]])
        >>> mutual_information(joint), mutual_information(joint, "permutation")
        (tensor(0.6931, dtype=torch.float64), tensor(0.6931, dtype=torch.float64))
    """
    p, n = _normalised(joint, dim=(-2, -1))
    independent = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)
    value = (_p_log(p, p) - _p_log(p, independent)).sum((-2, -1))
    value = torch.where(value > _ROUNDING * torch.finfo(value.dtype).eps, value, 0.0)
    if bias_correction is None:
        return value
    if bias_correction == "miller_madow":
        cells, rows, columns = (_occupied(joint.flatten(-2)), _occupied(joint.sum(-1)), _occupied(joint.sum(-2)))
        excess = cells.sum(-1) - rows.sum(-1) - columns.sum(-1) + 1
        return (value - excess / (2 * n[..., 0, 0])).clamp(min=0)
    if bias_correction == "permutation":
        chance, most = expected_mutual_information(joint), entropy(joint.sum(-2))
        room = most - chance
        return torch.where(room > 1e-12 * most, most * (value - chance) / room, 0.0).clamp(min=0)
    raise ValueError(f"bias_correction must be None, 'miller_madow' or 'permutation', got {bias_correction!r}")


def plug_in_bias(joint: Tensor) -> Tensor:
    r"""What the plug-in mutual information of independent variables is on average, to first order.

    .. math:: \frac{(K_b - 1)(K_v - 1)}{2 n}

    with the numbers :math:`K` of occupied bins and values. Below about five counts a cell the first order is not
    enough: the value is about 15 % too small at one or two counts a cell, and too large far below one.
    :func:`expected_mutual_information` is exact there.

    Args:
        joint: counts, ``(..., B, V)``.

    Returns:
        ``(...)`` in nats.

    Reference:
        Miller, 1955; Panzeri & Treves, *Analytical estimates of limited sampling biases*, 1996.

    Example:
        >>> plug_in_bias(torch.full((20, 40), 25))  # 20 000 rows
        tensor(0.0185, dtype=torch.float64)
    """
    _, n = _normalised(joint, dim=(-2, -1))
    rows, columns = _occupied(joint.sum(-1)).sum(-1), _occupied(joint.sum(-2)).sum(-1)
    return (rows - 1).clamp(min=0) * (columns - 1).clamp(min=0) / (2 * n[..., 0, 0])


def expected_mutual_information(joint: Tensor) -> Tensor:
    r"""Mean plug-in mutual information over all permutations of one variable's values.

    Given the marginals :math:`a_b, c_v`, a cell's count under a random pairing is hypergeometric, so the mean over all
    :math:`n!` permutations is a finite sum:

    .. math:: \bar I = \sum_{bv} \sum_k P(k; a_b, c_v, n) \, \frac{k}{n} \log \frac{n k}{a_b c_v}

    Args:
        joint: integer counts, ``(..., B, V)``, of which only the marginals are used.

    Returns:
        ``(...)`` in nats, of relative precision about 1e-8 for a million counts.

    Reference:
        Vinh, Epps & Bailey, JMLR 2010, equation (24).

    Example:
        >>> expected_mutual_information(torch.tensor([[1, 0], [0, 1]]))  # both pairings tell all
        tensor(0.6931, dtype=torch.float64)
    """
    tables = joint.double().flatten(0, -3) if joint.ndim > 2 else joint.double()[None]
    return torch.stack([_expected_of_marginals(table.sum(1), table.sum(0)) for table in tables]).view(joint.shape[:-2])


def _expected_of_marginals(rows: Tensor, columns: Tensor) -> Tensor:
    """Sum over cells and over each cell's likely counts, the windows of which hold all but about 1e-17."""
    n = rows.sum()
    a, c = rows[rows > 0][:, None], columns[columns > 0][None, :]
    if a.numel() == 0:
        return rows.new_zeros(())
    mean = a * c / n
    reach = 26 + 9 * mean.sqrt()  # Bernstein's inequality, P(|k - mean| > reach) < 1e-17
    first = torch.maximum((mean - reach).floor(), a + c - n).clamp(min=0)
    last = torch.minimum((mean + reach).ceil(), torch.minimum(a, c))
    k = first[..., None] + torch.arange(int((last - first).max()) + 1, device=rows.device)
    inside = k <= last[..., None]
    k = torch.where(inside, k, first[..., None])
    a, c = a[..., None], c[..., None]
    log_weight = -torch.stack([torch.lgamma(x + 1) for x in (k, a - k, c - k, n - a - c + k)]).sum(0)
    weight = torch.softmax(log_weight.masked_fill(~inside, -torch.inf), dim=-1)
    return (weight * torch.xlogy(k, n * k / (a * c))).sum() / n


def _normalised(counts: Tensor, dim: int | tuple[int, ...]) -> tuple[Tensor, Tensor]:
    counts = counts if counts.is_floating_point() else counts.double()
    n = counts.sum(dim, keepdim=True)
    n = torch.where(n > 0, n, torch.ones_like(n))
    return counts / n, n


def _p_log(p: Tensor, q: Tensor) -> Tensor:
    """``p log q`` with a gradient that stays finite in empty cells."""
    return p * q.clamp(min=torch.finfo(q.dtype).tiny).log()


def _occupied(counts: Tensor) -> Tensor:
    return (counts > 0).double()
