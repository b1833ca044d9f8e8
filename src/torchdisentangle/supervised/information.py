"""What the scores of mutual information have in common, and the matrix they are read from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.binning import assign_bins, equal_width_edges
from torchdisentangle.functional.supervised.information import (
    BiasCorrection,
    entropy,
    joint_entropy,
    mutual_information,
    plug_in_bias,
)
from torchdisentangle.plots import plot_factor_matrix, plot_scalar
from torchdisentangle.statistics.counts import JointCountStatistic


class Information(NamedTuple):
    """Information of ``d`` codes about ``F`` factors, in nats."""

    mutual: Tensor
    """Mutual information :math:`I(z_k; y_f)`, ``(d, F)``."""
    joint_entropy: Tensor
    """:math:`H(z_k, y_f)`, ``(d, F)``."""
    factor_entropy: Tensor
    """:math:`H(y_f)`, ``(F,)``."""
    code_entropy: Tensor
    """:math:`H(z_k)`, ``(d,)``."""


def factor_labels(names: Sequence[str] | None, num_factors: int) -> list[str]:
    """What to call factors: the given names, refused if there are not as many, or numbers."""
    labels = [str(i) for i in range(num_factors)] if names is None else list(names)
    if len(labels) != num_factors:
        raise ValueError(f"factor_names must name {num_factors} factors, got {labels}")
    return labels


class InformationMetric(JointCountStatistic):
    """Base of the scores that are read from the information of code bins about factor values.

    Subclasses define :meth:`score`. A factor that was seen with a single value has no entropy: it is left out, and
    named in :attr:`unscored_factors`.

    Args:
        bias_correction: of the mutual information, ``"miller_madow"`` or ``"permutation"``, see
            :func:`~torchdisentangle.functional.supervised.information.mutual_information`; for hard binning only.
        factor_names: what to call the factors; by default their numbers.
        kwargs: settings of :class:`~torchdisentangle.statistics.counts.JointCountStatistic` (``num_bins``, ``edges``,
            ``binning``, ``continuous``, ``factor_range``, ``num_factor_bins``, ``max_rows``, ``seed``) and of
            :class:`torchmetrics.Metric`. Metrics in which these agree share one state, whatever their own settings.

    Raises:
        ValueError: for settings that do not fit together.
    """

    is_differentiable: bool = False
    higher_is_better: bool | None = True
    plot_lower_bound: float = 0.0

    def __init__(
        self,
        bias_correction: BiasCorrection | None = None,
        factor_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if bias_correction not in (None, "miller_madow", "permutation"):
            raise ValueError(f"bias_correction must be None, 'miller_madow' or 'permutation', got {bias_correction!r}")
        if bias_correction is not None and self.binning != "hard":
            raise ValueError("a bias correction needs counts, binning='hard'; soft counts have a smaller bias")
        self.bias_correction, self.factor_names = bias_correction, factor_names

    def score(self, information: Information) -> Tensor:
        """The value from the information about the factors that can be scored."""
        raise NotImplementedError

    def compute(self) -> Tensor:
        """The score, a scalar."""
        return self.score(self.information())

    def ceiling(self) -> Tensor:
        """The score of perfect codes: what bins and factors seen so far allow.

        Perfect codes are one for each factor, independent, and equal to it up to scale: evenly spaced over the bins'
        range, or with ``edges="prior"`` the factor's normal scores. With fewer bins than values they cannot tell all
        values apart. Where lower is better this is the lowest value.
        """
        with self.reduced():
            return self.score(self._perfect_information())

    def plug_in_bias(self) -> Tensor:
        """What the mutual information of unrelated codes and factors would be, to first order: ``(d, F)`` in nats."""
        with self.reduced():
            return plug_in_bias(self.joint_counts()).mT

    @property
    def unscored_factors(self) -> list[str]:
        """Names of the factors that were seen with a single value."""
        with self.reduced():
            scored = self._scored(self.joint_counts())
            return [
                name
                for name, known in zip(factor_labels(self.factor_names, len(scored)), scored.tolist(), strict=True)
                if not known
            ]

    def information(self) -> Information:
        """Information about the factors that can be scored.

        Raises:
            ValueError: if there are no rows, or every factor was seen with a single value.
        """
        joint = self.joint_counts()
        joint = joint[self._scored(joint)]
        if len(joint) == 0:
            raise ValueError(f"{type(self).__name__} cannot score factors that were all seen with a single value")
        miller_madow = self.bias_correction == "miller_madow"
        return Information(
            mutual_information(joint, self.bias_correction).mT,
            joint_entropy(joint, miller_madow).mT,
            entropy(joint[:, 0].sum(1), miller_madow),
            entropy(joint[0].sum(2), miller_madow),
        )

    def over_all_factors(self, scored: Tensor) -> Tensor:
        """Values of the factors that can be scored, ``(..., F')``, with NaN for the others: ``(..., F)``."""
        known = self._scored(self.joint_counts())
        values = scored.new_full((*scored.shape[:-1], len(known)), torch.nan)
        values[..., known] = scored
        return values

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """The value, or given values over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label=type(self).__name__)

    def _scored(self, joint: Tensor) -> Tensor:
        return (joint[:, 0].sum(1) > 0).sum(-1) > 1

    def _perfect_information(self) -> Information:
        joint = self.joint_counts()
        by_value = joint[:, 0].sum(1)[self._scored(joint)].double()
        of_codes = torch.stack([entropy(self._binned(count)) for count in by_value])
        of_factors = entropy(by_value)
        mutual = of_codes.diag()
        return Information(mutual, of_codes[:, None] + of_factors - mutual, of_factors, of_codes)

    def _binned(self, count: Tensor) -> Tensor:
        """How often a perfect code of a factor with these counts is in each bin."""
        values = count.nonzero()[:, 0].double()
        count = count[count > 0]
        if self.edges == "prior":  # equal quantiles of the normal are equal steps of the distribution function
            values = (count.cumsum(0) - 0.5 * count) / count.sum()
            edges = equal_width_edges(0.0, 1.0, self.num_bins)
        else:
            edges = equal_width_edges(values[0], values[-1], self.num_bins)
        bins = assign_bins(values[:, None], edges.to(values.device))[:, 0]
        return torch.zeros(self.num_bins).to(count).index_add(0, bins, count)


class MutualInformationMatrix(InformationMetric):
    r"""Mutual information of every code with every factor.

    .. math:: I_{kf} = \sum_{bv} p_{bv} \log \frac{p_{bv}}{p_b \, p_v}

    from counts of code bins and factor values. Ideal is one large entry, up to :math:`H(y_f)`, in every column and at
    most one in every row. The plug-in estimate is too large by up to ``plug_in_bias()``, unless corrected. Cost of an
    update: ``n d F`` counts.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``;
    ``compute`` returns ``(d, F)`` in nats, with a column of zeros for a factor that was seen with a single value.

    Args:
        normalize: whether to divide each column by the factor's entropy, so that entries are in [0, 1].
        kwargs: settings of :class:`InformationMetric`.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> matrix = MutualInformationMatrix()
        >>> matrix.update(factors.flip(1).float(), factors)
        >>> matrix.compute()
        tensor([[0.0000, 1.3863],
                [0.6931, 0.0000]], dtype=torch.float64)
    """

    higher_is_better = None

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    def compute(self) -> Tensor:
        """The matrix."""
        return self.over_all_factors(self.score(self.information())).nan_to_num(0.0)

    def score(self, information: Information) -> Tensor:
        """The columns of the factors that can be scored, ``(d, F)``."""
        return information.mutual / information.factor_entropy if self.normalize else information.mutual

    def plot(self, val: Tensor | None = None, ax: Any = None) -> Any:
        """Heatmap of codes and factors."""
        value = torch.atleast_2d(self.compute() if val is None else val)
        label = "mutual information / H(factor)" if self.normalize else "mutual information (nats)"
        return plot_factor_matrix(value, factor_labels(self.factor_names, value.shape[1]), ax=ax, label=label)
