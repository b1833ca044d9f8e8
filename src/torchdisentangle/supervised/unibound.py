"""UniBound: what a code alone knows about a factor, and all others together do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.binning import assign_equal_bins
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.posterior_information import posterior_mutual_information
from torchdisentangle.functional.supervised.unique_information import (
    information_of_cells,
    posterior_rest_information,
    rest_of_bins,
    unique_information_bound,
)
from torchdisentangle.statistics import MetricSettings, readout
from torchdisentangle.statistics.aggregate import AggregatePosterior
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.base import SupervisedScore, Variants


class UniqueInformation(NamedTuple):
    """Bounds of unique information ``(d, F)``, and entropies of the factors ``(F,)``, in nats."""

    bound: Tensor
    factor_entropy: Tensor


class UniBound(SupervisedScore):
    r"""UniBound: how much of a factor one code knows that all others together do not.

    .. math:: \frac1F \sum_f \frac{1}{H(y_f)} \max_k \bigl[ I(y_f; z_k) - I(y_f; z_{\setminus k}) \bigr]_+

    a lower bound of the unique information of partial information decomposition. It is at most MIG, which compares a
    code with single others: of the codes :math:`(y_1, y_2, y_1 \oplus y_2)` of two bits the MIG is 1, but the last two
    determine the first, so UniBound is 0. Ideal 1, worst 0.

    The information of all other codes together takes many rows, and what few rows seem to know is subtracted: **the
    score falls to 0 where rows are few, whatever the codes are.** With ``estimator="counts"`` the codes are binned, and
    a row that is alone in the joint bin of the others tells everything; ``lone_rows()`` says how many are. So it suits
    few codes, or discrete ones. With ``estimator="posterior"`` the densities of posteriors are compared at latents that
    are drawn from them; a latent recognises its own row where posteriors are narrow beside the distance of rows.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)`` and ``factors`` ``(n, F)``, and of
    posteriors ``log_variance`` ``(n, d)``; ``compute`` returns a scalar. The cost is that of sorting the rows ``d F``
    times, or of ``num_queries * max_rows * d`` exponentials. Factors with a single value are left out and named.

    Args:
        estimator: ``"counts"`` of bins, or ``"posterior"``.
        num_bins: of a code, of equal width over its range.
        num_queries: latents at which densities are compared.
        continuous: columns of the factors that are real numbers, which are binned; ``True``: all. For counts only.
        num_factor_bins: number of bins of a continuous factor, with equally many rows in each.
        max_rows: how many rows to keep at most.
        seed: of the choice of rows, and of the latents drawn.
        factor_names: for messages and figures.
        settings: of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown estimator, one that the factors are not for, or numbers that are not positive.

    Reference:
        Tokui & Sato, *Disentanglement analysis with partial information decomposition*, ICLR 2022.

    Example:
        >>> bits = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> plain, with_xor = UniBound(), UniBound()
        >>> plain.update(bits.double(), bits)
        >>> with_xor.update(torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1).double(), bits)
        >>> plain.compute(), with_xor.compute().round(decimals=9)
        (tensor(1., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """

    name = "unibound"
    variants: ClassVar[Variants] = {"unibound": {}, "posterior_unibound": {"estimator": "posterior"}}
    cost: ClassVar[Literal["quick", "slow"]] = "slow"
    by_default = False
    matrix_label = "unique information (nats)"

    def __init__(
        self,
        estimator: Literal["counts", "posterior"] = "counts",
        num_bins: int = 20,
        num_queries: int = 1024,
        continuous: Continuous = False,
        num_factor_bins: int = 10,
        max_rows: int = 10_000,
        seed: int = 0,
        factor_names: Sequence[str] | None = None,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if estimator not in ("counts", "posterior"):
            raise ValueError(f"estimator must be 'counts' or 'posterior', got {estimator!r}")
        if min(num_bins, num_queries, num_factor_bins) < 1:
            raise ValueError(
                "num_bins, num_queries and num_factor_bins must be at least 1, got "
                f"{num_bins}, {num_queries} and {num_factor_bins}"
            )
        if estimator == "posterior" and continuous:
            raise ValueError("estimator='posterior' needs discrete factors")
        rows = CodeFactorRows(max_rows, continuous, seed, log_variance=estimator == "posterior")
        super().__init__(rows, factor_names=factor_names, **settings)
        self.rows = rows
        self.estimator = estimator
        self.num_bins: int = num_bins
        self.num_queries: int = num_queries
        self.continuous: Continuous = continuous
        self.num_factor_bins: int = num_factor_bins
        self.max_rows: int = max_rows
        self.seed: int = seed

    @classmethod
    def _needs_of(cls, **settings: Any) -> frozenset[str]:
        return frozenset({"log_variance"} if settings.get("estimator") == "posterior" else ())

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._mean_over_factors(self._per_factor())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._per_factor()

    @readout
    def matrix(self) -> Tensor:
        """Bound of the unique information of every code about every factor, ``(d, F)`` in nats."""
        return self._unique().bound

    @readout
    def lone_rows(self) -> Tensor:
        """Share of the rows that are alone in the joint bin of all codes but one, ``(d,)``."""
        shares = []
        for cells in rest_of_bins(self._bins()):
            sizes = cells.unique(return_counts=True)[1]
            shares.append((sizes == 1).sum() / len(cells))
        return torch.stack(shares).double()

    def _scored(self) -> Tensor:
        return self._unique().factor_entropy > 0

    def _per_factor(self) -> Tensor:
        bound, factor_entropy = self._unique()
        return bound.amax(0) / factor_entropy.where(factor_entropy > 0, torch.nan)

    def _unique(self) -> UniqueInformation:
        self.require_samples(self.rows.num_rows(self), "rows")
        rows = self.rows.read(self)
        how = ("unique information", self.estimator, self.num_bins, self.num_queries, self.num_factor_bins)
        if how not in rows.derived:
            values = value_labels(rows["factors"], self.continuous, self.num_factor_bins)
            entropies = torch.stack([entropy(column.bincount()) for column in values.mT])
            of = self._of_posteriors if self.estimator == "posterior" else self._of_bins
            rows.derived[how] = UniqueInformation(unique_information_bound(*of(values)), entropies)
        return rows.derived[how]

    def _bins(self) -> Tensor:
        self.require_samples(self.rows.num_rows(self), "rows")
        codes = self.rows.read(self)["codes"]
        return assign_equal_bins(codes, codes.amin(0), codes.amax(0), self.num_bins)

    def _of_bins(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Information of each code, and of all others."""
        bins = self._bins()
        alone = torch.stack([information_of_cells(cells, values) for cells in bins.unbind(1)])
        rest = torch.stack([information_of_cells(cells, values) for cells in rest_of_bins(bins)])
        return alone, rest

    def _of_posteriors(self, values: Tensor) -> tuple[Tensor, Tensor]:
        posterior = AggregatePosterior(self, self.rows, mean="codes", factors="factors")
        z = posterior.queries(self.num_queries).z
        alone = posterior_mutual_information(posterior.log_sums(self.num_queries, matched=True))
        rest = posterior_rest_information(z, posterior.mean, posterior.log_variance, values, values[: len(z)])
        return alone, rest
