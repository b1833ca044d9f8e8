"""The Geometry Score between two point clouds."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.topology.living_times import geometry_score
from torchdisentangle.functional.topology.witness import living_times_of_draws
from torchdisentangle.plots.style import Plot
from torchdisentangle.plots.topology import plot_living_times
from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import check_index, finite_rows
from torchdisentangle.statistics.living_times import check_points
from torchdisentangle.statistics.readout import readout
from torchdisentangle.statistics.sample import RowSample


class GeometryScore(Statistic):
    r"""Distance between the topologies of real and generated points.

    .. math:: \sum_i \left( \mathrm{MRLT}^{\mathrm{real}}_i - \mathrm{MRLT}^{\mathrm{fake}}_i \right)^2

    Ideal 0 (the same hole counts for the same shares of the filtration), at most 2. Depends on the settings, so compare
    scores with equal ones. Cost: two witness complexes a draw.

    ``update`` accepts ``points`` ``(N, *data_shape)``, and by keyword whether they are ``real`` and their global
    ``index``; ``compute`` returns a scalar.

    Args:
        num_draws: draws of landmarks.
        num_landmarks: landmarks of each draw.
        gamma: end of the filtration as a share of the largest distance.
        max_holes: larger numbers of holes count as this one.
        max_points: how many points to keep of both clouds together.
        seed: of the landmarks and of the kept points.
        num_threads: threads over draws.
        settings: as for :class:`torchmetrics.Metric`.

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

    is_differentiable: bool | None = False
    higher_is_better: bool | None = False

    def __init__(
        self,
        num_draws: int = 100,
        num_landmarks: int = 64,
        gamma: float = 1 / 128,
        max_holes: int = 100,
        max_points: int = 20_000,
        seed: int = 0,
        num_threads: int = 2,
        **settings: Unpack[MetricSettings],
    ) -> None:
        super().__init__(("geometry score", max_points, seed), **settings)
        self.num_draws = num_draws
        self.num_landmarks = num_landmarks
        self.gamma = gamma
        self.max_holes = max_holes
        self.max_points = max_points
        self.seed = seed
        self.num_threads = num_threads
        self.sample: RowSample = RowSample(["points", "is_real"], max_points, seed)
        self.add_state_of(self.sample)

    def update(self, points: Tensor, *, real: bool, index: Tensor | None = None) -> None:
        """Add points of one of the two clouds.

        Args:
            points: ``(N, *data_shape)`` numbers. Points with NaN or infinite entries are left out, counted in
                ``num_nonfinite``, and warned of.
            real: whether they are real, or generated.
            index: positions of the points in their cloud, ``(N,)`` integers.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if shapes do not fit.
        """
        points = check_points(points)
        index = check_index(index, len(points))
        if index is not None:
            index = 2 * index + int(real)  # the two clouds count by themselves
        finite = finite_rows(points)
        rows = {"points": points, "is_real": torch.full((len(points),), float(real))}
        self.sample.add(self, rows, index, kept=finite)
        self.leave_out(int((~finite).sum()), "points")

    def compute(self) -> Tensor:
        """The score."""
        return geometry_score(*self.living_times())

    @readout
    def living_times(self) -> tuple[Tensor, Tensor]:
        """Mean relative living times of real and generated points, each ``(H + 1,)``."""
        rows = self.sample.read(self)
        self.require_samples(len(rows), "points")
        real = rows["is_real"][:, 0] == 1
        if not real.any() or real.all():
            raise ValueError("GeometryScore needs real and generated points")
        a, b = (
            living_times_of_draws(
                rows["points"][of],
                range(self.num_draws),
                num_landmarks=self.num_landmarks,
                gamma=self.gamma,
                max_holes=self.max_holes,
                seed=self.seed,
                num_threads=self.num_threads,
            ).mean(0)
            for of in (real, ~real)
        )
        return a, b

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Mean relative living times of both clouds."""
        return plot_living_times(torch.stack(self.living_times()), labels=["real", "generated"], ax=ax)
