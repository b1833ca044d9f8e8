"""Sums over draws of landmarks: the topology of every submanifold on which one latent, or one factor, is held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.topology.living_times import quantile_function
from torchdisentangle.functional.topology.witness import living_times_of_draws
from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import as_tensor
from torchdisentangle.statistics.readout import readout

Mode = Literal["wasserstein", "reference"]


class LivingTimesStatistic(Statistic):
    r"""Relative living times of conditional submanifolds, summed over draws of landmarks.

    A submanifold is the cloud of points that a generator makes while one latent is held at one value, or the data that
    share one value of one factor. Every draw has landmarks of its own number, the same rows in every cloud and in every
    process, so draws can be shared out over processes; clouds that are moved as a whole have equal living times.

    Args:
        num_latents: ``d``.
        num_values: at how many values each latent is held, ``V``.
        num_factor_values: number of values of each factor, where factors are compared; ``K`` of them.
        num_draws: draws of landmarks for each cloud.
        num_landmarks: landmarks of each draw.
        gamma: end of the filtration as a share of the largest distance.
        max_holes: ``H``; larger numbers of holes count as this one.
        num_levels: levels of the quantile functions.
        mode: ``"wasserstein"``: exact barycentres and distances; ``"reference"``: as the published code computes them
            (landmarks with replacement, counts of ``max_holes`` and more dropped, every draw kept).
        seed: of the landmarks.
        num_threads: threads over draws.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if a count is not positive or the mode is unknown.
    """

    latent_quantiles: Tensor
    latent_living_times: Tensor
    latent_draws: Tensor
    factor_quantiles: Tensor
    factor_living_times: Tensor
    factor_draws: Tensor

    def __init__(
        self,
        num_latents: int,
        num_values: int = 10,
        num_factor_values: Sequence[int] = (),
        *,
        num_draws: int = 100,
        num_landmarks: int = 100,
        gamma: float = 1 / 128,
        max_holes: int = 100,
        num_levels: int = 512,
        mode: Mode = "wasserstein",
        seed: int = 0,
        num_threads: int = 2,
        **settings: Unpack[MetricSettings],
    ) -> None:
        counts = (num_latents, num_values, num_draws, num_landmarks, max_holes, num_levels, *num_factor_values)
        if min(counts) < 1 or gamma <= 0:
            raise ValueError(f"counts and gamma must be positive, got {counts} and {gamma}")
        if mode not in ("wasserstein", "reference"):
            raise ValueError(f"mode must be 'wasserstein' or 'reference', got {mode!r}")
        super().__init__(configuration=("living times", counts, gamma, mode, seed), **settings)
        self.num_latents = num_latents
        self.num_values = num_values
        self.num_factor_values: tuple[int, ...] = tuple(num_factor_values)
        self.num_draws = num_draws
        self.num_landmarks = num_landmarks
        self.gamma = gamma
        self.max_holes = max_holes
        self.num_levels = num_levels
        self.mode = mode
        self.seed = seed
        self.num_threads = num_threads
        for kind in ("latent", "factor"):
            self.add_sum(f"{kind}_quantiles")
            self.add_sum(f"{kind}_living_times")
            self.add_sum(f"{kind}_draws", dtype=torch.int64)

    def update(
        self,
        points: Tensor,
        *,
        latent: int | None = None,
        factor: int | None = None,
        value: int = 0,
        draws: Iterable[int] | None = None,
    ) -> None:
        """Add the cloud of one submanifold.

        Args:
            points: ``(N, *data_shape)`` numbers, flattened; fewer points than landmarks are all landmarks.
            latent: which latent was held; give this or ``factor``.
            factor: which factor was held.
            value: number of the value at which it was held.
            draws: numbers of the draws to make; by default all, and on several processes each its share.

        Raises:
            ImportError: without gudhi.
            TypeError: if the points are no tensor.
            ValueError: if the latent, factor, value or a draw does not exist, or the points are not finite.
        """
        points = check_points(points)
        kind, index, sizes = self._which(latent, factor)
        if not 0 <= index < len(sizes) or not 0 <= value < sizes[index]:
            raise ValueError(f"{kind} {index} with value {value} does not exist: numbers of values are {list(sizes)}")
        chosen = list(self._share() if draws is None else draws)
        if not all(0 <= draw < self.num_draws for draw in chosen):
            raise ValueError(f"draws must be among {self.num_draws}, got {chosen}")
        reference = self.mode == "reference"
        times = living_times_of_draws(
            points,
            chosen,
            num_landmarks=self.num_landmarks,
            gamma=self.gamma,
            max_holes=self.max_holes,
            seed=self.seed,
            replace=reference,
            num_threads=self.num_threads,
        )
        shape = (len(sizes), max(sizes))
        counts = torch.zeros(shape, dtype=torch.int64)
        counts[index, value] = len(chosen)
        sums = torch.zeros(*shape, self.max_holes + 1, dtype=torch.float64)
        sums[index, value] = times.sum(0)
        if reference:  # the entropic barycentre is not a function of sums: a slot for every draw
            quantiles = torch.zeros(*shape, self.num_draws, self.max_holes, dtype=torch.float64)
            quantiles[index, value, chosen] = times[:, :-1]
        else:
            quantiles = torch.zeros(*shape, self.num_levels, dtype=torch.float64)
            quantiles[index, value] = quantile_function(times, self.num_levels).sum(0)
        self.accumulate(**{f"{kind}_quantiles": quantiles, f"{kind}_living_times": sums, f"{kind}_draws": counts})

    @readout
    def mean_living_times(self, kind: Literal["latent", "factor"] = "latent") -> Tensor:
        """Mean relative living times of every submanifold, ``(d, V, H + 1)``; NaN where there was none."""
        return getattr(self, f"{kind}_living_times") / getattr(self, f"{kind}_draws")[..., None]

    def _which(self, latent: int | None, factor: int | None) -> tuple[str, int, Sequence[int]]:
        if (latent is None) == (factor is None):
            raise ValueError("say which latent or which factor was held, not both")
        if latent is not None:
            return "latent", latent, [self.num_values] * self.num_latents
        return "factor", factor or 0, self.num_factor_values

    def _share(self) -> Iterable[int]:
        rank, world_size = self.rank_and_world_size()
        return range(rank, self.num_draws, world_size)


def check_points(points: Tensor) -> Tensor:
    """A cloud of points as a matrix of floats.

    Args:
        points: ``(N, *data_shape)`` numbers.

    Returns:
        ``(N, D)``; integers become float64.

    Raises:
        TypeError: if they are no tensor of real numbers.
        ValueError: if there is no dimension of data.
    """
    points = as_tensor(points, "points")
    if points.is_complex():
        raise TypeError(f"points must be real numbers, got {points.dtype}")
    if points.ndim < 2 or 0 in points.shape[1:]:
        raise ValueError(f"points must have shape (N, *data_shape), got {tuple(points.shape)}")
    return points.flatten(1) if points.is_floating_point() else points.flatten(1).double()
