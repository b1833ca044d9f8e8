"""Metric classes: the fingerprint, what its channels tell about the data, and how similar they are."""

from __future__ import annotations

from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.similarity.comparison import (
    ChannelComparison,
    compare_posteriors,
    compare_with_labels,
)
from torchdisentangle.plots import plot_by_latent, plot_similarity
from torchdisentangle.plots.style import Plot
from torchdisentangle.similarity.alignment import align_fingerprints
from torchdisentangle.similarity.base import FingerprintMetric, FingerprintSettings
from torchdisentangle.similarity.fingerprint import Fingerprint
from torchdisentangle.similarity.measure import (
    Measure,
    Unit,
    check_measure,
    check_unit,
    in_unit,
    measure_label,
    similarity_matrix,
)
from torchdisentangle.statistics.readout import readout


class BhattacharyyaFingerprint(FingerprintMetric):
    r"""Fingerprint of a model's latent channels: their Gaussian posteriors on a fixed set of data points.

    ``compute`` gives a :class:`~torchdisentangle.similarity.Fingerprint`, which has the coefficients

    .. math:: B_{ij} = \int \sqrt{p(u \mid x_i) \, p(u \mid x_j)} \, du

    of every channel, can be saved, and compared with those of other models. The state is ``2 F d`` numbers, whatever
    the data set's size.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, ``index``
    ``(n,)`` and ``labels`` ``(n, K)``.

    Args:
        num_points: how many data points, ``F``; with fewer all are kept, and a warning is given once.
        seed: of the choice of points. The same seed and data set give the same points in the same order.
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Murphy, Dillavou & Bassett, *Comparing the information content of probabilistic representation spaces*,
        TMLR 2025.

    Example:
        >>> import torch
        >>> metric = BhattacharyyaFingerprint(num_points=4)
        >>> metric.update(torch.arange(20.0).reshape(10, 2), torch.zeros(10, 2), index=torch.arange(10))
        >>> metric.compute()
        Fingerprint(4 points, 2 channels)
    """

    def compute(self) -> Fingerprint:
        """The fingerprint: an object that can be saved and compared, not a score."""
        return self.fingerprint()

    def plot(self, val: Fingerprint | None = None, ax: Axes | None = None) -> Plot:
        """Matrices of coefficients of a part of the points; see :meth:`Fingerprint.plot`."""
        return (self.compute() if val is None else val).plot(ax=ax)


class ChannelInformation(FingerprintMetric):
    r"""Information that each latent channel carries about the data.

    .. math:: I(U; X) = -\frac1F \sum_i \log \frac1F \sum_j B_{ij}

    0 for a dead channel; at most :math:`\log F`, so for channels of a few bits. A lower bound, exact where posteriors
    are equal or disjoint, and about 0.2 nats below the truth for a Gaussian channel of high precision.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, ``index``
    ``(n,)`` and ``labels`` ``(n, K)``; ``compute`` returns ``(d,)``, a plain number if there is one channel.

    Args:
        unit: ``"nats"`` or ``"bits"``.
        num_points: how many data points, ``F``; the cost is ``d F^2``.
        seed: of the choice of points.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown unit.

    Reference:
        Murphy et al., TMLR 2025.

    Example:
        >>> import torch
        >>> metric = ChannelInformation(num_points=4, unit="bits")
        >>> mean = torch.tensor([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0], [300.0, 0.0]])
        >>> metric.update(mean, torch.zeros(4, 2))
        >>> metric.compute().abs()
        tensor([2., 0.], dtype=torch.float64)
    """

    def __init__(self, unit: Unit = "nats", **settings: Unpack[FingerprintSettings]) -> None:
        super().__init__(**settings)
        self.unit = check_unit(unit)

    def compute(self) -> Tensor:
        """Information of every channel, ``(d,)``."""
        fingerprint = self.fingerprint()
        information = compare_posteriors(fingerprint.mean, fingerprint.log_variance).information_a
        return in_unit(information, self.unit)

    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """Bars."""
        values = self.compute() if val is None else val
        return plot_by_latent(values.reshape(-1), ax=ax, label=f"information ({self.unit})", each="channel")


