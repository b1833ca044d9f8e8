"""Similarity of two whole spaces of codes: linear CKA, SVCCA, Procrustes distance and RSA."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.similarity.spaces import (
    Dissimilarity,
    check_dissimilarity,
    check_variance,
    linear_cka,
    procrustes_distance,
    representational_similarity,
    svcca,
)
from torchdisentangle.functional.supervised.predictability import is_constant
from torchdisentangle.plots import plot_scalar
from torchdisentangle.statistics import MetricSettings, RowMoments, RowSample, Statistic
from torchdisentangle.statistics.checks import check_codes, check_index, finite_rows


class SpacePair(Statistic):
    """Base of the metrics of two sets of codes of the same rows.

    A subclass defines ``_add``, which adds rows to its state, and ``_widths``.
    """

    label: ClassVar[str]

    def update(self, codes_a: Tensor, codes_b: Tensor, *, index: Tensor | None = None) -> None:
        """Add rows.

        Args:
            codes_a: codes of the first model, ``(n, d_a)``. Rows with NaN or infinite entries in either, or any beyond
                1e150, are left out, counted in ``num_nonfinite``, and warned of.
            codes_b: codes of the second model for the same rows, ``(n, d_b)``.
            index: positions of the rows in the data set, ``(n,)`` integers; moments do not need them.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if the shapes do not fit.
        """
        width_a, width_b = self._widths() or (None, None)
        codes_a = check_codes(codes_a, name="codes_a", width=width_a)
        codes_b = check_codes(codes_b, name="codes_b", width=width_b).to(codes_a.device)
        if len(codes_a) != len(codes_b):
            raise ValueError(
                f"codes_a and codes_b must be of the same rows, got {tuple(codes_a.shape)} and {tuple(codes_b.shape)}"
            )
        index = check_index(index, len(codes_a))
        kept = finite_rows(codes_a, codes_b, squared=True)
        self._add(codes_a, codes_b, index, kept)
        self.leave_out(int((~kept).sum()), "codes")

    def _widths(self) -> list[int] | None:
        """How many codes both spaces have; ``None`` without rows. Every subclass defines this."""
        raise NotImplementedError

    def _add(self, codes_a: Tensor, codes_b: Tensor, index: Tensor | None, kept: Tensor) -> None:
        """Add rows to the state. Every subclass defines this."""
        raise NotImplementedError

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot the value, or a list of values over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label=self.label)


class SpacePairMoments(SpacePair):
    """Base of the metrics that follow from the covariance of both sets of codes, which they share.

    Args:
        settings: as for :class:`torchmetrics.Metric`.
    """

    row_widths: Tensor
    num_rows: Tensor

    def __init__(self, **settings: Unpack[MetricSettings]) -> None:
        super().__init__("moments of two spaces", **settings)
        self.moments: RowMoments = RowMoments(num_parts=2)
        self.add_state_of(self.moments)

    def _widths(self) -> list[int] | None:
        return self.row_widths.tolist() if self.num_rows.any() else None

    def _add(self, codes_a: Tensor, codes_b: Tensor, index: Tensor | None, kept: Tensor) -> None:
        self.moments.add(self, codes_a[kept], codes_b[kept])

    def _covariance(self) -> tuple[Tensor, int]:
        """The covariance of both sets of codes, 0 where one is constant, and the width of the first."""
        self.require_samples(self.num_rows, "rows", 2)
        total = self.moments.total(self)
        covariance = total.covariance
        constant = is_constant(total.mean, covariance.diagonal())
        return covariance.masked_fill(constant | constant[:, None], 0.0), int(self.row_widths[0])


class LinearCKA(SpacePairMoments):
    r"""Linear centred kernel alignment (CKA) of two spaces of codes of the same rows.

    .. math:: \frac{\lVert \Sigma_{ab} \rVert_F^2}{\lVert \Sigma_{aa} \rVert_F \, \lVert \Sigma_{bb} \rVert_F}

    1: the same up to a rotation and one scale. 0: uncorrelated. Directions of large variance count most. Exact on any
    number of processes; few rows of many codes bias it upwards.

    As input to ``forward`` and ``update`` the metric accepts ``codes_a`` ``(n, d_a)``, ``codes_b`` ``(n, d_b)`` and
    ``index`` ``(n,)``; ``compute`` returns a scalar, NaN if a space is constant.

    Args:
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Kornblith, Norouzi, Lee & Hinton, *Similarity of Neural Network Representations Revisited*, ICML 2019.

    Example:
        >>> import torch
        >>> cka, codes = LinearCKA(), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> cka.update(codes, codes[:, :1])
        >>> cka.compute()
        tensor(0.7071, dtype=torch.float64)
    """

    higher_is_better: bool | None = True
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0
    label = "linear CKA"

    def compute(self) -> Tensor:
        """The alignment, a scalar."""
        return linear_cka(*self._covariance())


class SVCCA(SpacePairMoments):
    r"""Singular vector canonical correlation analysis (SVCCA) of two spaces of codes of the same rows.

    The mean of the canonical correlations between the leading principal directions of both. 1: each direction of the
    smaller space is a linear function of the other space. 0: uncorrelated. All directions that are kept count alike.
    Exact on any number of processes; few rows of many codes bias it upwards, to 1 where there are no more rows than
    codes.

    As input to ``forward`` and ``update`` the metric accepts ``codes_a`` ``(n, d_a)``, ``codes_b`` ``(n, d_b)`` and
    ``index`` ``(n,)``; ``compute`` returns a scalar, NaN if a space is constant.

    Args:
        variance: share of each space's variance that the directions must hold, 0.99 as published; 1: all directions.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if the share is not in (0, 1].

    Reference:
        Raghu, Gilmer, Yosinski & Sohl-Dickstein, *SVCCA: Singular Vector Canonical Correlation Analysis for Deep
        Learning Dynamics and Interpretability*, NIPS 2017.

    Example:
        >>> import torch
        >>> svcca, codes = SVCCA(), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> svcca.update(codes, codes @ torch.tensor([[3.0, 1.0], [0.0, 1.0]]))
        >>> svcca.compute().round(decimals=6)
        tensor(1., dtype=torch.float64)
    """

    higher_is_better: bool | None = True
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0
    label = "SVCCA"

    def __init__(self, variance: float = 0.99, **settings: Unpack[MetricSettings]) -> None:
        check_variance(variance)
        super().__init__(**settings)
        self.variance = variance

    def compute(self) -> Tensor:
        """The mean canonical correlation, a scalar."""
        return svcca(*self._covariance(), self.variance)


class ProcrustesDistance(SpacePairMoments):
    r"""Squared orthogonal Procrustes distance of two spaces of codes of the same rows, centred and scaled to norm 1.

    .. math:: 2 - 2 \, \frac{\lVert \Sigma_{ab} \rVert_*}
              {\sqrt{\operatorname{tr} \Sigma_{aa} \operatorname{tr} \Sigma_{bb}}}

    0: the same up to a rotation and one scale. 2: uncorrelated. Exact on any number of processes.

    As input to ``forward`` and ``update`` the metric accepts ``codes_a`` ``(n, d_a)``, ``codes_b`` ``(n, d_b)`` and
    ``index`` ``(n,)``; ``compute`` returns a scalar, NaN if a space is constant.

    Args:
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Schönemann, *A generalized solution of the orthogonal Procrustes problem*, Psychometrika 1966; for
        representations, Ding, Denain & Steinhardt, *Grounding Representation Similarity Through Statistical Testing*,
        NeurIPS 2021.

    Example:
        >>> import torch
        >>> distance, codes = ProcrustesDistance(), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> distance.update(codes, codes[:, :1])
        >>> distance.compute()
        tensor(0.5858, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 2.0
    label = "Procrustes distance"

    def compute(self) -> Tensor:
        """The squared distance, a scalar."""
        return procrustes_distance(*self._covariance())


class RSA(SpacePair):
    r"""Representational similarity analysis (RSA) of two spaces of codes of the same rows.

    .. math:: \operatorname{Spearman}\bigl( \{ \delta(a_i, a_j) \}_{i < j}, \{ \delta(b_i, b_j) \}_{i < j} \bigr)

    1: both spaces order the distances of all pairs of rows alike. 0: they have nothing in common. Computed on a uniform
    sample of rows, because the number of pairs grows with the square of theirs.

    As input to ``forward`` and ``update`` the metric accepts ``codes_a`` ``(n, d_a)``, ``codes_b`` ``(n, d_b)`` and
    ``index`` ``(n,)``; ``compute`` returns a scalar, NaN if all distances of a space are equal.

    Args:
        distance: ``"euclidean"``, or ``"correlation"`` of the entries of two rows, for codes of many dimensions.
        max_rows: how many rows to keep at most.
        seed: of the choice of rows.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown distance, or if ``max_rows`` is not positive.

    Reference:
        Kriegeskorte, Mur & Bandettini, *Representational similarity analysis: connecting the branches of systems
        neuroscience*, Frontiers in Systems Neuroscience 2008.

    Example:
        >>> import torch
        >>> rsa, codes = RSA(), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> rsa.update(codes, 7 - 2 * codes.flip(1))
        >>> rsa.compute().round(decimals=6)
        tensor(1., dtype=torch.float64)
    """

    higher_is_better: bool | None = True
    plot_lower_bound: float = -1.0
    plot_upper_bound: float = 1.0
    label = "RSA"

    keys: Tensor
    codes_a: Tensor
    codes_b: Tensor

    def __init__(
        self,
        distance: Dissimilarity = "euclidean",
        max_rows: int = 1000,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        check_dissimilarity(distance)
        super().__init__(("rows of two spaces", max_rows, seed), **settings)
        self.distance = distance
        self.max_rows: int = max_rows
        self.seed: int = seed
        self.sample: RowSample = RowSample(["codes_a", "codes_b"], max_rows, seed)
        self.add_state_of(self.sample)

    def _widths(self) -> list[int] | None:
        return [self.codes_a.shape[1], self.codes_b.shape[1]] if len(self.keys) else None

    def _add(self, codes_a: Tensor, codes_b: Tensor, index: Tensor | None, kept: Tensor) -> None:
        self.sample.add(self, {"codes_a": codes_a, "codes_b": codes_b}, index, kept)

    def compute(self) -> Tensor:
        """The rank correlation of the distances, a scalar."""
        rows = self.sample.read(self)
        self.require_samples(len(rows), "rows", 3)
        return representational_similarity(rows["codes_a"], rows["codes_b"], self.distance)
