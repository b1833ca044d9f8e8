"""Information of Gaussian posteriors about factors, without bins."""

from __future__ import annotations

from typing import Any

import torch

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.posterior_information import posterior_mutual_information
from torchdisentangle.statistics.aggregate import AggregatePosterior
from torchdisentangle.statistics.code_factor_state import CodeFactorState
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

    def __init__(self, rows: CodeFactorRows, num_queries: int = 2048) -> None:
        if num_queries < 1:
            raise ValueError(f"num_queries must be at least 1, got {num_queries}")
        self.state: CodeFactorState = rows
        self.rows = rows
        self.num_queries = num_queries

    def information(self, score: Any) -> Information:
        """Information about all factors."""
        score.require_samples(self.rows.num_rows(score), "rows")
        posterior = AggregatePosterior(score, self.rows, mean="codes", factors="factors")
        entropies = torch.stack([entropy(column.unique(return_counts=True)[1]) for column in score.factors.mT])
        queries, sums = posterior.queries(self.num_queries), posterior.log_sums(self.num_queries, matched=True)
        known = gaussian_log_density(*queries) - (sums.marginal - sums.weight)
        return Information(posterior_mutual_information(sums), entropies, known.mean(0).clamp(min=0))
