"""What scores of factors have in common: which of them could be scored, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.plots import plot_factor_matrix, plot_scalar
from torchdisentangle.supervised.information import factor_labels


class FactorScores(Metric):
    """Base, beside a statistic, of metrics that score every factor and then average.

    A factor that cannot be scored (mostly because it has a single value) is NaN in results per factor, is named in a
    warning, and is left out of the mean.

    Args:
        factor_names: for messages and figures; by default the factors' positions.
        kwargs: passed on to the statistic.
    """

    is_differentiable: bool | None = False
    higher_is_better: bool | None = True
    why_unscored: ClassVar[str] = "too few values"
    matrix_label: ClassVar[str] = ""
    """What the entries of ``matrix()`` are, where a score is read from one over codes and factors."""

    def __init__(self, factor_names: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor_names = None if factor_names is None else tuple(factor_names)

    def scored(self, per_factor: Tensor) -> Tensor:
        """Which factors have a score; the others are warned of.

        Args:
            per_factor: ``(F,)``, NaN for a factor without a score.

        Returns:
            ``(F,)`` booleans.

        Raises:
            ValueError: if no factor has a score.
        """
        scored = ~per_factor.isnan()
        if not scored.all():
            names = factor_labels(self.factor_names, len(scored))
            missing = ", ".join(name for name, has in zip(names, scored.tolist(), strict=True) if not has)
            if not scored.any():
                raise ValueError(
                    f"{type(self).__name__} can score none of the factors ({missing}): {self.why_unscored}"
                )
            rank_zero_warn(
                f"{type(self).__name__} leaves out factors that it cannot score ({self.why_unscored}): {missing}",
                UserWarning,
            )
        return scored

    def mean_over_factors(self, per_factor: Tensor) -> Tensor:
        """Mean over the factors that have a score."""
        return per_factor[self.scored(per_factor)].mean()

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Heatmap of the matrix that the score is read from, if there is one, else the score; or what is given."""
        if val is None:
            val = self.matrix() if self.matrix_label else self.compute()  # type: ignore[operator]
        if isinstance(val, Tensor) and val.ndim == 2:
            return plot_factor_matrix(val, self.factor_names, ax=ax, label=self.matrix_label)
        return plot_scalar(val, ax=ax, label=type(self).__name__)
