"""Entropies, mutual information and total correlation of sets of latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.manifold.entropy import EntropicDecomposition, check_partition
from torchdisentangle.manifold.base import ManifoldMetric, ManifoldSettings, scaled
from torchdisentangle.plots import plot_decomposition, plot_scalar, plot_spectrum
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.classes import Estimate


class ManifoldEntropySpectrum(ManifoldMetric):
    r"""Manifold entropy of every single latent, in latent order.

    .. math:: H_i = H(p_i) + \tfrac12 \, \mathbb{E}_z \log G_{ii}

    A non-linear "log standard deviation" of the data along each latent. Ideal for alignment: a steep fall when sorted,
    few latents high and the rest low. Unbounded; a dead latent is at the floor ``prior_entropy - 27.6``. Unbiased.
    Every entry is in nats per dimension already, so ``normalize`` changes nothing.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns ``(d,)`` in nats.

    Args:
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025.

    Example:
        >>> import torch
        >>> spectrum = ManifoldEntropySpectrum()
        >>> spectrum.update(torch.diag(torch.tensor([2.0, 1.0])).expand(10, 2, 2))
        >>> spectrum.compute()
        tensor([2.1121, 1.4189], dtype=torch.float64)
    """

    def _estimate(self) -> Estimate:
        """Entropies and their standard errors per class, ``(C, d)``."""
        return self._spectrum_estimate()

    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """Plot the spectrum in latent order and sorted, with two standard errors."""
        if val is not None:
            return plot_spectrum(val, ax=ax)
        (value, error), per_class = self._with_classes()
        return plot_spectrum(value, error, ax=ax, per_class=per_class)

    @readout
    def _with_classes(self) -> tuple[Estimate, Tensor | None]:
        """The estimate, and the values of the classes if there are several."""
        return self._over_classes(), self.per_class() if len(self.num_samples) > 1 else None


class ManifoldEntropy(ManifoldMetric):
    r"""Manifold entropy of a set of latents, or of all: the entropy of the generated distribution.

    .. math:: H(q_S) = \sum_{i \in S} H(p_i) + \mathbb{E}_z \log |J_S|

    Unbounded; no value is ideal by itself. Comparable between models of the same data. If ``d > D`` the whole has no
    density and the value sits at a floor (counted in ``num_singular``).

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns a scalar in nats (nats per dimension with ``normalize=True``).

    Args:
        index_set: the latents ``S``; ``None``: all.
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> import torch
        >>> entropy = ManifoldEntropy(normalize=True)
        >>> entropy.update(torch.eye(3).expand(10, 3, 3))
        >>> entropy.compute()
        tensor(1.4189, dtype=torch.float64)
    """

    def __init__(self, index_set: Sequence[int] | None = None, **settings: Unpack[ManifoldSettings]) -> None:
        own = [] if index_set is None else [tuple(sorted(index_set))]
        settings["index_sets"] = [*own, *settings.get("index_sets", ())]
        super().__init__(**settings)
        self.index_set: tuple[int, ...] | None = own[0] if own else None

    def _estimate(self) -> Estimate:
        """Entropy and its standard error per class, ``(C,)``."""
        size = self._num_latents if self.index_set is None else len(self.index_set)
        return scaled(self._entropy_estimate(self.index_set), 1 / size if self.normalize else 1)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Plot the value with its standard error, or a list of values over steps."""
        return _plot_value(self, val, ax, "manifold entropy (nats)")