class ChannelSimilarity(FingerprintMetric):
    r"""Similarity of the information that latent channels carry, within a model or with another.

    .. math:: \mathrm{NMI}(U, V) = \frac{I(U; V)}{\sqrt{I(U; U') \, I(V; V')}}, \quad
              \mathrm{VI}(U, V) = I(U; U') + I(V; V') - 2 \, I(U; V)

    NMI is 1 for channels with the same information (in whatever encoding: shifted, scaled, flipped) and 0 for none in
    common; between two models that found the same channels every row has one entry near 1. VI is 0 for the same, and
    the sum of their informations for none in common. NMI is clipped to [0, 1], VI at 0. A dead channel has NMI 0 with
    all, also with itself; the NMI of a nearly dead one with others is too large (see
    :func:`~torchdisentangle.functional.normalized_mutual_information`): read it together with
    :class:`ChannelInformation`.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, ``index``
    ``(n,)`` and ``labels`` ``(n, K)``; ``compute`` returns ``(d, d)``, or ``(d, d_other)``.

    Args:
        measure: ``"nmi"`` or ``"vi"``.
        reference: fingerprint of another model on the same data points; ``None``: similarity within the model.
        unit: of VI, ``"nats"`` or ``"bits"``.
        num_points: how many data points, ``F``; the cost is ``d F^2`` exponentials and ``F d^2 F`` multiplications.
        seed: of the choice of points.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown measure or unit; in ``compute``, if the reference is of other data points.

    Reference:
        Murphy et al., TMLR 2025.

    Example:
        >>> import torch
        >>> metric = ChannelSimilarity(num_points=8)
        >>> points = torch.arange(8)
        >>> mean = 100.0 * torch.stack([points // 4, points // 2, points % 2], dim=1)
        >>> metric.update(mean, torch.zeros(8, 3))
        >>> metric.compute().round(decimals=4) + 0.0
        tensor([[1.0000, 0.7071, 0.0000],
                [0.7071, 1.0000, 0.0000],
                [0.0000, 0.0000, 1.0000]], dtype=torch.float64)
    """

    def __init__(
        self,
        measure: Measure = "nmi",
        reference: Fingerprint | None = None,
        unit: Unit = "nats",
        **settings: Unpack[FingerprintSettings],
    ) -> None:
        super().__init__(**settings)
        self.measure, self.unit = check_measure(measure), check_unit(unit)
        self.reference = reference

    @readout
    def compare(self) -> ChannelComparison:
        """The channels with each other, or with those of the reference."""
        own = self.fingerprint()
        if self.reference is None:
            return compare_posteriors(own.mean, own.log_variance)
        own, other = align_fingerprints([own, self.reference.to(self.device)])
        return compare_posteriors(own.mean, own.log_variance, other.mean, other.log_variance)

    def compute(self) -> Tensor:
        """NMI or VI of all pairs of channels."""
        return similarity_matrix(self.compare(), self.measure, self.unit)

    @property
    def _axes(self) -> tuple[str, str]:
        """What the rows and the columns are."""
        return "channel", "channel" if self.reference is None else "channel of the reference"

    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """Heatmap."""
        value = self.compute() if val is None else val
        return plot_similarity(value, label=measure_label(self.measure, self.unit), names=self._axes, ax=ax)


class LabelSimilarity(ChannelSimilarity):
    r"""Similarity of latent channels with discrete labels or factors, which are channels without noise.

    As :class:`ChannelSimilarity`, with the labels in the place of another model: with disentangled channels every
    label has one channel of high NMI and others near 0. A channel of low precision cannot reach 1.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, ``index``
    ``(n,)`` and ``labels`` ``(n,)`` or ``(n, K)``; ``compute`` returns ``(d, K)``.

    Args:
        measure: ``"nmi"`` or ``"vi"``.
        unit: of VI, ``"nats"`` or ``"bits"``.
        num_points: how many data points, ``F``.
        seed: of the choice of points.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for an unknown measure or unit; in ``compute``, if there are no labels.

    Reference:
        Murphy et al., TMLR 2025 (ensembles).

    Example:
        >>> import torch
        >>> metric = LabelSimilarity(num_points=8)
        >>> points = torch.arange(8)
        >>> mean, labels = 100.0 * (points[:, None] // 2), torch.stack([points // 2, points % 2], dim=1)
        >>> metric.update(mean, torch.zeros(8, 1), labels=labels)
        >>> metric.compute().round(decimals=4) + 0.0
        tensor([[1., 0.]], dtype=torch.float64)
    """

    def __init__(self, measure: Measure = "nmi", unit: Unit = "nats", **settings: Unpack[FingerprintSettings]) -> None:
        super().__init__(measure, None, unit, **settings)

    @property
    def _axes(self) -> tuple[str, str]:
        return "channel", "label"

    @readout
    def compare(self) -> ChannelComparison:
        """The channels with the labels."""
        fingerprint = self.fingerprint()
        if fingerprint.labels is None:
            raise ValueError(f"{type(self).__name__} has no labels: pass labels= to update")
        return compare_with_labels(fingerprint.mean, fingerprint.log_variance, fingerprint.labels)
