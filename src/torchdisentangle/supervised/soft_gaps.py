"""Gaps of Gaussian posteriors in soft bins: RMIG and JEMMIG, and both together."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.information_gap import jemmig, mutual_information_gap, normalized_jemmig
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.bin_counter import Binning, Edges
from torchdisentangle.supervised.base import Variants
from torchdisentangle.supervised.information import CountSettings, Estimator, InformationScore
from torchdisentangle.supervised.information_estimator import Information

NUM_BINS = 100
RANGE = (-4.0, 4.0)


def gaps_in_bins(information: Information, num_bins: int) -> dict[str, Tensor]:
    """RMIG and JEMMIG of every factor, ``(F,)`` each, in nats and normalised, by their names.

    Args:
        information: from joint counts.
        num_bins: number of bins of a code.

    Raises:
        ValueError: if the joint entropy is not known.
    """
    if information.joint_entropy is None:
        raise ValueError("JEMMIG needs the joint entropy of bins and values")
    entropy = information.factor_entropy
    gap = mutual_information_gap(information.mutual, entropy)
    excess = jemmig(information.mutual, information.joint_entropy)
    return {
        "rmig": gap * entropy,
        "rmig_normalized": gap,
        "jemmig": excess,
        "jemmig_normalized": normalized_jemmig(excess, entropy, num_bins),
    }


class RobustMIG(InformationScore):
    r"""Robust mutual information gap (RMIG): MIG of posteriors instead of points.

    .. math:: \mathrm{RMIG} = \frac1F \sum_f \frac{I_{(1) f} - I_{(2) f}}{H(y_f)}, \quad
              p_{bv} = \frac1n \sum_n q(z \in b \,|\, x_n) \, 1[y_{nf} = v]

    so that a latent with wide posteriors is not credited with what its means tell. Ideal 1, worst 0. Its bias is below
    that of hard bins, because soft counts vary less.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` (posterior means) and ``log_variance``
    ``(n, d)``, and ``factors`` ``(n, F)``; ``compute`` returns a scalar. ``mode="reference"`` gives the published
    numbers.

    Args:
        num_bins: number of bins ``B``.
        edges: of the bins, as for :class:`~torchdisentangle.supervised.information.InformationScore`.
        binning: ``"soft"``, or ``"hard"``, which makes it MIG.
        normalize: whether to divide by the factors' entropies; otherwise the value is in nats.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> rmig = RobustMIG()
        >>> rmig.update(2.0 * factors - 1, factors, log_variance=torch.zeros(4, 2))
        >>> rmig.compute()
        tensor(0.4858, dtype=torch.float64)
    """

    name = "robust_mig"
    estimators: ClassVar[tuple[Estimator, ...]] = ("counts",)

    def __init__(
        self,
        num_bins: int = NUM_BINS,
        edges: Edges = RANGE,
        binning: Binning = "soft",
        normalize: bool = True,
        **settings: Unpack[CountSettings],
    ) -> None:
        super().__init__(num_bins=num_bins, edges=edges, binning=binning, **settings)
        self.normalize = normalize

    def compute(self) -> Tensor:
        """Mean gap over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> Tensor:
        """The gap of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._over_all_factors(self._values)

    def _values(self, information: Information) -> Tensor:
        return gaps_in_bins(information, self.num_bins)["rmig_normalized" if self.normalize else "rmig"]


class JEMMIG(InformationScore):
    r"""Joint entropy minus mutual information gap: every factor in one code, and nothing else in that code.

    .. math:: \mathrm{JEMMIG} = \frac1F \sum_f \bigl[ H(z_{k^*}, y_f) - I_{(1) f} + I_{(2) f} \bigr]

    **Lower is better**: ideal 0, worst :math:`H(y_f) + \log B`. With ``normalize=True`` each factor's value is divided
    by its worst and taken from 1, so that **higher is better**, ideal 1, worst 0. Noise in the best code counts
    against it: a posterior of standard deviation :math:`\sigma` in bins of width ``w`` costs
    :math:`\tfrac12 \log(2 \pi e \sigma^2) - \log w` nats. Values for different numbers of bins differ.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` (posterior means) and ``log_variance``
    ``(n, d)``, and ``factors`` ``(n, F)``; ``compute`` returns a scalar. ``mode="reference"`` gives the published
    numbers; ``binning="hard"`` needs no ``log_variance``. The registered ``"jemmig"`` has hard bins of the data's
    range and is normalised.

    Args:
        num_bins: number of bins ``B``.
        edges: of the bins, as for :class:`~torchdisentangle.supervised.information.InformationScore`.
        binning: ``"soft"`` or ``"hard"``.
        normalize: whether to return the score in [0, 1] instead of nats.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`.

    Reference:
        Do & Tran, ICLR 2020; the normalised complement as in Zaidi et al., *Measuring disentanglement: a
        review of metrics*, 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> score = JEMMIG(normalize=True, binning="hard", num_bins=2, edges="data")
        >>> score.update(factors.float(), factors)
        >>> score.compute()
        tensor(1., dtype=torch.float64)
    """

    name = "jemmig"
    variants: ClassVar[Variants] = {"jemmig": {"num_bins": 20, "edges": "data", "binning": "hard", "normalize": True}}
    estimators: ClassVar[tuple[Estimator, ...]] = ("counts",)

    def __init__(
        self,
        num_bins: int = NUM_BINS,
        edges: Edges = RANGE,
        binning: Binning = "soft",
        normalize: bool = False,
        **settings: Unpack[CountSettings],
    ) -> None:
        super().__init__(num_bins=num_bins, edges=edges, binning=binning, **settings)
        self.normalize = normalize

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """Whether it is normalised."""
        return self.normalize

    def compute(self) -> Tensor:
        """Mean over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> Tensor:
        """The value of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        return self._over_all_factors(self._values)

    def _values(self, information: Information) -> Tensor:
        return gaps_in_bins(information, self.num_bins)["jemmig_normalized" if self.normalize else "jemmig"]


class Interpretability(InformationScore):
    r"""Interpretability of latents: RMIG and JEMMIG together, in nats and normalised.

    .. math:: \mathrm{RMIG}_f = I_{(1) f} - I_{(2) f}, \quad
              \mathrm{JEMMIG}_f = H(z_{k^*}, y_f) - I_{(1) f} + I_{(2) f}

    averaged over factors, where :math:`I_{(1) f}` and :math:`I_{(2) f}` are the largest and second largest
    :math:`I(z_k; y_f)`. They are those of :class:`RobustMIG` and :class:`JEMMIG`, with which this metric shares its
    state.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` (posterior means) and ``log_variance``
    ``(n, d)``, and ``factors`` ``(n, F)``; ``compute`` returns a dictionary of scalars: ``interpretability_rmig``
    (nats, high is good), ``interpretability_rmig_normalized`` (in [0, 1]), ``interpretability_jemmig`` (nats, low is
    good) and ``interpretability_jemmig_normalized`` (in [0, 1], **high** is good).

    Args:
        num_bins: number of bins ``B``.
        edges: of the bins, as for :class:`~torchdisentangle.supervised.information.InformationScore`.
        binning: ``"soft"`` or ``"hard"``.
        settings: of :class:`~torchdisentangle.supervised.information.InformationScore`; ``mode="reference"`` gives the
            published numbers.

    Raises:
        ValueError: for settings that do not fit.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> interpretability = Interpretability()
        >>> interpretability.update(2.0 * factors - 1, factors, log_variance=torch.full((4, 2), -4.0))
        >>> for name, value in interpretability.compute().items():
        ...     print(name, round(float(value), 3))
        interpretability_rmig 0.693
        interpretability_rmig_normalized 1.0
        interpretability_jemmig 1.959
        interpretability_jemmig_normalized 0.63
    """

    name = "interpretability"
    estimators: ClassVar[tuple[Estimator, ...]] = ("counts",)
    higher_is_better: bool | None = None
    plot_upper_bound: float | None = None
    matrix_label = "mutual information (nats)"

    def __init__(
        self,
        num_bins: int = NUM_BINS,
        edges: Edges = RANGE,
        binning: Binning = "soft",
        **settings: Unpack[CountSettings],
    ) -> None:
        super().__init__(num_bins=num_bins, edges=edges, binning=binning, **settings)

    def compute(self) -> dict[str, Tensor]:
        """The scores by name, averaged over factors."""
        return self._score(self.information())

    @readout
    def per_factor(self) -> dict[str, Tensor]:
        """The scores of every factor by name, ``(F,)``; NaN for one that was seen with a single value."""
        values = self._over_all_factors(lambda known: torch.stack([*self._gaps(known).values()]))
        return dict(zip(self._gaps(self.information()), values, strict=True))

    def _score(self, information: Information) -> dict[str, Tensor]:
        return {name: values.mean() for name, values in self._gaps(information).items()}

    def _gaps(self, information: Information) -> dict[str, Tensor]:
        gaps = gaps_in_bins(information, self.num_bins)
        return {f"interpretability_{name}": values for name, values in gaps.items()}
