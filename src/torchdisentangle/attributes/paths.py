"""Smoothness, monotonicity and range of attributes along latents, from the same sums over paths."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.attributes.paths import Jerk, check_jerk, check_paths, check_slope, path_scores
from torchdisentangle.plots import plot_by_latent, plot_factor_matrix, plot_scalar
from torchdisentangle.statistics import MetricSettings, Statistic, readout
from torchdisentangle.statistics.checks import MOST_TO_SQUARE, as_tensor
from torchdisentangle.statistics.classes import standard_error


class AttributePaths(Statistic):
    """Base of the metrics of attributes along latents, and home of their state: sums of the scores of single paths.

    Args:
        jerk: how second differences are summed up, ``"lehmer"`` or ``"max"``; see
            :func:`~torchdisentangle.functional.smoothness`.
        step: distance of neighbouring values of the latent.
        threshold: slope below which a step counts as level, in units of the attribute per unit of the latent.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for wrong settings.
    """

    label: ClassVar[str]
    _place: ClassVar[int]  # of the metric's own score among those of a path

    num_paths: Tensor
    num_defined: Tensor
    total: Tensor
    total_of_squares: Tensor

    def __init__(
        self,
        jerk: Jerk = "lehmer",
        step: float = 1.0,
        threshold: float = 1e-3,
        **settings: Unpack[MetricSettings],
    ) -> None:
        check_jerk(jerk)
        check_slope(step, threshold)
        super().__init__(("attribute paths", jerk, step, threshold), **settings)
        self.jerk = jerk
        self.step: float = step
        self.threshold: float = threshold
        self.add_sum("num_paths", dtype=torch.int64)
        self.add_sum("num_defined", dtype=torch.int64)
        self.add_sum("total")
        self.add_sum("total_of_squares")

    def update(self, attributes: Tensor) -> None:
        """Add paths.

        Args:
            attributes: of the data decoded at ``K`` equally spaced values of a latent, ``(N, K, *)``, at least three;
                the last dimensions may be latents and attributes. Paths with NaN or infinite values, or any beyond
                1e150, are left out; rows that have one are counted in ``num_nonfinite``, and warned of.

        Raises:
            TypeError: if they are not floating point.
            ValueError: if the shape does not fit.
        """
        attributes = as_tensor(attributes, "attributes")
        if not attributes.is_floating_point():
            raise TypeError(
                f"attributes must be floating point of shape (N, K, *), got {attributes.dtype} of shape "
                f"{tuple(attributes.shape)}"
            )
        check_paths(attributes, at_least=3)
        if self.num_defined.ndim and attributes.shape[2:] != self.num_defined.shape[1:]:
            wanted = ", ".join(["N", "K", *map(str, self.num_defined.shape[1:])])
            raise ValueError(f"attributes must have shape ({wanted}) as so far, got {tuple(attributes.shape)}")
        finite = (attributes.double().abs() <= MOST_TO_SQUARE).all(1)
        broken = (~finite).flatten(1).any(1) if finite.ndim > 1 else ~finite
        values = attributes.masked_fill(~finite[:, None], 0.0)
        scores = torch.stack(path_scores(values, self.jerk, self.step, self.threshold))  # (scores, N, *)
        defined = finite & ~scores.isnan()
        scores = scores.masked_fill(~defined, 0.0)
        self.accumulate(
            num_paths=finite.sum(),
            num_defined=defined.sum(1),
            total=scores.sum(1),
            total_of_squares=scores.square().sum(1),
        )
        self.leave_out(int(broken.sum()), "paths")

    def compute(self) -> Tensor:
        """The mean over paths, ``(*)``; NaN where no path has a value."""
        return self._mean()

    @readout
    def standard_error(self) -> Tensor:
        """The standard error of the mean over paths, ``(*)``; infinite for a single path, NaN for none."""
        mean, count = self._mean(), self.num_defined[self._place]
        error = standard_error(self.total_of_squares[self._place] / count - mean.square(), count)
        return error.masked_fill(count == 0, torch.nan)

    def _mean(self) -> Tensor:
        self.require_samples(self.num_paths, "paths")
        return self.total[self._place] / self.num_defined[self._place]

    def plot(self, val: Tensor | None = None, ax: Any = None) -> Any:
        """Plot a heatmap over latents and attributes where the paths have both, else the values."""
        value: Any = self.compute() if val is None else val
        if isinstance(value, Tensor) and value.ndim == 2:
            return plot_factor_matrix(value, ax=ax, label=self.label)
        if isinstance(value, Tensor) and value.numel() > 1:
            return plot_by_latent(value.flatten(), ax=ax, label=self.label)
        return plot_scalar(value, ax=ax, label=self.label)


class AttributeSmoothness(AttributePaths):
    r"""Smoothness of an attribute along equally spaced steps of a latent.

    .. math:: 1 - \frac{L(|\Delta^2 a|)}{\max \Delta a - \min \Delta a}, \qquad
              L(x) = \frac{\sum_k x_k^2}{\sum_k x_k}

    Ideal 1: the attribute changes at a constant rate, or not at all. Worst 0: all its change of rate is in one place,
    as in a step.

    As input to ``forward`` and ``update`` the metric accepts ``attributes`` ``(N, K, *)``; ``compute`` returns ``(*)``.

    Args:
        jerk: ``"lehmer"``: the contraharmonic mean :math:`L`; ``"max"``: the largest in its place.
        step: does not matter here; metrics with the same settings share one state.
        threshold: likewise.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for wrong settings.

    Reference:
        Watcharasupat, *Controllable Music: Supervised Learning of Disentangled Representations for Music Generation*,
        2021.

    Example:
        >>> smoothness = AttributeSmoothness()
        >>> smoothness.update(torch.linspace(-1, 1, 11).square()[None])
        >>> smoothness.compute()
        tensor(0.8889, dtype=torch.float64)
    """

    higher_is_better: bool | None = True
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0
    label = "smoothness"
    _place = 0


class AttributeMonotonicity(AttributePaths):
    r"""Monotonicity of an attribute along equally spaced steps of a latent.

    .. math:: \frac{\sum_k \operatorname{sgn}(D_k) \, 1[|D_k| > \epsilon]}{\sum_k 1[|D_k| > \epsilon]}, \qquad
              D_k = \frac{a_{k+1} - a_k}{\delta}

    Ideal 1, or -1 where the direction of a latent is free: the attribute never falls, or never rises. 0: it rises in as
    many steps as it falls. Paths that are level everywhere are left out; the value is NaN if all are.

    As input to ``forward`` and ``update`` the metric accepts ``attributes`` ``(N, K, *)``; ``compute`` returns ``(*)``.

    Args:
        jerk: does not matter here; metrics with the same settings share one state.
        step: :math:`\delta`, the distance of neighbouring values of the latent.
        threshold: :math:`\epsilon`, the slope below which a step counts as level, in units of the attribute per unit of
            the latent.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for wrong settings.

    Reference:
        Watcharasupat, *Controllable Music: Supervised Learning of Disentangled Representations for Music Generation*,
        2021.

    Example:
        >>> monotonicity = AttributeMonotonicity(step=0.2)
        >>> monotonicity.update(-torch.linspace(-1, 1, 11)[None])
        >>> monotonicity.compute()
        tensor(-1., dtype=torch.float64)
    """

    plot_lower_bound: float = -1.0
    plot_upper_bound: float = 1.0
    label = "monotonicity"
    _place = 1


class AttributeRange(AttributePaths):
    r"""Range of an attribute along a latent: its largest minus its smallest value on a path, mean over paths.

    .. math:: \mathbb{E} \bigl[ \max_k a_k - \min_k a_k \bigr]

    0 for a latent that leaves the attribute alone. It tells which smoothness and monotonicity mean anything.

    As input to ``forward`` and ``update`` the metric accepts ``attributes`` ``(N, K, *)``; ``compute`` returns ``(*)``
    in units of the attribute.

    Args:
        settings: ``jerk``, ``step`` and ``threshold`` do not matter here; metrics with the same settings share one
            state. The others are those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> range_along = AttributeRange()
        >>> range_along.update(torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 5.0]]))
        >>> range_along.compute()
        tensor(3., dtype=torch.float64)
    """

    plot_lower_bound: float = 0.0
    label = "range"
    _place = 2
