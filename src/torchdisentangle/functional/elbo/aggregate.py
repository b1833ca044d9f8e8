r"""The aggregate posterior :math:`q(z) = \frac1N \sum_n q(z \mid x_n)`, exactly, in bounded memory.

What is computed are *log-sums over rows*, without the division by :math:`N`: log-sums of disjoint sets of rows merge by
``logaddexp``, so rows may come in any number of pieces, on any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.elbo.all_but_one import log_sums_of_products, log_sums_of_sums
from torchdisentangle.functional.elbo.gaussian import NARROWEST, check_rows_and_queries, gaussian_log_density
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.underflow import LogSums, log_sums, no_log_sums

_ROWS_AT_LEAST = 256


class AggregateLogSums(NamedTuple):
    r"""Log-sums over rows :math:`n` at ``S`` queries, each of weight :math:`w_n` (1 unless told otherwise).

    Log-densities follow by subtraction: ``joint - weight`` is :math:`\log q(z_s)`, ``marginal - weight`` is
    :math:`\log q(z_{si})`, and ``matched - matched_weight[..., None]`` is :math:`\log q(z_{si} \mid y_f = y_{sf})`.

    Args:
        weight: :math:`\log \sum_n w_n`, a scalar; without weights :math:`\log N`.
        joint: :math:`\log \sum_n w_n \prod_i q(z_{si} \mid x_n)`, ``(S,)``.
        marginal: :math:`\log \sum_n w_n \, q(z_{si} \mid x_n)`, ``(S, d)``.
        leave_one_out: :math:`\log \sum_n w_n \prod_{j \ne i} q(z_{sj} \mid x_n)`, ``(S, d)``, if asked for.
        matched: ``marginal`` over only those rows whose factor ``f`` has the query's value, ``(S, F, d)``, if factors
            were given; ``-inf`` if there is no such row.
        matched_weight: log of the weight (the number) of those rows, ``(S, F)``.
    """

    weight: Tensor
    joint: Tensor
    marginal: Tensor
    leave_one_out: Tensor | None = None
    matched: Tensor | None = None
    matched_weight: Tensor | None = None

    def merge(self, other: AggregateLogSums) -> AggregateLogSums:
        """The log-sums over these rows and others, at the same queries.

        Args:
            other: log-sums over other rows.

        Returns:
            The log-sums over all of them.

        Raises:
            ValueError: if one has parts that the other lacks, or the shapes differ.
        """
        for name, mine, others in zip(self._fields, self, other, strict=True):
            shapes = [None if value is None else tuple(value.shape) for value in (mine, others)]
            if shapes[0] != shapes[1]:
                raise ValueError(f"{name}: log-sums of shapes {shapes[0]} and {shapes[1]} do not belong together")
        pairs = zip(self, other, strict=True)
        return AggregateLogSums._make(None if a is None or b is None else torch.logaddexp(a, b) for a, b in pairs)


def aggregate_log_sums(
    z: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    *,
    log_weights: Tensor | None = None,
    leave_one_out: bool = False,
    factors: Tensor | None = None,
    query_factors: Tensor | None = None,
    block_bytes: int | None = None,
) -> AggregateLogSums:
    r"""Log-sums of diagonal Gaussian posteriors over rows, at given latents.

    .. math:: \log \sum_n w_n \prod_{i \in A} \mathcal{N}(z_{si}; \mu_{ni}, \sigma_{ni}^2)
              \quad \text{for } A = \{1, \dots, d\},\ \{i\} \text{ and, if asked for, all but } i

    Exact, by log-sum-exp in float64, without floors. The cost is :math:`S N d` exponentials; ``leave_one_out`` adds
    products, half as much again, and about five factors double it. Memory holds a block of queries and rows at a time,
    whatever ``S`` and ``N``.
    Differentiable, but a graph keeps all blocks.

    Each log-density is formed from :math:`(z - \mu) / \sigma`, exact to rounding however small :math:`\sigma` is;
    the expanded quadratic :math:`z^2 / \sigma^2 - 2 z \mu / \sigma^2 + \mu^2 / \sigma^2`, a matrix product, would
    lose :math:`z^2 / \sigma^2` ulps to cancellation, and saves nothing where the single dimensions are wanted too.

    Args:
        z: queries, ``(S, d)``.
        mean: of the rows, ``(N, d)``.
        log_variance: of the rows, ``(N, d)``.
        log_weights: :math:`\log w_n`, ``(N,)``; by default 0.
        leave_one_out: whether to return the log-sums of all dimensions but one.
        factors: integers of the rows, ``(N, F)``.
        query_factors: integers of the queries, ``(S, F)``.
        block_bytes: size of the largest tensor made on the way; by default what suits the device, 2 MiB on a CPU.

    Returns:
        The log-sums in float64; ``-inf`` where there are no rows.

    Raises:
        ValueError: if shapes or dtypes do not fit.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in VAEs*, NeurIPS 2018; leave-one-out: Do &
        Tran, *Theory and Evaluation Metrics for Learning Disentangled Representations*, ICLR 2020.

    Example:
        >>> mean = torch.tensor([[0.0, 0.0], [4.0, 4.0]])
        >>> sums = aggregate_log_sums(mean[:1], mean, torch.zeros(2, 2))
        >>> sums.joint - sums.weight  # log(1/2) - log(2 pi): the other row is far away
        tensor([-2.5310], dtype=torch.float64)
    """
    check_rows_and_queries(z, mean, log_variance, log_weights, factors, query_factors)
    z = z.double()
    num_factors = 0 if factors is None else factors.shape[1]
    sums = _nothing(z, None if factors is None else num_factors)
    rows = _Rows(mean, log_variance, log_weights, factors)
    matched = None if factors is None else no_log_sums(z.new_empty(len(z), num_factors, z.shape[1]))
    all_but_one = no_log_sums(torch.empty_like(z)) if leave_one_out else None
    rows_each, queries_each = _block_shape(z, len(mean), num_factors, block_bytes)
    for some in _slices(len(mean), rows_each) if len(z) else ():
        row_block = _RowBlock(rows.at(some))
        parts = [
            row_block.log_sums(z[queries], None if query_factors is None else query_factors[queries], leave_one_out)
            for queries in _slices(len(z), queries_each)
        ]
        sums = sums.merge(_concatenated([part for part, _, _ in parts]))
        if matched is not None:
            matched = matched.merge(_joined([part for _, part, _ in parts]))
        if all_but_one is not None:
            all_but_one = all_but_one.merge(_joined([part for _, _, part in parts]))
    if all_but_one is not None:
        sums = sums._replace(leave_one_out=_completed_products(all_but_one, z, rows, rows_each, queries_each))
    if matched is not None and query_factors is not None:
        sums = sums._replace(matched=_completed(matched, z, query_factors, rows, rows_each * queries_each))
    return sums


class _Rows(NamedTuple):
    mean: Tensor
    log_variance: Tensor
    log_weights: Tensor | None
    factors: Tensor | None

    def at(self, rows: slice) -> _Rows:
        return _Rows._make(None if column is None else column[rows] for column in self)


class _RowBlock:
    """Rows in the form that queries are compared with: everything transposed to ``(d, n)`` and in units of sigma."""

    def __init__(self, rows: _Rows) -> None:
        mean, log_variance = rows.mean.double().mT, rows.log_variance.double().mT.clamp(min=NARROWEST)
        self.inverse_std = (-0.5 * log_variance).exp().contiguous()
        self.mean = mean.contiguous()
        self.peak = (-0.5 * (log_variance + math.log(2 * math.pi))).contiguous()
        self.log_weights = None if rows.log_weights is None else rows.log_weights.double()
        self.weights = mean.new_ones(mean.shape[1]) if self.log_weights is None else self.log_weights.exp()
        self.factors = None if rows.factors is None else rows.factors.mT.contiguous()

    def log_sums(
        self, z: Tensor, query_factors: Tensor | None, leave_one_out: bool
    ) -> tuple[AggregateLogSums, LogSums | None, LogSums | None]:
        """Joint and marginal sums; those over matching rows, ``(S, F, d)``, and of all dimensions but one, ``(S, d)``.

        The last two lack what underflows.
        """
        log_density = self.log_density(z)
        joint, all_but_one = log_density.sum(1), None
        if self.log_weights is not None:
            joint = joint + self.log_weights
        top, density = _relative(log_density)
        if leave_one_out:
            all_but_one = log_sums_of_products(density, top, self.log_weights)
        if self.log_weights is not None:
            top, density = _relative(log_density + self.log_weights)
        marginal = density.sum(-1).log() + top
        matched = matched_weight = None
        if self.factors is not None and query_factors is not None:
            same = query_factors[:, :, None] == self.factors  # (S, F, n)
            weights = same.double()
            matched = log_sums(weights @ density.mT, top[:, None], present=same.any(-1)[..., None])
            matched_weight = (weights @ self.weights).log()
        rest = joint.logsumexp(-1), marginal, None, None, matched_weight
        return AggregateLogSums(self.weights.sum().log(), *rest), matched, all_but_one

    def log_density(self, z: Tensor) -> Tensor:
        """Of every query under every row, ``(S, d, n)``."""
        standardised = (z[:, :, None] - self.mean) * self.inverse_std
        return torch.addcmul(self.peak, standardised, standardised, value=-0.5)


def _relative(log_density: Tensor) -> tuple[Tensor, Tensor]:
    """The largest over rows, ``(S, d)``, and the densities relative to it."""
    top = log_density.amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).min)
    return top[..., 0], (log_density - top).exp_()


def _completed_products(all_but_one: LogSums, z: Tensor, rows: _Rows, rows_each: int, queries_each: int) -> Tensor:
    """Log-sums of all dimensions but one, those that may lack something from the logarithms of the densities."""
    again = all_but_one.doubtful.any(1).nonzero()[:, 0]  # the one wait for the device
    if not len(again):
        return all_but_one.value
    exact = z.new_full((len(again), z.shape[1]), -torch.inf)
    for some in _slices(len(rows.mean), rows_each):
        row_block = _RowBlock(rows.at(some))
        parts = [
            log_sums_of_sums(row_block.log_density(z[queries]), row_block.log_weights)
            for queries in again.split(queries_each)
        ]
        exact = torch.logaddexp(exact, torch.cat(parts))
    return all_but_one.value.index_copy(0, again, exact)


def _completed(matched: LogSums, z: Tensor, query_factors: Tensor, rows: _Rows, at_once: int) -> Tensor:
    """Log-sums over matching rows, those that may lack something from the logarithms of the densities."""
    places = matched.doubtful.nonzero()  # the one wait for the device
    if not len(places):
        return matched.value
    exact = [_matched_exactly(some, z, query_factors, rows, at_once) for some in places.split(at_once)]
    return matched.value.index_put(places.unbind(1), torch.cat(exact))


def _matched_exactly(places: Tensor, z: Tensor, query_factors: Tensor, rows: _Rows, at_once: int) -> Tensor:
    """The same at some places, ``(L, 3)``: the log-sums, ``(L,)``."""
    query, factor, latent = places.unbind(1)
    total = z.new_full((len(query),), -torch.inf)
    z_there, value = z[query, latent, None], query_factors[query, factor, None]
    for some in row_blocks(len(rows.mean), len(query), at_once):
        mean, log_variance, log_weights, factors = rows.at(some)
        assert factors is not None
        log_density = gaussian_log_density(z_there, mean.double().mT[latent], log_variance.double().mT[latent])
        if log_weights is not None:
            log_density = log_density + log_weights
        total = torch.logaddexp(total, log_density.where(factors.mT[factor] == value, -torch.inf).logsumexp(-1))
    return total


def _nothing(z: Tensor, num_factors: int | None) -> AggregateLogSums:
    """Log-sums over no rows, but for those that may lack something."""
    size, width = z.shape

    def empty(*shape: int) -> Tensor:
        return z.new_full(shape, -torch.inf)

    return AggregateLogSums(
        empty(),
        empty(size),
        empty(size, width),
        None,
        None,
        None if num_factors is None else empty(size, num_factors),
    )


def _concatenated(parts: list[AggregateLogSums]) -> AggregateLogSums:
    """Log-sums over the same rows at the queries of all parts."""
    weight, *columns = zip(*parts, strict=True)
    return AggregateLogSums._make([weight[0], *(None if c[0] is None else torch.cat(c) for c in columns)])


def _joined(parts: Sequence[LogSums | None]) -> LogSums:
    """The same of log-sums that may lack something."""
    return LogSums(*map(torch.cat, zip(*(part for part in parts if part), strict=True)))


def _block_shape(z: Tensor, num_rows: int, num_factors: int, block_bytes: int | None) -> tuple[int, int]:
    """How many rows and how many queries at a time."""
    if block_bytes is None:
        block_bytes = 8 * sizes_of(z.device).numbers_each(4)
    pairs = max(1, block_bytes // (8 * max(z.shape[1], num_factors, 1)))
    rows = max(1, min(num_rows, max(math.isqrt(pairs), min(_ROWS_AT_LEAST, pairs))))
    return rows, max(1, pairs // rows)


def _slices(length: int, each: int) -> Iterator[slice]:
    return (slice(start, start + each) for start in range(0, length, each))
