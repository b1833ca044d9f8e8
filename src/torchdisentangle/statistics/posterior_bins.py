"""Posteriors in bins: sums that tell what each latent, and each pair of latents, says about the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchdisentangle.functional.informativeness.quantization import (
    DEFAULT_BINS,
    DEFAULT_EDGES,
    BinMode,
    LatentEntropies,
    check_edges,
    pairwise_bin_sums,
    quantized_blocks,
)
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.statistics.base import Statistic

_LARGEST_STATE = 2**27  # numbers in the tables of pairs, 1 GiB


class PosteriorBins:
    r"""Sums over quantised posteriors :math:`Q_{nib}`: states of a statistic, and what is done with them.

    .. math:: A_{ib} = \sum_n Q_{nib}, \quad E_i = \sum_n H(Q_{ni}), \quad P_{ij} = \sum_n Q_{ni} Q_{nj}^\top

    All rows count, none is kept: the state has :math:`d B` numbers, and :math:`d^2 B^2 / 2` where pairs are followed.
    The cost is :math:`N d B`, and :math:`N d^2 B^2 / 2` multiplications for pairs.

    Args:
        edges: where the bins of equal width begin and end; the outer two are open.
        num_bins: number of bins ``B``.
        mode: ``"exact"`` or ``"reference"``, see :func:`~torchdisentangle.functional.quantize_posterior`.
        pairs: whether to follow the pairs of all latents, or the latents whose pairs to follow.

    Raises:
        ValueError: for edges that do not ascend, fewer than two bins, an unknown mode or repeated latents.
    """

    edges: tuple[float, float]
    num_bins: int

    def __init__(
        self,
        edges: tuple[float, float] = DEFAULT_EDGES,
        num_bins: int = DEFAULT_BINS,
        mode: BinMode = "exact",
        pairs: bool | Sequence[int] = False,
    ) -> None:
        self.edges, self.num_bins, self.mode = check_bins(edges, num_bins, mode)
        self.pairs: bool | tuple[int, ...] = (
            pairs if isinstance(pairs, bool) else tuple(int(latent) for latent in pairs)
        )
        if not isinstance(self.pairs, bool) and (
            len(set(self.pairs)) != len(self.pairs) or min(self.pairs, default=0) < 0
        ):
            raise ValueError(f"pairs must name different latents, got {list(self.pairs)}")

    @property
    def configuration(self) -> tuple[object, ...]:
        """What changes the sums."""
        return ("bins", self.edges, self.num_bins, self.mode, self.pairs)

    def register(self, statistic: Statistic) -> None:
        """Add the sums: ``bin_sum``, ``entropy_sum``, and ``pair_sum`` where pairs are followed."""
        statistic.add_sum("bin_sum")
        statistic.add_sum("entropy_sum")
        if self.pairs:
            statistic.add_sum("pair_sum")

    def add(self, statistic: Any, mean: Tensor, log_variance: Tensor) -> None:
        """Add posteriors.

        Args:
            statistic: whose sums these are.
            mean: ``(n, d)``, finite.
            log_variance: ``(n, d)``.

        Raises:
            ValueError: if a latent whose pairs are to be followed does not exist, or the tables would be too large.
        """
        followed = self._followed(mean.shape[1])
        for bins in quantized_blocks(mean, log_variance, self.edges, self.num_bins, self.mode):
            statistic.accumulate(bin_sum=bins.sum(0), entropy_sum=entropy(bins).sum(0))
            if self.pairs:
                statistic.accumulate(pair_sum=pairwise_bin_sums(bins[:, followed]))

    def entropies(self, statistic: Any) -> LatentEntropies:
        """Entropies of the quantised latents, in nats."""
        return LatentEntropies(entropy(statistic.bin_sum), statistic.entropy_sum / statistic.num_rows)

    def _followed(self, num_latents: int) -> list[int]:
        """The latents whose pairs are followed."""
        latents = list(range(num_latents)) if isinstance(self.pairs, bool) else list(self.pairs)
        if max(latents, default=0) >= num_latents:
            raise ValueError(f"pairs names the latents {latents}, but there are {num_latents}")
        if self.pairs and len(latents) ** 2 * self.num_bins**2 // 2 > _LARGEST_STATE:
            raise ValueError(
                f"the tables of all pairs of {len(latents)} latents in {self.num_bins} bins are too large: name the "
                "latents in pairs, or use fewer bins or estimator='sampling'"
            )
        return latents


def check_bins(edges: tuple[float, float], num_bins: int, mode: BinMode) -> tuple[tuple[float, float], int, BinMode]:
    """The settings of bins, or a ValueError if they make none."""
    if num_bins < 2:
        raise ValueError(f"num_bins must be at least 2, got {num_bins}")
    if mode not in ("exact", "reference"):
        raise ValueError(f"mode must be 'exact' or 'reference', got {mode!r}")
    return check_edges(edges), num_bins, mode