class ManifoldTotalCorrelation(ManifoldMetric):
    r"""Manifold total correlation of a partition of the latents.

    .. math:: \mathrm{MTC}_P = \sum_{S \in P} H(q_S) - H

    Ideal 0: the parts' tangent spaces are orthogonal everywhere (disentangled). No upper bound; a singular sample
    saturates at 15.9 nats or more for each lost dimension. Unbiased. ``normalize=True`` divides by ``d``.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns a scalar in nats.

    Args:
        partition: disjoint index sets that cover all latents; ``None``: all singletons.
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> import torch
        >>> total_correlation = ManifoldTotalCorrelation()
        >>> total_correlation.update(torch.tensor([[[1.0, 0.8], [0.0, 0.6]]]))
        >>> total_correlation.compute()
        tensor(0.5108, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def __init__(self, partition: Sequence[Sequence[int]] | None = None, **settings: Unpack[ManifoldSettings]) -> None:
        own = [tuple(sorted(part)) for part in partition or ()]
        settings["index_sets"] = [*own, *settings.get("index_sets", ())]
        super().__init__(**settings)
        self.partition: list[tuple[int, ...]] | None = None if partition is None else own

    def _estimate(self) -> Estimate:
        """Total correlation and its standard error per class, ``(C,)``."""
        parts = check_partition(self.partition, self._num_latents)
        weights = sum(self._volume_weights(part) for part in parts) - self._volume_weights(None)
        value, error = self._linear_estimate(weights[None])
        return scaled(Estimate(value[:, 0], error[:, 0]), 1 / self._num_latents if self.normalize else 1)

    @readout
    def decomposition(self) -> EntropicDecomposition:
        """Return the entropy of each part ``(P,)``, of the whole, and what they share.

        The total is the sum of the parts minus what they share.
        """
        self._require_samples()
        parts = check_partition(self.partition, self._num_latents)
        entropies = self._linear_value(*self._entropy_weights([*parts, None]))[self.num_samples > 0].mean(0)
        of_parts, total = entropies[:-1], entropies[-1]
        return EntropicDecomposition(of_parts, total, of_parts.sum() - total)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Plot the entropic decomposition as bars, or given values over steps."""
        if val is not None:
            return _plot_value(self, val, ax, "manifold total correlation (nats)")
        return plot_decomposition(*self.decomposition(), labels=self.part_names, ax=ax)

    @property
    def part_names(self) -> list[str] | None:
        """Names of the parts in a figure, from the latents that they hold."""
        return None if self.partition is None else [_name_of(part) for part in self.partition]


class ManifoldMutualInformation(ManifoldMetric):
    r"""Manifold mutual information of two disjoint sets of latents.

    .. math:: I(q_S, q_T) = \mathbb{E}_z \left[ \log |J_S| + \log |J_T| - \log |J_{S \cup T}| \right]

    Ideal 0: the two tangent spaces are orthogonal almost everywhere. Unbiased. ``normalize=True`` divides by the size
    of the smaller set.

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns a scalar in nats.

    Args:
        index_set_a: the latents ``S``.
        index_set_b: the latents ``T``, none of them in ``S``.
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> import torch
        >>> information = ManifoldMutualInformation([0], [1])
        >>> information.update(torch.tensor([[[1.0, 0.8], [0.0, 0.6]]]))
        >>> information.compute()
        tensor(0.5108, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def __init__(
        self, index_set_a: Sequence[int], index_set_b: Sequence[int], **settings: Unpack[ManifoldSettings]
    ) -> None:
        sets = tuple(sorted(index_set_a)), tuple(sorted(index_set_b))
        if not all(sets) or set(sets[0]) & set(sets[1]):
            raise ValueError(f"two disjoint, non-empty index sets are needed, got {list(sets)}")
        union = tuple(sorted(sets[0] + sets[1]))
        own = [*sets, union] if len(union) > 2 else []  # pairs are in the MPMI matrix, which every statistic holds
        settings["index_sets"] = [*own, *settings.get("index_sets", ())]
        super().__init__(**settings)
        self.index_set_a: tuple[int, ...] = sets[0]
        self.index_set_b: tuple[int, ...] = sets[1]
        self._sets = (*sets, union)

    def _estimate(self) -> Estimate:
        """Mutual information and its standard error per class, ``(C,)``."""
        union = self._sets[-1]
        if len(union) == 2:
            value, error = (of_pairs[:, union[0], union[1]] for of_pairs in self._pairwise_estimate())
        else:
            first, second, both = (self._volume_weights(index_set) for index_set in self._sets)
            value, error = (column[:, 0] for column in self._linear_estimate((first + second - both)[None]))
        return scaled(Estimate(value, error), 1 / min(map(len, self._sets[:2])) if self.normalize else 1)

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Plot the value with its standard error, or a list of values over steps."""
        return _plot_value(self, val, ax, "manifold mutual information (nats)")


def _plot_value(metric: ManifoldMetric, val: Any, ax: Axes | None, label: str) -> Plot:
    """A metric's value with its standard error, or given values over steps."""
    if val is not None:
        return plot_scalar(val, ax=ax, label=label)
    return plot_scalar(*metric.estimate(), ax=ax, label=label)


def _name_of(index_set: Sequence[int]) -> str:
    """A short name for a set of latents: ``3``, ``0, 1`` or ``0-15``.

    Example:
        >>> _name_of([0, 1, 2, 3]), _name_of([0, 2])
        ('0-3', '0, 2')
    """
    first, last = index_set[0], index_set[-1]
    contiguous = len(index_set) > 2 and list(index_set) == list(range(first, last + 1))
    return f"{first}-{last}" if contiguous else ", ".join(map(str, index_set))
