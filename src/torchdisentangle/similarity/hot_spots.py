"""Hot spots: information that the channels of many models have in common."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.similarity.channels import INFORMATIVE
from torchdisentangle.functional.similarity.comparison import ChannelComparison
from torchdisentangle.similarity.measure import Measure, check_measure

_SMALLEST_NMI = 1e-4
_SMALLEST_DISTANCE = (
    1e-6  # of different channels: steepness is a ratio of distances, which equal channels would make 0/0
)


class HotSpots(NamedTuple):
    """Clusters of channels.

    Args:
        labels: number of each channel's hot spot, ``(M,)``; -1 for none.
        order: the informative channels in the order in which the clustering reached them, ``(m,)``: rows and columns
            of a matrix so ordered show the hot spots as blocks.
        reachability: of the channels in that order, ``(m,)``; valleys are hot spots. Infinite where nothing before is
            near.
    """

    labels: Tensor
    order: Tensor
    reachability: Tensor


def find_hot_spots(
    comparison: ChannelComparison,
    measure: Measure = "nmi",
    min_samples: int = 20,
    threshold: float = INFORMATIVE,
    xi: float = 0.05,
) -> HotSpots:
    r"""Clusters of similar channels, by density (OPTICS).

    Channels with no more information than the threshold are left out. The distance of the others is :math:`\mathrm{VI}`
    clipped at 0, or :math:`-\log \mathrm{NMI}` with NMI clipped at :math:`10^{-4}`; the diagonal is 0. Clusters are
    extracted by the steepness ``xi`` of the reachability.

    Two caveats. The extraction gives lone channels that the clustering reaches right after a hot spot to the hot spot,
    so look at the matrix, or at the reachability, before relying on its members. And steepness is relative: channels
    that share nothing are clustered by their differences of chance, so that shuffled data have hot spots, too. Believe
    one only if the NMI of its channels of different models is well above that of independent ones, which follows from
    fingerprints whose points are shuffled.

    Args:
        comparison: of the channels of all models with themselves.
        measure: ``"nmi"`` or ``"vi"``.
        min_samples: how many similar channels make a hot spot; the paper's 20 is for 50 models.
        threshold: nats of information that a channel must exceed.
        xi: steepness.

    Returns:
        The hot spots. With fewer informative channels than ``min_samples`` there are none: labels are -1, the order is
        by descending information, and reachabilities are infinite.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: if the comparison is not of channels with themselves, or a setting is out of range.

    Reference:
        Murphy et al., TMLR 2025 (ensembles); Ankerst et al., *OPTICS*, SIGMOD 1999.

    Example:
        >>> from torchdisentangle.functional import compare_posteriors
        >>> points = torch.arange(8)
        >>> channels = [100.0 * x for x in (points // 4, points % 2)]
        >>> mean = torch.stack([channels[0]] * 3 + [channels[1]] * 3 + [0.0 * points], dim=1)
        >>> find_hot_spots(compare_posteriors(mean, torch.zeros(8, 7)), min_samples=3).labels
        tensor([ 0,  0,  0,  1,  1,  1, -1])
    """
    count = len(comparison.information_a)
    if comparison.joint.shape != (count, count):
        raise ValueError(f"channels compared with themselves are needed, got {tuple(comparison.joint.shape)}")
    if min_samples < 2 or not 0 < xi < 1:
        raise ValueError(f"min_samples must be at least 2 and xi in (0, 1), got {min_samples} and {xi}")
    information = comparison.information_a.cpu()
    labels = torch.full((count,), -1)
    informative = (information > threshold).nonzero()[:, 0]
    if len(informative) < min_samples:
        order = informative[information[informative].argsort(descending=True, stable=True)]
        return HotSpots(labels, order, torch.full((len(order),), torch.inf, dtype=torch.float64))
    distance = channel_distance(comparison, measure).cpu()[informative][:, informative]
    distance = distance.clamp(min=_SMALLEST_DISTANCE).fill_diagonal_(0)
    optics = _optics(min_samples, xi)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # ratios of infinite reachabilities
        optics.fit(distance.numpy())
    labels[informative] = torch.as_tensor(optics.labels_, dtype=labels.dtype)
    ordering = torch.as_tensor(optics.ordering_)
    return HotSpots(labels, informative[ordering], torch.as_tensor(optics.reachability_)[ordering].double())


def channel_distance(comparison: ChannelComparison, measure: Measure = "nmi") -> Tensor:
    r"""Distance of all pairs of channels: VI, or :math:`-\log \mathrm{NMI}`, with a zero diagonal.

    Args:
        comparison: of ``M`` channels with themselves.
        measure: ``"nmi"`` or ``"vi"``.

    Returns:
        ``(M, M)`` in float64, at least 0.

    Example:
        >>> from torchdisentangle.functional import compare_channels
        >>> channel_distance(compare_channels(torch.ones(2, 4, 4)))
        tensor([[0.0000, 9.2103],
                [9.2103, 0.0000]], dtype=torch.float64)
    """
    if check_measure(measure) == "vi":
        distance = comparison.variation_of_information.double().clamp(min=0)
    else:
        distance = -comparison.normalized_mutual_information.double().clamp(_SMALLEST_NMI, 1).log()
    distance = 0.5 * (distance + distance.mT)  # exactly symmetric, whatever the order of sums
    return distance.fill_diagonal_(0)


def _optics(min_samples: int, xi: float) -> Any:
    try:
        from sklearn.cluster import OPTICS
    except ImportError as error:
        raise ImportError("hot spots need scikit-learn: pip install 'torchdisentangle[supervised]'") from error
    return OPTICS(metric="precomputed", min_samples=min_samples, xi=xi)
