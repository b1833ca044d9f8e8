"""Intervals from groups of rows that are left out in turn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor


class Replicates(NamedTuple):
    """A statistic corrected for its bias, and the same without each group of rows."""

    estimate: Tensor
    without: Tensor
    """``(G, ...)``."""


class JackknifeInterval(NamedTuple):
    """Ends of a confidence interval."""

    low: Tensor
    high: Tensor


def jackknife_replicates(
    value: Tensor,
    without: Tensor,
    sizes: Tensor | None = None,
    *,
    correct_bias: bool = True,
    quadratic: Tensor | None = None,
) -> Replicates:
    r"""Correct a statistic for the bias of few rows, by the delete-a-group jackknife.

    .. math:: \hat\theta = G \theta - \sum_g \Bigl(1 - \frac{m_g}{n}\Bigr) \theta_{-g}, \quad
              \hat\theta_{-g} = \theta_{-g} + \frac{\hat\theta - \theta}{1 - m_g / n}

    with :math:`\theta_{-g}` the statistic without the :math:`m_g` of :math:`n` rows of group ``g``. A bias
    :math:`c / n` cancels in both. What is read from an estimate, such as a score from a matrix of mutual information,
    has its interval from :func:`replicate_interval`, once it is read from each of these: the bias of ratios and squares
    of biased estimates is much larger than that of ratios and squares of corrected ones.

    A statistic that is not smooth, such as one of nearest neighbours or of decision trees, moves by far more than a
    group of rows is worth when it is computed again, and twenty times that would come into :math:`\hat\theta`. Without
    correction :math:`\hat\theta` is :math:`\theta`, and :math:`\hat\theta_{-g} - \hat\theta` what
    :math:`\theta_{-g}` differs by from their mean.

    The jackknife counts variance twice where a statistic is quadratic in the rows' frequencies, as mutual information
    is near 0. An estimate that is less than two standard deviations above 0 is moved less by each group, so that this
    variance counts once.

    Args:
        value: :math:`\theta`, of any shape.
        without: :math:`\theta_{-g}`, ``(G, ...)``.
        sizes: :math:`m_g`, ``(G,)``; by default all groups are of one size.
        correct_bias: whether the statistic is smooth enough to correct it.
        quadratic: the variance of the statistic where its truth is 0, like ``value``, if it is quadratic there; by
            default it is not.

    Returns:
        :math:`\hat\theta` and :math:`\hat\theta_{-g}`.

    Raises:
        ValueError: if there are fewer than two groups.

    Reference:
        Busing, Meijer & van der Leeden, *Delete-m jackknife for unequal m*, Statistics and Computing 1999; Efron &
        Stein, *The jackknife estimate of variance*, Annals of Statistics 1981.

    Example:
        >>> import torch
        >>> rows = torch.tensor([1.0, 2.0, 6.0])  # the variance, of all rows and without each
        >>> without = torch.stack([rows[rows != row].var(correction=0) for row in rows])
        >>> jackknife_replicates(rows.var(correction=0), without).estimate, rows.var()
        (tensor(7.0000), tensor(7.))
    """
    shares = _shares(without, sizes)
    kept = 1 - shares.view(-1, *[1] * value.ndim)
    if correct_bias:
        estimate = len(without) * value - (kept * without).sum(0)
        steps = without + (estimate - value) / kept - estimate
    else:
        estimate, steps = value, without - (kept * without).sum(0) / kept.sum(0)
    if quadratic is not None:
        variance = _variance(steps, shares)
        once = torch.maximum(variance - quadratic, variance / 2)
        unclear = (variance > 0) & (estimate < 2 * variance.sqrt())
        steps = steps * torch.where(unclear, once / variance, 1.0).sqrt()
    return Replicates(estimate, estimate + steps)


def replicate_interval(
    estimate: Tensor, without: Tensor, level: float = 0.95, sizes: Tensor | None = None
) -> JackknifeInterval:
    r"""Confidence interval of a statistic that is corrected for its bias.

    .. math:: \hat\theta \pm t_{G - 1} \sqrt{\frac1G \sum_g \Bigl(\frac{n}{m_g} - 1\Bigr)
              (\hat\theta_{-g} - \hat\theta)^2}

    with ``t`` the quantile of Student's distribution.

    Args:
        estimate: :math:`\hat\theta`, of any shape.
        without: :math:`\hat\theta_{-g}`, ``(G, ...)``, see :func:`jackknife_replicates`.
        level: probability that the interval covers the expectation, in (0, 1).
        sizes: :math:`m_g`, ``(G,)``; by default all groups are of one size.

    Returns:
        Both ends, each of the shape of ``estimate``.

    Raises:
        ValueError: if there are fewer than two groups, or the level is not between 0 and 1.

    Example:
        >>> import torch
        >>> means = jackknife_replicates(torch.tensor(2.0), torch.tensor([1.5, 2.5]))
        >>> replicate_interval(means.estimate, means.without)
        JackknifeInterval(low=tensor(-4.3531), high=tensor(8.3531))
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    variance = _variance(without - estimate, _shares(without, sizes))
    reach = float(stdtrit(len(without) - 1, 0.5 + level / 2)) * variance.sqrt()
    return JackknifeInterval(estimate - reach, estimate + reach)


def jackknife_interval(
    value: Tensor, without: Tensor, level: float = 0.95, sizes: Tensor | None = None
) -> JackknifeInterval:
    r"""Confidence interval of a statistic by the delete-a-group jackknife.

    It is :func:`replicate_interval` of the :func:`jackknife_replicates`. It is not centred at the statistic, but at
    :math:`\hat\theta`, which lacks the bias of order :math:`1 / n`, and may even leave the statistic out where the bias
    is large.

    Args:
        value: the statistic :math:`\theta`, of any shape.
        without: :math:`\theta_{-g}`, the statistic without each group of rows, ``(G, ...)``.
        level: probability that the interval covers the expectation, in (0, 1).
        sizes: number of rows of each group, ``(G,)``; by default all groups are of one size.

    Returns:
        Both ends, each of the shape of ``value``.

    Raises:
        ValueError: if there are fewer than two groups, or the level is not between 0 and 1.

    Reference:
        Tukey, *Bias and confidence in not-quite large samples*, 1958; Kott, *The delete-a-group jackknife*, Journal of
        Official Statistics 2001.

    Example:
        >>> import torch
        >>> rows = torch.arange(20.0)  # of a mean, with one row in each group, it is Student's interval
        >>> jackknife_interval(rows.mean(), (rows.sum() - rows) / 19)
        JackknifeInterval(low=tensor(6.7312), high=tensor(12.2688))
    """
    return replicate_interval(*jackknife_replicates(value, without, sizes), level, sizes)


def _shares(without: Tensor, sizes: Tensor | None) -> Tensor:
    """The share of the rows that each group has, ``(G,)``."""
    if len(without) < 2:
        raise ValueError(f"an interval needs at least two groups of rows, got {len(without)}")
    sizes = torch.ones(len(without)).to(without) if sizes is None else sizes.to(without)
    return sizes / sizes.sum()


def _variance(steps: Tensor, shares: Tensor) -> Tensor:
    """The variance of a statistic that moves by these steps, ``(G, ...)``, without groups with these shares."""
    weights = (1 / shares - 1).view(-1, *[1] * (steps.ndim - 1))
    return (weights * steps.square()).mean(0)
