"""The base of all scores of codes against known factors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from matplotlib.axes import Axes
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn
from typing_extensions import Self, Unpack

from torchdisentangle.plots import plot_factor_matrix, plot_scalar
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics import MetricSettings, Statistic, readout
from torchdisentangle.statistics.checks import (
    Continuous,
    check_codes,
    check_data,
    check_factors,
    check_index,
    check_log_variance,
    finite_rows,
)
from torchdisentangle.statistics.code_factor_state import CodeFactorState
from torchdisentangle.supervised.intervals import Interval, quick_interval, replicates_of
from torchdisentangle.supervised.registry import key_of, register

Mode = Literal["exact", "reference"]
"""Whether a score is what its formula says, or what the reference implementation computes."""

Variants = Mapping[str, Mapping[str, Any]]
"""Settings by short name."""


class SupervisedSettings(MetricSettings, total=False):
    """Settings of every supervised score."""

    factor_names: Sequence[str] | None


class SupervisedScore(Statistic):
    """Base of all scores of codes against known factors: how rows come in, and what is said of factors.

    A subclass chooses what is kept of the rows (``state``), and defines which factors it can score (``_scored``) and
    the value (``compute``). Mostly it inherits :class:`~torchdisentangle.supervised.information.InformationScore`,
    :class:`~torchdisentangle.supervised.moment_score.MomentScore` or
    :class:`~torchdisentangle.supervised.row_score.RowScore`, which know all but the value. A class that declares a
    ``name`` is known to :func:`~torchdisentangle.supervised_metrics` under it.

    A factor that cannot be scored (mostly because it has a single value) is NaN in results per factor, is named in a
    warning and in :meth:`unscored_factors`, and is left out of the mean.

    Args:
        state: what is kept of the rows.
        factor_names: for messages and figures; by default the factors' positions.
        settings: as for :class:`torchmetrics.Metric`.
    """

    name: ClassVar[str] = ""
    """Short name, under which the score is made and logged; a class without one of its own is not registered."""
    variants: ClassVar[Variants] = {}
    """Settings by short name, for a class that has several, or one with other settings than the defaults."""
    cost: ClassVar[Literal["quick", "slow"]] = "quick"
    """Whether the score takes well under a second, or seconds to minutes."""
    by_default: ClassVar[bool] = True
    """Whether the score is among those that are computed where none are named."""
    num_unnumbered: Tensor
    needs: frozenset[str] = frozenset()
    """What it needs beside codes and factors: ``"log_variance"`` of posteriors, the ``"data"``, rows of independent
    factors by ``"interventions"``, rows that agree in all factors but one as of a ``"design"``, the package
    ``"scikit-learn"``."""
    why_unscored: ClassVar[str] = "too few values"
    matrix_label: str = ""
    """What the entries of ``matrix()`` are, where the score is read from a matrix that is worth a figure."""

    is_differentiable: bool | None = False
    higher_is_better: bool | None = True
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    continuous: Continuous = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if vars(cls).get("name"):
            register(cls)

    def __init__(
        self,
        state: CodeFactorState,
        /,
        factor_names: Sequence[str] | None = None,
        **settings: Unpack[MetricSettings],
    ) -> None:
        super().__init__(configuration=state.configuration, **settings)
        state.add_states_to(self)
        self.state = state
        self.needs = type(self).needs | state.needs
        self.factor_names: tuple[str, ...] | None = None if factor_names is None else tuple(factor_names)

    @classmethod
    def _needs_of(cls, **settings: Any) -> frozenset[str]:
        """What the score needs if it is made with these settings.

        Args:
            settings: of the constructor.

        Returns:
            Some of what :attr:`needs` lists.
        """
        return cls.needs

    @property
    def key(self) -> str:
        """The name under which the score is logged, the same for an object and for its short name."""
        return key_of(self)

    def update(
        self,
        codes: Tensor,
        factors: Tensor,
        *,
        log_variance: Tensor | None = None,
        data: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None:
        """Add rows.

        Args:
            codes: codes or posterior means, ``(n, d)`` floats. Rows with NaN or infinite entries, here or in the other
                arguments (also numbers above 1e150, whose squares overflow), are left out, counted in
                ``num_nonfinite``, and warned of.
            factors: ``(n, F)``, or ``(n,)`` for one; whole numbers but for the ``continuous`` columns.
            log_variance: logarithms of the posteriors' variances, ``(n, d)``; used by estimators of posteriors only.
            data: what the codes are of, such as images, ``(n, ...)`` numbers; used by distances between data only.
            index: global positions of the rows in the data set, ``(n,)`` integers; decides which rows are kept beyond
                ``max_rows``.

        Raises:
            TypeError: if an argument is of the wrong kind, such as integer codes.
            ValueError: if shapes or values do not fit, or the score needs ``log_variance`` or ``data`` and gets none.
        """
        num_codes, num_factors = self.state.widths(self) or (None, None)
        codes = check_codes(codes, width=num_codes)
        factors = check_factors(factors, len(codes), self.continuous, width=num_factors)
        index = check_index(index, len(codes))
        posterior = None if log_variance is None else check_log_variance(log_variance, codes, codes_name="codes")
        if "log_variance" not in self.needs:
            posterior = None
        elif posterior is None:
            raise ValueError(f"{self!r} is a score of posteriors: it needs log_variance of shape {tuple(codes.shape)}")
        if "data" not in self.needs:
            data = None
        elif data is None:
            raise ValueError(f"{self!r} is a score of distances between data: it needs data, one for each row")
        else:
            data = check_data(data, len(codes))
        kept = _usable_rows(codes, factors, posterior, data)
        num_lost = int((~kept).sum())
        self.state.add_codes(self, codes, factors, posterior, index, kept if num_lost else None, data)
        self.leave_out(num_lost, "rows")

    @readout
    def unscored_factors(self) -> list[str]:
        """Names of the factors that cannot be scored."""
        scored = self._scored()
        return [name for name, has in zip(self._labels(len(scored)), scored.tolist(), strict=True) if not has]

    @readout
    def sample_size(self) -> int:
        """Number of rows that the value stands on: all, or those that are kept."""
        return self.state.num_rows(self)

    @readout
    def interval(self, level: float = 0.95) -> Interval:
        r"""Confidence interval of the score, by the delete-a-group jackknife.

        Rows are in twenty groups by a hash of their index (of what they hold, if they have none), and what the score is
        read from is computed again without each group: the mutual information, or else the score itself. It is
        corrected for the bias of few rows, see
        :func:`~torchdisentangle.functional.jackknife.jackknife_replicates`, before the score is read from it. So the
        interval is for the value of infinitely many rows from the same source; it may leave out the value, and reach
        beyond the score's range. It does not cover other seeds of the model.

        Scores that are fitted to rows, or look for nearest neighbours, are not corrected: their intervals are for the
        value that as many other rows would give.

        For counts and moments, IRS and the FactorVAE score it costs up to three times the score; any other score that
        is computed from rows is computed twenty times. One that draws at random has a wider interval than it needs,
        because every value without a group is drawn anew; but for the FactorVAE score, whose draws stay.

        Args:
            level: probability that the interval covers, in (0, 1).

        Returns:
            Both ends, each like the value of :meth:`compute`.

        Raises:
            ValueError: if there are too few rows, or the state keeps no groups of them.
        """
        return replicates_of(self).interval(level)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Heatmap of the matrix that the score is read from, if it is worth one, else the score; or what is given.

        The score has its 95 % interval as an error bar, unless that takes fitting it again to twenty parts of the rows.

        Args:
            val: a value, a list of values over steps, or a matrix; by default what the metric holds.
            ax: where to draw; ``None``: a new figure.

        Returns:
            The figure and its axes.
        """
        interval: Interval | None = None
        if val is None:
            val = self.matrix() if self.matrix_label else self.compute()  # type: ignore[operator]
            interval = None if self.matrix_label else quick_interval(self)
        if isinstance(val, Tensor) and val.ndim == 2:
            names = None if self.factor_names is None else self._labels(val.shape[1])
            return plot_factor_matrix(val, names, ax=ax, label=self.matrix_label)
        return plot_scalar(val, interval=interval, ax=ax, label=type(self).__name__)

    def _estimates(self) -> Any:
        """What an interval corrects for the bias of few rows, a tensor or a dictionary of them: here the score."""
        return self.compute()

    def _quadratic_variance(self) -> dict[str, Tensor]:
        """The variance of estimates, by their names, that the jackknife counts twice."""
        return {}

    def _reader(self) -> Callable[[Any], Any]:
        """How the score is read from estimates that were corrected."""
        return lambda estimates: estimates

    @property
    def has_quick_interval(self) -> bool:
        """Whether :meth:`interval` takes a few times as long as the score, and not twenty fits."""
        return not self.state.refits

    def _without_groups(self) -> Iterator[Self]:
        """Copies of this score, each without one of the groups of rows; by default each is computed by itself."""
        return self.state.without_groups(self)

    @abstractmethod
    def _scored(self) -> Tensor:
        """Which factors can be scored, ``(F,)`` booleans."""

    def _require_scored(self, scored: Tensor) -> Tensor:
        """The same booleans, after a warning of the factors without a score; an error if no factor has one."""
        if not scored.all():
            missing = ", ".join(
                name for name, has in zip(self._labels(len(scored)), scored.tolist(), strict=True) if not has
            )
            if not scored.any():
                raise ValueError(
                    f"{type(self).__name__} can score none of the factors ({missing}): {self.why_unscored}"
                )
            rank_zero_warn(
                f"{type(self).__name__} leaves out factors that it cannot score ({self.why_unscored}): {missing}",
                UserWarning,
            )
        return scored

    def _mean_over_factors(self, per_factor: Tensor) -> Tensor:
        """Mean over the factors that have a score, NaN for the others."""
        return per_factor[self._require_scored(~per_factor.isnan())].mean()

    def _labels(self, num_factors: int) -> list[str]:
        labels = [str(i) for i in range(num_factors)] if self.factor_names is None else list(self.factor_names)
        if len(labels) != num_factors:
            raise ValueError(f"factor_names must name {num_factors} factors, got {labels}")
        return labels


def check_mode(mode: str) -> None:
    """Raise a ValueError if this is no mode."""
    if mode not in ("exact", "reference"):
        raise ValueError(f"mode must be 'exact' or 'reference', got {mode!r}")


def _usable_rows(codes: Tensor, factors: Tensor, log_variance: Tensor | None, data: Tensor | None) -> Tensor:
    """Rows that are finite, and stay so when they are squared."""
    variance = None if log_variance is None else log_variance.double().exp()
    return finite_rows(codes, factors, log_variance, variance, data, squared=True)
