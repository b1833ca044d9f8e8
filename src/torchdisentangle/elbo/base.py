"""What the terms of the ELBO decomposition have in common."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.decomposition import (
    MinibatchEstimator,
    adjusted_to_kl,
    elbo_terms,
    minibatch_log_densities,
)
from torchdisentangle.functional.row_hash import hash_index, hashed_normal
from torchdisentangle.statistics.classes import Estimate, standard_error
from torchdisentangle.statistics.posterior import PosteriorSampleStatistic

Estimator = Literal["aggregate", "mss", "mws"]


class ELBOMetric(PosteriorSampleStatistic):
    r"""Base of the terms of :math:`\mathrm{KL} = I(x; z) + \mathrm{TC} + \mathrm{DWKL}`, by one of three estimators.

    - ``"aggregate"``: latents drawn from ``num_queries`` posteriors are scored under all posteriors, exactly. The value
      does not depend on batches or processes. With more than ``max_rows`` rows, all but a uniform sample of that size
      is left out of the mixture, whose mutual information is then at most :math:`\log` ``max_rows``.
    - ``"mss"``, ``"mws"``: averages of minibatch estimates as they are used in training, see
      :func:`~torchdisentangle.functional.elbo.decomposition.minibatch_log_weights`. They depend on the batch size;
      ``"mss"`` is roughly right, ``"mws"`` is off by multiples of :math:`\log N`. A batch of a single row has no
      ``"mss"`` estimate: it is left out and counted in ``num_skipped``. Each batch costs :math:`b^2 d`.

    For every estimator the three terms add to the analytic KL divergence of all rows: what sampling leaves over is
    shared out by regression, see :func:`~torchdisentangle.functional.elbo.decomposition.adjusted_to_kl`.

    Args:
        estimator: as above.
        num_queries: latents to score with ``"aggregate"``; the standard error falls with its square root.
        dataset_size: number of rows :math:`N` of the data set, needed by ``"mss"`` and ``"mws"``.
        max_rows: how many posteriors to keep at most with ``"aggregate"``.
        seed: decides which are kept, and the noise of the latents.
        kwargs: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown estimator, numbers below 1, or a missing ``dataset_size``.
    """

    is_differentiable: bool = False
    higher_is_better: bool | None = None
    terms: Tensor
    terms_outer: Tensor
    num_terms: Tensor
    num_skipped: Tensor

    def __init__(
        self,
        estimator: Estimator = "aggregate",
        num_queries: int = 1024,
        dataset_size: int | None = None,
        max_rows: int = 2**15,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if estimator not in ("aggregate", "mss", "mws"):
            raise ValueError(f"estimator must be 'aggregate', 'mss' or 'mws', got {estimator!r}")
        if num_queries < 1:
            raise ValueError(f"num_queries must be at least 1, got {num_queries}")
        self.of_minibatches = estimator != "aggregate"
        if self.of_minibatches and (dataset_size is None or dataset_size < 1):
            raise ValueError(f"estimator={estimator!r} needs dataset_size, the number of rows, got {dataset_size}")
        settings = (estimator, dataset_size) if self.of_minibatches else None
        super().__init__(max_rows, seed, configuration=settings, **kwargs)
        self.estimator, self.num_queries, self.dataset_size = estimator, num_queries, dataset_size
        if self.of_minibatches:
            self.add_sum("terms")
            self.add_sum("terms_outer")
            self.add_sum("num_terms", dtype=torch.int64)
            self.add_sum("num_skipped", dtype=torch.int64)

    def update(
        self, mean: Tensor, log_variance: Tensor, factors: Tensor | None = None, index: Tensor | None = None
    ) -> None:
        """Add posteriors.

        Args:
            mean: ``(n, d)``. Rows with NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned
                of.
            log_variance: ``(n, d)``.
            factors: not needed.
            index: positions of the rows in the data set, ``(n,)`` integers.

        Raises:
            ValueError: if shapes or dtypes do not fit; with ``"mss"`` if a batch has more than ``dataset_size + 1``
                rows.
        """
        if not self.of_minibatches:
            super().update(mean, log_variance, factors, index)
            return
        size = cast(int, self.dataset_size)
        if self.estimator == "mss" and len(mean) - 1 > size:
            raise ValueError(f"a batch of {len(mean)} rows does not come from a data set of {size}: set dataset_size")
        index = self.check_index(index, len(mean))
        finite = self.add_posteriors(mean, log_variance)
        self.num_seen = self.num_seen + len(mean)
        mean, log_variance = (x.detach()[finite].double() for x in (mean, log_variance))
        if len(mean) == 0 or (self.estimator == "mss" and len(mean) == 1):
            self.accumulate(num_skipped=torch.tensor(len(mean)))
            return
        keys = hash_index(index.to(mean.device)[finite], self.seed)
        z = mean + (0.5 * log_variance).exp() * hashed_normal(keys, mean.shape[1], self.seed)
        estimator = cast(MinibatchEstimator, self.estimator)
        densities = minibatch_log_densities(z, mean, log_variance, size, estimator)
        terms = torch.stack(elbo_terms(z, mean, log_variance, *densities), dim=1)
        self.accumulate(terms=terms.sum(0), terms_outer=terms.mT @ terms, num_terms=torch.tensor(len(terms)))

    def estimates(self) -> Estimate:
        """The three terms and their standard errors, ``(3,)`` each, in nats.

        Raises:
            ValueError: if there are no rows, or no batch that a minibatch estimate can be made from.
        """
        kl = self.latent_kl().sum()
        mean, covariance, count = self._moments_of_minibatches() if self.of_minibatches else self._moments_of_queries()
        value, variance = adjusted_to_kl(mean, covariance, kl)
        return Estimate(value, standard_error(variance, count))

    def standard_error(self) -> Any:
        """Standard error over latents; for minibatch estimators as if the rows of a batch were independent."""
        with self.reduced():
            return self.read(self.estimates().standard_error)

    def compute(self) -> Any:
        """The value over all rows."""
        return self.read(self.estimates().value)

    def read(self, terms: Tensor) -> Any:
        """What a metric reports of the three terms."""
        raise NotImplementedError

    @property
    def ceiling(self) -> float:
        r"""Largest mutual information that the rows kept can show, :math:`\log N` nats (``"aggregate"``)."""
        return math.log(max(len(self.keys), 1))

    def _moments_of_queries(self) -> tuple[Tensor, Tensor, Tensor]:
        queries = self.queries(self.num_queries)
        sums = self.log_sums(self.num_queries)
        joint, marginal = sums.joint - sums.weight, sums.marginal - sums.weight
        terms = torch.stack(elbo_terms(queries.z, queries.mean, queries.log_variance, joint, marginal), dim=1)
        centred = terms - terms.mean(0)
        return terms.mean(0), centred.mT @ centred / len(terms), torch.tensor(len(terms), device=terms.device)

    def _moments_of_minibatches(self) -> tuple[Tensor, Tensor, Tensor]:
        if not self.num_terms > 0:
            raise ValueError(f"{type(self).__name__} saw only batches of a single row, which have no 'mss' estimate")
        mean = self.terms / self.num_terms
        return mean, self.terms_outer / self.num_terms - mean[:, None] * mean, self.num_terms
