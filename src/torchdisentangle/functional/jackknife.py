"""Intervals from groups of rows that are left out in turn."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import stdtrit
from torch import Tensor


class JackknifeInterval(NamedTuple):
    """Ends of a confidence interval."""

    low: Tensor
    high: Tensor


def jackknife_interval(value: Tensor, without: Tensor, level: float = 0.95) -> JackknifeInterval:
    r"""Confidence interval of a statistic by the delete-a-group jackknife.

    .. math:: p_g = G \theta - (G - 1) \theta_{-g}, \quad
              \bar p \pm t_{G - 1} \frac{\operatorname{sd}(p)}{\sqrt G}

    with :math:`\theta_{-g}` the statistic without the rows of group ``g``, and ``t`` the quantile of Student's
    distribution. The pseudo-values :math:`p_g` behave like independent estimates from one group each, and their mean
    lacks the bias of order :math:`1 / n`, so the interval is not centred at :math:`\theta`, and may even leave it out
    where the bias is large.

    Args:
        value: :math:`\theta`, of any shape.
        without: :math:`\theta_{-g}`, ``(G, ...)``, of groups of about equal size.
        level: probability that the interval covers the expectation, in (0, 1).

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
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    num_groups = len(without)
    if num_groups < 2:
        raise ValueError(f"an interval needs at least two groups of rows, got {num_groups}")
    pseudo = num_groups * value - (num_groups - 1) * without
    centre = pseudo.mean(0)
    reach = float(stdtrit(num_groups - 1, 0.5 + level / 2)) * pseudo.std(0) / math.sqrt(num_groups)
    return JackknifeInterval(centre - reach, centre + reach)
