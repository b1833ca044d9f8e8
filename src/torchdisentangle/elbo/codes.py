"""How dependent codes are, by their second moments and pair by pair."""

from __future__ import annotations

from typing import Any, Literal

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.elbo.correlation import gaussian_total_correlation, gaussian_wasserstein_correlation
from torchdisentangle.functional.informativeness.quantization import check_edges
from torchdisentangle.functional.supervised.binning import assign_bins, equal_width_edges, normal_quantile_edges
from torchdisentangle.functional.supervised.information import mutual_information
from torchdisentangle.functional.supervised.joint_counts import joint_counts
from torchdisentangle.plots import plot_pairwise, plot_scalar
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import check_codes, check_index, finite_rows
from torchdisentangle.statistics.code_moments import CodeMomentStatistic
from torchdisentangle.statistics.readout import readout


class GaussianTotalCorrelation(CodeMomentStatistic):
    r"""Total correlation of the Gaussian that has the codes' covariance.

    .. math:: \mathrm{TC} = -\tfrac12 \log \det R

    with the correlation matrix :math:`R` of the codes. Ideal 0, but also 0 for codes that are uncorrelated and yet
    dependent: for those see :class:`~torchdisentangle.elbo.TotalCorrelation`. A constant code is left out; a singular
    covariance, as of a duplicated code, gives about 16 for each lost dimension instead of infinity. Independent codes
    show about :math:`d^2 / 4n`.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``, posterior means or samples;
    ``compute`` returns a scalar in nats, 0 for a single row.

    Args:
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of Disentangled
        Representations*, ICML 2019.

    Example:
        >>> import torch
        >>> total_correlation = GaussianTotalCorrelation()
        >>> total_correlation.update(torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 0.5], [-1.0, -0.5]]))
        >>> total_correlation.compute()  # correlation 0.9487
        tensor(1.1513, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def compute(self) -> Tensor:
        """The value over all rows."""
        return gaussian_total_correlation(self.covariance())

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """The value, or a list of values over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label="Gaussian total correlation (nats)")


class GaussianWassersteinCorrelation(CodeMomentStatistic):
    r"""Squared Wasserstein distance of the Gaussian that has the codes' covariance from the product of its marginals.

    .. math:: W_2^2 = 2 \operatorname{tr} \Sigma - 2 \operatorname{tr} (D^{1/2} \Sigma D^{1/2})^{1/2}, \quad
              D = \operatorname{diag} \Sigma

    Ideal 0: uncorrelated codes, and constant ones. In squared units of the codes, or with ``normalize`` divided by
    their total variance. Finite for any covariance.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``, posterior means or samples;
    ``compute`` returns a scalar, 0 for a single row.

    Args:
        normalize: whether to divide by :math:`\operatorname{tr} \Sigma`.
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Xiao & Wang, *Disentangled Representation Learning with Wasserstein Total Correlation*, 2019.

    Example:
        >>> import torch
        >>> distance = GaussianWassersteinCorrelation(normalize=True)
        >>> distance.update(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))  # the same code twice
        >>> distance.compute()  # 2 - sqrt(2)
        tensor(0.5858, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def __init__(self, normalize: bool = False, **settings: Unpack[MetricSettings]) -> None:
        super().__init__(**settings)
        self.normalize = normalize

    def compute(self) -> Tensor:
        """The value over all rows."""
        return gaussian_wasserstein_correlation(self.covariance(), self.normalize)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """The value, or a list of values over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label="Wasserstein correlation")


class CodeMutualInformation(Statistic):
    r"""Mean mutual information of pairs of binned codes.

    .. math:: \frac{1}{d (d - 1)} \sum_{i \ne j} I(b(z_i); b(z_j))

    Ideal 0; at most :math:`\log B`. The bins are agreed before any code is seen, so that counts add exactly over
    batches and processes: by default the quantiles of a standard normal, equally filled by codes that follow the prior
    (posterior means of a collapsed latent share one or two bins, and have no information). Independent codes show a
    bias of about :math:`(B - 1)^2 / 2n`. A single code has no pairs: 0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``; ``compute`` returns a scalar in
    nats. The state is ``d * d * num_bins ** 2`` integers.

    Args:
        num_bins: number of bins ``B``.
        edges: ``"prior"``, or where bins of equal width begin and end; codes outside belong to the outermost.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if there is no bin or the edges do not ascend.

    Reference:
        Locatello et al., ICML 2019.

    Example:
        >>> import torch
        >>> information = CodeMutualInformation(num_bins=2)
        >>> information.update(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
        >>> information.compute()  # log 2
        tensor(0.6931, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0
    counts: Tensor

    def __init__(
        self,
        num_bins: int = 20,
        edges: Literal["prior"] | tuple[float, float] = "prior",
        **settings: Unpack[MetricSettings],
    ) -> None:
        if isinstance(edges, str):
            if edges != "prior":
                raise ValueError(f"edges must be 'prior' or two numbers, got {edges!r}")
            inner = normal_quantile_edges(num_bins)
        else:
            edges = check_edges(edges)
            inner = equal_width_edges(*edges, num_bins)
        super().__init__(configuration=("code pairs", num_bins, edges), **settings)
        self.num_bins = num_bins
        self.edges = edges
        self._inner_edges = inner
        self.add_sum("counts", dtype=torch.int64)

    def update(self, codes: Tensor, *, index: Tensor | None = None) -> None:
        """Add codes.

        Args:
            codes: ``(n, d)``. Rows with NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned
                of.
            index: positions of the rows in the data set, ``(n,)`` integers; counts do not need them.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if the shapes do not fit.
        """
        codes = check_codes(codes, width=self.counts.shape[1] if self.counts.ndim else None)
        check_index(index, len(codes))
        finite = finite_rows(codes)
        bins = assign_bins(codes[finite].double(), self._inner_edges.to(codes.device))
        self.accumulate(counts=joint_counts(bins, bins, self.num_bins, self.num_bins))
        self.leave_out(int((~finite).sum()), "codes")

    def compute(self) -> Tensor:
        """The mean over pairs."""
        pairs = self.pairwise()
        return pairs.sum() / max(pairs.numel() - len(pairs), 1)

    @readout
    def pairwise(self) -> Tensor:
        """Mutual information of each pair, ``(d, d)`` in nats, with a zero diagonal."""
        self.require_samples(self.counts.sum(), "codes")
        return mutual_information(self.counts).fill_diagonal_(0.0)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """All pairs as a heatmap, or given values over steps."""
        if val is not None:
            return plot_scalar(val, ax=ax, label="mutual information of codes (nats)")
        return plot_pairwise(self.pairwise(), ax=ax, label="mutual information (nats)")
