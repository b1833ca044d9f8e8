"""Posteriors in bins: sums that tell what each latent, and each pair of latents, says about the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchdisentangle.functional.informativeness.quantization import (
    DEFAULT_BINS,
    DEFAULT_BOUNDS,
    BinMode,
    LatentEntropies,
    check_bounds,
    pairwise_bin_sums,
    quantized_blocks,
)
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.statistics.posterior import PosteriorStatistic

_LARGEST_STATE = 2**27  # numbers in the tables of pairs, 1 GiB


class PosteriorBinStatistic(PosteriorStatistic):
    r"""Sums over quantised posteriors :math:`Q_{nib}`.

    .. math:: A_{ib} = \sum_n Q_{nib}, \quad E_i = \sum_n H(Q_{ni}), \quad P_{ij} = \sum_n Q_{ni} Q_{nj}^\top

    All rows count, none is kept: the state has :math:`d B` numbers, and :math:`d^2 B^2 / 2` where pairs are followed.
    The cost is :math:`N d B`, and :math:`N d^2 B^2 / 2` multiplications for pairs.

    Args:
        bounds: where the bins of equal width begin and end; the outer two are open.
        num_bins: number of bins ``B``.
        mode: ``"exact"`` or ``"reference"``, see :func:`~torchdisentangle.functional.quantize_posterior`.
        pairs: whether to follow the pairs of all latents, or the latents whose pairs to follow.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`~torchdisentangle.statistics.Statistic`.

    Raises:
        ValueError: for bounds that do not ascend, fewer than two bins, an unknown mode or repeated latents.
    """

    bin_sum: Tensor
    entropy_sum: Tensor
    pair_sum: Tensor

    def __init__(
        self,
        bounds: tuple[float, float] = DEFAULT_BOUNDS,
        num_bins: int = DEFAULT_BINS,
        mode: BinMode = "exact",
        pairs: bool | Sequence[int] = False,
        configuration: object = None,
        **kwargs: Any,
    ) -> None:
        self.bounds, self.num_bins, self.mode = check_bins(bounds, num_bins, mode)
        self.pairs = pairs if isinstance(pairs, bool) else tuple(int(latent) for latent in pairs)
        if not isinstance(self.pairs, bool) and (
            len(set(self.pairs)) != len(self.pairs) or min(self.pairs, default=0) < 0
        ):
            raise ValueError(f"pairs must name different latents, got {list(self.pairs)}")
        settings = ("binned posteriors", self.bounds, num_bins, mode, self.pairs, configuration)
        super().__init__(configuration=settings, **kwargs)
        self.add_sum("bin_sum")
        self.add_sum("entropy_sum")
        if self.pairs:
            self.add_sum("pair_sum")

    def update(
        self, mean: Tensor, log_variance: Tensor, factors: Tensor | None = None, index: Tensor | None = None
    ) -> None:
        """Add posteriors.

        Args:
            mean: ``(n, d)``. Rows with NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned
                of.
            log_variance: ``(n, d)``.
            factors: not needed by sums.
            index: not needed by sums.

        Raises:
            ValueError: if shapes or dtypes do not fit.
        """
        followed = self._followed(mean.shape[-1])
        finite = self.add_posteriors(mean, log_variance)
        mean, log_variance = mean.detach()[finite].double(), log_variance.detach()[finite].double()
        for bins in quantized_blocks(mean, log_variance, self.bounds, self.num_bins, self.mode):
            self.accumulate(bin_sum=bins.sum(0), entropy_sum=entropy(bins).sum(0))
            if self.pairs:
                self.accumulate(pair_sum=pairwise_bin_sums(bins[:, followed]))

    def latent_entropies(self) -> LatentEntropies:
        """Entropies of the quantised latents, in nats."""
        self.require_rows()
        return LatentEntropies(entropy(self.bin_sum), self.entropy_sum / self.num_rows)

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


def check_bins(bounds: tuple[float, float], num_bins: int, mode: str) -> tuple[tuple[float, float], int, Any]:
    """Settings of bins, refused if they make none."""
    if num_bins < 2:
        raise ValueError(f"num_bins must be at least 2, got {num_bins}")
    if mode not in ("exact", "reference"):
        raise ValueError(f"mode must be 'exact' or 'reference', got {mode!r}")
    return check_bounds(bounds), num_bins, mode
