"""Information of Gaussian posteriors about factors, without bins."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.row_hash import hashed_normal
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.posterior_information import posterior_mutual_information
from torchdisentangle.statistics import Statistic
from torchdisentangle.statistics.aggregate import shared_aggregate_log_sums
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.information_estimator import Information, InformationEstimator


class PosteriorInformation(InformationEstimator):
    r"""Information from densities of posteriors, at latents drawn from them.

    .. math:: I(z_k; y_f) = \mathbb{E} \log \frac{q(z_k \,|\, y_f)}{q(z_k)}

    Both densities are mixtures of the posteriors of the rows kept, all or at most ``max_rows``; few rows with narrow
    posteriors make information that is not there, for a latent recognises its own row. It sees the posteriors' widths
    and has no bins that cap it. Cost: ``num_queries * max_rows * d`` exponentials, once for all scores that share the
    rows.

    Args:
        rows: which rows are kept, with their log-variances.
        num_queries: latents at which densities are compared; the standard error of a mutual information is at most
            about ``num_queries ** -0.5`` nats.

    Raises:
        ValueError: if there are no queries.
    """

    needs = frozenset({"log_variance"})

    def __init__(self, rows: CodeFactorRows, num_queries: int = 2048) -> None:
        if num_queries < 1:
            raise ValueError(f"num_queries must be at least 1, got {num_queries}")
        self.rows, self.num_queries = rows, num_queries
        self.configuration = rows.configuration

    def register(self, score: Statistic) -> None:
        """Add the states."""
        score.add_state_of(self.rows)

    def widths(self, score: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had."""
        return self.rows.widths(score)

    def num_rows(self, score: Any) -> int:
        """Number of rows that are kept."""
        return len(score.keys)

    def add(
        self,
        score: Any,
        codes: Tensor,
        factors: Tensor,
        log_variance: Tensor | None,
        index: Tensor | None,
        kept: Tensor | None,
    ) -> None:
        """Keep rows."""
        self.rows.add_codes(score, codes, factors, log_variance, index, kept)

    def information(self, score: Any) -> Information:
        """Information about all factors."""
        score.require_samples(self.num_rows(score), "rows")
        factors = self.rows.read(score).columns["factors"]
        entropies = torch.stack([entropy(column.unique(return_counts=True)[1]) for column in factors.mT])
        z, mean, log_variance = self.queries(score)
        sums = self._log_sums(score, z)
        known = gaussian_log_density(z, mean, log_variance) - (sums.marginal - sums.weight)
        return Information(posterior_mutual_information(sums), entropies, known.mean(0).clamp(min=0))

    def queries(self, score: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Latents drawn from the posteriors of the first rows, with their means and log-variances, ``(S, d)`` each."""
        rows, first = self.rows.read(score), slice(self.num_queries)
        mean, log_variance = rows.columns["codes"][first], rows.columns["log_variance"][first]
        noise = hashed_normal(rows.keys[first], mean.shape[1], self.rows.seed)
        return mean + (0.5 * log_variance).exp() * noise, mean, log_variance

    def _log_sums(self, score: Any, z: Tensor) -> AggregateLogSums:
        """Log-sums over the rows that share a query's factors, and over all; computed once for all scores of the rows.

        While the states are reduced over processes this is a collective: each process computes a share of the rows.
        """
        rows, known = self.rows.read(score), ("log-sums of matched factors", self.num_queries)
        if known not in rows.derived:
            factors = rows.columns["factors"].to(torch.int64)
            settings: dict[str, Any] = {"factors": factors, "query_factors": factors[: len(z)]}
            several = score.is_reduced and dist.is_initialized() and dist.get_world_size(score.process_group) > 1
            log_sums = shared_aggregate_log_sums if several else aggregate_log_sums
            settings |= {"group": score.process_group} if several else {}
            rows.derived[known] = log_sums(z, rows.columns["codes"], rows.columns["log_variance"], **settings)
        return rows.derived[known]
