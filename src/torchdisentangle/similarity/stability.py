"""How much the latents of several runs agree: correlations of pairs of runs, and linear maps between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.jackknife import JackknifeInterval, jackknife_interval
from torchdisentangle.functional.supervised.identifiability import (
    correlation_matrix,
    linear_r2,
    match_codes,
    matched_correlation,
)
from torchdisentangle.similarity.fingerprint import Fingerprint
from torchdisentangle.similarity.ranking import check_runs, informative_means
from torchdisentangle.similarity.run_pairs import RunPairs

_FEWEST_RUNS = 3  # of an interval over runs


class RunStability(NamedTuple):
    """How much the latents of several runs agree.

    Args:
        names: of the runs, ``P`` of them.
        mcc: mean correlation coefficient of every pair of runs, symmetric, ``(P, P)``; NaN on the diagonal.
        r2: mean share of the variance of a run's latents (column) that a linear function of another's (row) explains,
            ``(P, P)``; NaN on the diagonal.
        num_points: data points at which the runs were compared.
    """

    names: list[str]
    mcc: Tensor
    r2: Tensor
    num_points: int

    def mean(self) -> dict[str, float]:
        """Means over all pairs of runs, by name."""
        return {"mcc": float(self.mcc.nanmean()), "r2": float(self.r2.nanmean())}

    def per_run(self) -> dict[str, Tensor]:
        """Means over the pairs that each run is in, by name, ``(P,)``; of R² where the run is the one explained."""
        return {"mcc": self.mcc.nanmean(0), "r2": self.r2.nanmean(0)}

    def interval(self, level: float = 0.95) -> dict[str, JackknifeInterval]:
        """Confidence intervals of the means over all pairs, by the jackknife over runs.

        They are for infinitely many runs of the same kind, such as all seeds, so they are wide for few: in a simulation
        95 % intervals covered in 90 % for three runs, and in 93 % for eight.

        Args:
            level: probability that an interval covers, in (0, 1).

        Raises:
            ValueError: if there are fewer than three runs.

        Example:
            >>> matrix = torch.full((4, 4), 0.5).fill_diagonal_(torch.nan)
            >>> low, high = RunStability([*"abcd"], matrix, matrix, num_points=9).interval()["mcc"]
            >>> float(low), float(high)
            (0.5, 0.5)
        """
        if len(self.names) < _FEWEST_RUNS:
            raise ValueError(f"an interval over runs needs at least {_FEWEST_RUNS} of them, got {len(self.names)}")
        return {name: _over_runs(matrix, level) for name, matrix in (("mcc", self.mcc), ("r2", self.r2))}


def run_stability(
    fingerprints: Mapping[str, Fingerprint], *, threshold: float = 0.01, runs_at_once: int | None = None
) -> RunStability:
    r"""Agreement of the latents of all pairs of runs: up to order, signs and scales (MCC), and up to a linear map (R²).

    .. math:: \mathrm{MCC}_{ij} = \frac{1}{\max(d_i, d_j)} \max_\pi \sum_a \left| \operatorname{corr}(z_a, z'_{\pi(a)})
              \right|, \quad R^2_{ij} = \frac{1}{d_j} \sum_b R^2(z'_b \,|\, z)

    over informative latents :math:`z` of run ``i`` and :math:`z'` of run ``j``, as in
    :func:`~torchdisentangle.similarity.ranking.unsupervised_disentanglement_ranking`. A latent without a partner counts
    as 0. Both are 1 for runs that agree. Where R² is high and MCC is not, runs find the same space with other axes. Two
    independent models do not score 0: for five latents at 1,000 points MCC is about 0.05.

    Args:
        fingerprints: of at least two runs, by name; compared at the data points that all of them have.
        threshold: nats of KL divergence that an informative latent exceeds.
        runs_at_once: how many runs to hold at a time, of which the agreement does not depend; by default as many as a
            CPU has memory for. With :class:`~torchdisentangle.similarity.FingerprintFiles` no more are in memory.

    Returns:
        The agreement of all pairs.

    Raises:
        ValueError: if there are fewer than two fingerprints, or they are not of the same data points.

    Reference:
        Hyvärinen & Morioka, *Unsupervised feature extraction by time-contrastive learning and nonlinear ICA*, NeurIPS
        2016 (MCC, there with the true sources).

    Example:
        >>> means = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        >>> log_variance, index = torch.full((500, 2), -4.0), torch.arange(500)
        >>> runs = {"a": means, "b": -3 * means.flip(1)}
        >>> stability = run_stability({name: Fingerprint(mean, log_variance, index) for name, mean in runs.items()})
        >>> {name: round(value, 6) for name, value in stability.mean().items()}
        {'mcc': 1.0, 'r2': 1.0}
    """
    if threshold < 0:
        raise ValueError(f"threshold must not be negative, got {threshold}")
    check_runs(fingerprints)
    runs = RunPairs(fingerprints, lambda run: (informative_means(run, threshold),), runs_at_once)
    mcc, r2 = torch.full((2, len(fingerprints), len(fingerprints)), torch.nan, dtype=torch.float64)
    for i, j, (one,), (other,) in runs:
        if i != j:
            mcc[i, j], r2[i, j], r2[j, i] = _agreement(one, other)
            mcc[j, i] = mcc[i, j]
    return RunStability(runs.names, mcc, r2, runs.num_points)


def _agreement(one: Tensor, other: Tensor) -> tuple[float, float, float]:
    """MCC of two runs, R² of the second one's latents, and R² of the first one's."""
    width, others = one.shape[1], other.shape[1]
    if not width or not others:
        return 0.0, 0.0, 0.0
    both = torch.cat([one, other], dim=1)
    correlation = correlation_matrix(both.mean(0), both.mT.cov())
    between = correlation[:width, width:]
    matched = matched_correlation(between, match_codes(between)).sum()
    r2 = linear_r2(correlation, width), linear_r2(correlation.roll((others, others), (0, 1)), others)
    of_other, of_one = (float(values.nan_to_num(0.0).mean()) for values in r2)
    return float(matched / max(width, others)), of_other, of_one


def _over_runs(matrix: Tensor, level: float) -> JackknifeInterval:
    known = ~matrix.isnan()
    return jackknife_interval(matrix.nanmean(), _without_each(matrix) / _without_each(known.double()), level)


def _without_each(matrix: Tensor) -> Tensor:
    """Sums of a matrix without each run's row and column, ``(P,)``."""
    return matrix.nansum() - matrix.nansum(0) - matrix.nansum(1) + matrix.diagonal().nan_to_num(0.0)
