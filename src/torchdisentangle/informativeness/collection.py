"""All informativeness metrics of one encoder, reduced once."""

from __future__ import annotations

from typing import Any

from torchdisentangle.functional.informativeness.quantization import DEFAULT_BINS, DEFAULT_EDGES, BinMode
from torchdisentangle.informativeness.informativeness import Informativeness
from torchdisentangle.informativeness.misjed import MISJED
from torchdisentangle.informativeness.pairwise import PairwiseMutualInformation
from torchdisentangle.informativeness.separability import Separability
from torchdisentangle.statistics.collection import StatisticCollection

_MOST_PAIRED = 32  # latents whose pairs are compared


class InformativenessMetrics(StatisticCollection):
    """The collection that :func:`~torchdisentangle.informativeness_metrics` makes, with its members as attributes.

    Args:
        num_queries: as for :func:`~torchdisentangle.informativeness_metrics`, like all others.
        top_k: likewise.
        max_rows: likewise.
        edges: likewise.
        num_bins: likewise.
        mode: likewise.
        seed: likewise.
    """

    binned_informativeness: Informativeness
    separability: Separability
    pairwise: PairwiseMutualInformation
    misjed: MISJED

    def __init__(
        self,
        num_queries: int = 1024,
        top_k: int = 3,
        max_rows: int = 2**15,
        edges: tuple[float, float] = DEFAULT_EDGES,
        num_bins: int = DEFAULT_BINS,
        mode: BinMode = "exact",
        seed: int = 0,
    ) -> None:
        sample: dict[str, Any] = {"max_rows": max_rows, "seed": seed}
        bins: dict[str, Any] = {"edges": edges, "num_bins": num_bins, "mode": mode}
        pairwise = PairwiseMutualInformation(
            estimator="sampling", num_queries=num_queries, top_k=_MOST_PAIRED, **sample
        )
        super().__init__(
            {
                "binned_informativeness": Informativeness(**bins),
                "separability": Separability(num_queries, top_k, **sample),
                "pairwise": pairwise,
                "misjed": MISJED(**bins, top_k=top_k, normalize=True, **sample),
            }
        )


def informativeness_metrics(
    num_queries: int = 1024,
    top_k: int = 3,
    max_rows: int = 2**15,
    edges: tuple[float, float] = DEFAULT_EDGES,
    num_bins: int = DEFAULT_BINS,
    mode: BinMode = "exact",
    seed: int = 0,
) -> InformativenessMetrics:
    """The informativeness metrics one watches, as a collection: two compute groups, one reduction.

    Args:
        num_queries: how many latents are drawn by the metrics that sample.
        top_k: how many of the most informative latents SEPIN@k and MISJED are of.
        max_rows: how many posteriors to keep at most.
        edges: where the bins begin and end.
        num_bins: number of bins ``B``.
        mode: of the bins.
        seed: of the choice of rows and the noise.

    Returns:
        A collection with the members ``binned_informativeness`` (all rows), ``separability``, ``pairwise`` (sampling,
        of the 32 latents with the largest KL divergence) and ``misjed`` (normalised).

    Example:
        >>> import torch
        >>> metrics = informativeness_metrics()
        >>> metrics.update(torch.randn(8, 3), torch.zeros(8, 3))
        >>> sorted(metrics.keys()), len(metrics.compute_groups)
        (['binned_informativeness', 'misjed', 'pairwise', 'separability'], 2)
    """
    return InformativenessMetrics(num_queries, top_k, max_rows, edges, num_bins, mode, seed)
