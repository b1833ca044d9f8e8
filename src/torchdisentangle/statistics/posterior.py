"""Gaussian posteriors of data: sums over all of them, and a bounded sample that stands for the aggregate posterior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.statistics.aggregate import AggregatePosterior
from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import MOST_TO_SQUARE, check_codes, check_index, check_log_variance, check_seed
from torchdisentangle.statistics.readout import readout
from torchdisentangle.statistics.sample import RowSample


class PosteriorSettings(MetricSettings, total=False):
    """Settings of :class:`PosteriorStatistic`, which every metric of posteriors takes."""

    max_rows: int | None
    seed: int


class PosteriorStatistic(Statistic):
    r"""Sums over the diagonal Gaussian posteriors :math:`q(z \mid x_n)` of all rows, and a sample of them if asked for.

    Args:
        max_rows: how many posteriors to keep at most, see
            :class:`~torchdisentangle.statistics.aggregate.AggregatePosterior`; ``None``: none, only sums.
        seed: decides which are kept, and the noise of the latents drawn from them.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        TypeError: if the seed is no integer.
        ValueError: if ``max_rows`` is not positive, or the seed is not one that NumPy accepts.
    """

    is_differentiable: bool | None = False
    num_rows: Tensor
    kl_sum: Tensor
    mean_sum: Tensor
    mean_squared_sum: Tensor
    variance_sum: Tensor

    def __init__(
        self,
        max_rows: int | None = None,
        seed: int = 0,
        configuration: object = None,
        **settings: Unpack[MetricSettings],
    ) -> None:
        check_seed(seed)
        kept = None if max_rows is None else (max_rows, seed)
        super().__init__(configuration=("posteriors", kept, configuration), **settings)
        self.max_rows = max_rows
        self.seed = seed
        self.add_sum("num_rows", dtype=torch.int64)
        for name in ("kl_sum", "mean_sum", "mean_squared_sum", "variance_sum"):
            self.add_sum(name)
        self.sample: RowSample | None = (
            None if max_rows is None else RowSample(["mean", "log_variance"], max_rows, seed)
        )
        if self.sample is not None:
            self.add_state_of(self.sample)

    def update(self, mean: Tensor, log_variance: Tensor, *, index: Tensor | None = None) -> None:
        """Add posteriors.

        Args:
            mean: ``(n, d)``. Rows with NaN or infinite entries, or whose KL divergence from the standard normal exceeds
                1e150 nats, the square of which overflows, are left out, counted in ``num_nonfinite``, and warned of.
            log_variance: ``(n, d)``.
            index: positions of the rows in the data set, ``(n,)`` integers; see
                :class:`~torchdisentangle.statistics.RowSample`.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if shapes do not fit.
        """
        mean = check_codes(mean, name="mean", width=len(self.kl_sum) if self.kl_sum.ndim else None).double()
        log_variance = check_log_variance(log_variance, mean).to(mean.device).double()
        index = check_index(index, len(mean))
        kl = gaussian_kl(mean, log_variance)
        finite = (kl <= MOST_TO_SQUARE).all(1)  # NaN is not
        num_lost = len(mean) - int(finite.sum())
        kept: Any = finite if num_lost else slice(None)
        self._add_besides(
            mean[kept], log_variance[kept], index if index is None or not num_lost else index[finite.to(index.device)]
        )
        if self.sample is not None:
            rows = {"mean": mean, "log_variance": log_variance}
            self.sample.add(self, rows, index, kept=finite if num_lost else None)
        self.accumulate(
            num_rows=len(mean) - num_lost,
            kl_sum=kl[kept].sum(0),
            mean_sum=mean[kept].sum(0),
            mean_squared_sum=mean[kept].square().sum(0),
            variance_sum=log_variance[kept].exp().sum(0),
        )
        self.leave_out(num_lost, "posteriors")

    @readout
    def latent_kl(self) -> Tensor:
        """Mean analytic KL divergence of each latent from the standard normal, ``(d,)`` in nats."""
        self.require_samples(self.num_rows, "posteriors")
        return self.kl_sum / self.num_rows

    @readout
    def mean_variance(self) -> Tensor:
        """Variance over rows of each latent's posterior mean, ``(d,)``, with the denominator ``n``."""
        self.require_samples(self.num_rows, "posteriors")
        return (self.mean_squared_sum / self.num_rows - (self.mean_sum / self.num_rows).square()).clamp(min=0)

    def _add_besides(self, mean: Tensor, log_variance: Tensor, index: Tensor | None) -> None:
        """Add to the sums of a subclass: float64 posteriors of finite rows, and their positions if these are known.

        It comes before all other sums, so that what it refuses has changed nothing.
        """

    def _ceiling(self) -> Tensor:
        r"""Largest information that the rows kept can show, :math:`\log N` nats."""
        return torch.tensor(float(len(self._posterior())), dtype=torch.float64, device=self.device).log()

    def _posterior(self) -> AggregatePosterior:
        """The aggregate posterior of the rows kept."""
        self.require_samples(self.num_rows, "posteriors")
        if self.sample is None:
            raise ValueError(f"{type(self).__name__} keeps no rows: set max_rows")
        return AggregatePosterior(self, self.sample)
