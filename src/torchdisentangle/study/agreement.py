"""Do scores rank runs alike? Rank correlations over runs, what several scores agree on, and intervals over runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch
from scipy.stats import rankdata
from torch import Tensor


class BootstrapEstimate(NamedTuple):
    """A statistic of runs and the ends of its interval, all of the statistic's shape."""

    value: Tensor
    low: Tensor
    high: Tensor


def ranks_of_runs(scores: Tensor) -> Tensor:
    """The rank of each run by each score, scaled to means of 0 and variances of 1.

    Equal values share the mean of their ranks. A value that is NaN gets the mean of all ranks, so that it says neither
    that the run is good nor that it is bad.

    Args:
        scores: of ``n`` runs by ``S`` scores, ``(n, S)``, where a larger value is better.

    Returns:
        ``(n, S)`` in float64; NaN for a score that is the same for all runs.

    Raises:
        ValueError: if the scores are no matrix, or there are fewer than two runs.

    Example:
        >>> ranks_of_runs(torch.tensor([[0.1, 5.0], [0.9, 5.0], [0.2, 5.0]]))[:, 0]
        tensor([-1.2247,  1.2247,  0.0000], dtype=torch.float64)
    """
    if scores.ndim != 2 or len(scores) < 2:
        raise ValueError(f"scores (n, S) of at least two runs are needed, got shape {tuple(scores.shape)}")
    values = scores.detach().double().cpu()
    policy = "omit" if bool(values.isnan().any()) else "propagate"  # the former takes one column after the other
    ranks = torch.as_tensor(rankdata(values.numpy(), axis=0, nan_policy=policy), dtype=torch.float64)
    ranks = ranks - ranks.nanmean(0)
    ranks = ranks.nan_to_num(0.0)
    scale = ranks.square().mean(0).sqrt()
    return torch.where(scale > 0, ranks / scale, torch.nan)


def rank_agreement(scores: Tensor) -> Tensor:
    r"""Rank correlation (Spearman) of all pairs of scores over runs.

    .. math:: \rho_{st} = \operatorname{corr}_r(\operatorname{rank} x_{rs}, \operatorname{rank} x_{rt})

    Args:
        scores: of ``n`` runs by ``S`` scores, ``(n, S)``, where a larger value is better; NaN counts as in
            :func:`ranks_of_runs`.

    Returns:
        ``(S, S)`` in float64, in [-1, 1]; NaN for a score that is the same for all runs.

    Raises:
        ValueError: as :func:`ranks_of_runs`.

    Reference:
        Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of Disentangled
        Representations*, ICML 2019, for rank correlations of scores over trained models.

    Example:
        >>> rank_agreement(torch.tensor([[1.0, 0.1, 3.0], [2.0, 0.3, 2.0], [3.0, 0.9, 1.0]])).round()
        tensor([[ 1.,  1., -1.],
                [ 1.,  1., -1.],
                [-1., -1.,  1.]], dtype=torch.float64)
    """
    ranks = ranks_of_runs(scores)
    return ranks.mT @ ranks / len(ranks)


def consensus(scores: Tensor, kinds: Sequence[Hashable] | None = None) -> Tensor:
    r"""What several scores say together: the mean of the ranks that they give to each run.

    .. math:: c_r = \frac1K \sum_{\text{kinds } k} \frac{1}{|k|} \sum_{s \in k} \operatorname{rank} x_{rs}

    Args:
        scores: of ``n`` runs by ``S`` scores, ``(n, S)``, where a larger value is better.
        kinds: of each score; scores of one kind share one vote. By default each has a vote of its own.

    Returns:
        ``(n,)`` in float64, with mean 0. Scores that are the same for all runs have no vote.

    Raises:
        ValueError: as :func:`ranks_of_runs`, if there is not one kind for every score, or no score differs.

    Example:
        >>> consensus(torch.tensor([[1.0, 1.0, 3.0], [2.0, 2.0, 2.0], [3.0, 3.0, 1.0]]), ["mig", "mig", "sap"])
        tensor([0., 0., 0.], dtype=torch.float64)
    """
    ranks = ranks_of_runs(scores)
    kinds = list(range(ranks.shape[1])) if kinds is None else list(kinds)
    if len(kinds) != ranks.shape[1]:
        raise ValueError(f"one kind for each of {ranks.shape[1]} scores is needed, got {len(kinds)}")
    votes = votes_of_kinds(ranks, kinds)
    num_votes = len({kind for kind, column in zip(kinds, ranks.mT, strict=True) if not column.isnan().any()})
    if not num_votes:
        raise ValueError("every score is the same for all runs")
    return votes.sum(1) / num_votes


def votes_of_kinds(ranks: Tensor, kinds: Sequence[Hashable]) -> Tensor:
    """Mean rank of each run by the scores of each kind.

    Args:
        ranks: from :func:`ranks_of_runs`, ``(n, S)``.
        kinds: of each score.

    Returns:
        ``(n, K)``, the kinds in the order in which they come; 0 for one whose scores are the same for all runs.

    Example:
        >>> ranks = ranks_of_runs(torch.tensor([[1.0, 3.0, 0.0], [2.0, 2.0, 0.0], [3.0, 1.0, 0.0]]))
        >>> votes_of_kinds(ranks, ["mig", "mig", "sap"]).abs().sum()
        tensor(0., dtype=torch.float64)
    """
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    column = torch.tensor([numbers[kind] for kind in kinds])
    live = ~ranks.isnan().any(0)
    members = torch.zeros(len(column), len(numbers), dtype=torch.float64)
    members[torch.arange(len(column)), column] = live.double()
    return ranks.nan_to_num(0.0) @ (members / members.sum(0).clamp(min=1))


def bootstrap_over_runs(
    statistic: Callable[[Tensor], Tensor],
    groups: Sequence[Hashable],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> BootstrapEstimate:
    """Interval of a statistic of runs: percentiles over resampled groups of runs.

    Groups are drawn with replacement, each with all its runs, because runs of one group (a model with one setting, and
    several seeds) are more alike than runs of two. Draws in which the statistic is NaN are left out.

    Args:
        statistic: of the runs with the given positions, an integer vector in which positions may come several times; a
            tensor of any shape.
        groups: of each run.
        draws: how many.
        level: probability that the interval covers, in (0, 1).
        seed: of the draws.

    Returns:
        The statistic of all runs, and its interval.

    Raises:
        ValueError: if there are fewer than two groups, or ``level`` is not between 0 and 1.

    Reference:
        Davison & Hinkley, *Bootstrap Methods and their Application*, Cambridge University Press 1997.

    Example:
        >>> values = torch.tensor([1.0, 1.2, 3.0, 2.8, 2.0, 2.2])
        >>> mean = bootstrap_over_runs(lambda runs: values[runs].mean(), ["a", "a", "b", "b", "c", "c"])
        >>> bool(mean.low < mean.value < mean.high)
        True
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    if len(members) < 2:
        raise ValueError(f"at least two groups of runs are needed, got {len(members)}")
    parts = [torch.tensor(positions) for positions in members.values()]
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(parts), (draws, len(parts)), generator=generator).tolist()
    drawn = torch.stack([statistic(torch.cat([parts[group] for group in draw])).double() for draw in chosen])
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = drawn.nanquantile(tails, dim=0)
    return BootstrapEstimate(statistic(torch.arange(len(groups))).double(), low, high)
