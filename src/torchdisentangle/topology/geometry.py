"""The Geometry Score between two point clouds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.topology.living_times import geometry_score
from torchdisentangle.functional.topology.witness import living_times_of_draws
from torchdisentangle.plots.topology import plot_living_times
from torchdisentangle.statistics.sample import SampleStatistic


class GeometryScore(SampleStatistic):
    r"""Distance between the topologies of real and generated points.

    .. math:: \sum_i \left( \mathrm{MRLT}^{\mathrm{real}}_i - \mathrm{MRLT}^{\mathrm{fake}}_i \right)^2

    Ideal 0 (the same hole counts for the same shares of the filtration), at most 2. Depends on the settings, so compare
    scores with equal ones. Cost: two witness complexes a draw.

    ``update`` accepts ``points`` ``(N, *data_shape)``, whether they are ``real``, and their global ``index``;
    ``compute`` returns a scalar.

    Args:
        num_draws: draws of landmarks.
        num_landmarks: landmarks of each draw.
        gamma: end of the filtration as a share of the largest distance.
        max_holes: more holes count as so many.
        max_points: how many points to keep of both clouds together.
        seed: of the landmarks and of the kept points.
        num_threads: threads over draws.
        kwargs: as for :class:`torchmetrics.Metric`.

    Raises:
        ImportError: without gudhi.
        ValueError: if there are no real, or no generated points.

    Reference:
        Khrulkov & Oseledets, *Geometry Score: A Method for Comparing Generative Adversarial Networks*, ICML 2018.

    Example:
        >>> metric = GeometryScore(num_draws=4, num_landmarks=16, gamma=1 / 8, max_holes=5)
        >>> angle = torch.linspace(0, 6.28, 200)
        >>> metric.update(torch.stack([angle.cos(), angle.sin()], dim=1), real=True)
        >>> metric.update(torch.stack([angle, angle], dim=1), real=False)
        >>> metric.compute() > 1.5
        tensor(True)
    """

    is_differentiable = False
    higher_is_better = False

    def __init__(
        self,
        num_draws: int = 100,
        num_landmarks: int = 64,
        gamma: float = 1 / 128,
        max_holes: int = 100,
        max_points: int = 20_000,
        seed: int = 0,
        num_threads: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(["points", "is_real"], max_points, seed, "geometry score", **kwargs)
        self.num_draws = num_draws
        self.settings: dict[str, Any] = {
            "num_landmarks": num_landmarks,
            "gamma": gamma,
            "max_holes": max_holes,
            "seed": seed,
            "num_threads": num_threads,
        }

    points: Tensor
    is_real: Tensor

    def update(self, points: Tensor, real: bool, index: Tensor | None = None) -> None:
        """Add points of one of the two clouds."""
        if index is not None:
            index = 2 * index + int(real)  # the two clouds count by themselves
        flat = points.detach().flatten(1)
        self.add_rows({"points": flat, "is_real": torch.full((len(flat),), float(real))}, index)

    def compute(self) -> Tensor:
        """The score."""
        return geometry_score(*self._living_times())

    def living_times(self) -> tuple[Tensor, Tensor]:
        """Mean relative living times of real and generated points, each ``(H + 1,)``."""
        with self.reduced():
            return self._living_times()

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Mean relative living times of both clouds."""
        return plot_living_times(torch.stack(self.living_times()), labels=["real", "generated"], ax=ax)

    def _living_times(self) -> tuple[Tensor, Tensor]:
        real = self.is_real[:, 0] == 1 if len(self.keys) else torch.zeros(0, dtype=torch.bool)
        if not real.any() or real.all():
            raise ValueError("GeometryScore needs real and generated points")
        draws = range(self.num_draws)
        a, b = (living_times_of_draws(self.points[of], draws, **self.settings).mean(0) for of in (real, ~real))
        return a, b
