"""All manifold metrics of one model, in one compute group."""

from __future__ import annotations

from collections.abc import Sequence

from torchmetrics import Metric, MetricCollection
from typing_extensions import Unpack

from torchdisentangle.manifold.base import ManifoldSettings
from torchdisentangle.manifold.entropy import ManifoldEntropySpectrum, ManifoldTotalCorrelation
from torchdisentangle.manifold.pairwise import ManifoldPairwiseMutualInformation
from torchdisentangle.manifold.path_length import LatentPathLength
from torchdisentangle.manifold.summary import ManifoldSummary, MeanDecoderJacobian
from torchdisentangle.settings import unknown_setting
from torchdisentangle.statistics.collection import StatisticCollection


class ManifoldMetrics(StatisticCollection):
    """The collection that :func:`~torchdisentangle.manifold_metrics` makes, with its members as attributes.

    Args:
        partition: as for :func:`~torchdisentangle.manifold_metrics`, like all others.
        active_threshold: of :class:`~torchdisentangle.manifold.ManifoldSummary`.
        active_reference: likewise.
        settings: of all members.

    Raises:
        TypeError: for unknown settings.
    """

    spectrum: ManifoldEntropySpectrum
    pairwise: ManifoldPairwiseMutualInformation
    path_length: LatentPathLength
    summary: ManifoldSummary
    decomposition: ManifoldTotalCorrelation

    def __init__(
        self,
        partition: Sequence[Sequence[int]] | None = None,
        active_threshold: float = 0.1,
        active_reference: float | None = None,
        **settings: Unpack[ManifoldSettings],
    ) -> None:
        for name in settings.keys() - ManifoldSettings.__annotations__.keys():
            raise unknown_setting(type(self), name, *ManifoldSettings.__annotations__)
        settings["index_sets"] = [*settings.get("index_sets", ()), *(partition or ())]
        members: dict[str, Metric | MetricCollection] = {
            "spectrum": ManifoldEntropySpectrum(**settings),
            "pairwise": ManifoldPairwiseMutualInformation(**settings),
            "path_length": LatentPathLength(**settings),
            "summary": ManifoldSummary(active_threshold, active_reference, **settings),
            "decomposition": ManifoldTotalCorrelation(partition, **settings),
        }
        if settings.get("mean_jacobian", True) and settings.get("estimator", "exact") == "exact":
            members["mean_jacobian"] = MeanDecoderJacobian(**settings)
        super().__init__(members)


def manifold_metrics(
    partition: Sequence[Sequence[int]] | None = None,
    active_threshold: float = 0.1,
    active_reference: float | None = None,
    **settings: Unpack[ManifoldSettings],
) -> ManifoldMetrics:
    """The manifold metrics one watches, as a collection that is updated once and reduced once.

    Args:
        partition: disjoint index sets that cover all latents, whose total correlation is reported beside that of the
            single latents.
        active_threshold: of :class:`~torchdisentangle.manifold.ManifoldSummary`.
        active_reference: likewise.
        settings: of all members: ``index_sets``, ``prior_entropy``, ``num_classes``, ``data_std``, ``normalize``,
            ``estimator``, ``num_probes``, ``mean_jacobian`` (without which, or with probes, there is no average
            Jacobian), and those of :class:`torchmetrics.Metric`.

    Returns:
        A collection with the members ``spectrum``, ``pairwise``, ``path_length``, ``summary``, ``decomposition`` and
        ``mean_jacobian``.

    Example:
        >>> import torch
        >>> metrics = manifold_metrics(partition=[[0], [1, 2]])
        >>> metrics.update(torch.eye(3).expand(8, 3, 3))
        >>> sorted(metrics.keys())
        ['decomposition', 'mean_jacobian', 'pairwise', 'path_length', 'spectrum', 'summary']
        >>> len(metrics.compute_groups)
        1
    """
    return ManifoldMetrics(partition, active_threshold, active_reference, **settings)
