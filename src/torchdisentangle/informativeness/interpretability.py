"""Agreement of latents with known factors, measured on posteriors."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from torchdisentangle.functional.informativeness.quantization import DEFAULT_BINS, DEFAULT_BOUNDS
from torchdisentangle.functional.supervised.information_gap import jemmig, mutual_information_gap, normalized_jemmig
from torchdisentangle.plots import plot_factor_matrix
from torchdisentangle.statistics.counts import Ends
from torchdisentangle.supervised.information import Information, InformationMetric, factor_labels


class Interpretability(InformationMetric):
    r"""Interpretability of latents: RMIG and JEMMIG together, in nats and normalised.

    .. math:: \mathrm{RMIG}_f = I_{(1) f} - I_{(2) f}, \quad
              \mathrm{JEMMIG}_f = H(z_{k^*}, y_f) - I_{(1) f} + I_{(2) f}

    averaged over factors, where :math:`I_{(1) f}` and :math:`I_{(2) f}` are the largest and second largest
    :math:`I(z_k; y_f)`. They are those of :class:`~torchdisentangle.supervised.RobustMIG` and
    :class:`~torchdisentangle.supervised.JEMMIG`, with which this metric shares its state.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` (posterior means) and ``log_variance``
    ``(n, d)``, and ``factors`` ``(n, F)``; ``compute`` returns a dictionary of scalars: ``rmig`` (nats, high is good),
    ``rmig_normalized`` (in [0, 1]), ``jemmig`` (nats, low is good) and ``jemmig_normalized`` (in [0, 1], **high** is
    good).

    Args:
        num_bins: number of bins ``B``.
        edges: their range, as for :class:`~torchdisentangle.statistics.counts.JointCountStatistic`.
        binning: ``"soft"`` by exact probabilities, or ``"density"`` as the published numbers were computed.
        kwargs: settings of :class:`~torchdisentangle.supervised.information.InformationMetric`.

    Raises:
        ValueError: for settings that do not fit.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        >>> interpretability = Interpretability()
        >>> interpretability.update(2.0 * factors - 1, factors, torch.full((4, 2), -4.0))
        >>> {name: round(float(value), 3) for name, value in interpretability.compute().items()}
        {'rmig': 0.693, 'rmig_normalized': 1.0, 'jemmig': 1.959, 'jemmig_normalized': 0.63}
    """

    higher_is_better = None

    def __init__(
        self,
        num_bins: int = DEFAULT_BINS,
        edges: Literal["data", "prior"] | Ends = DEFAULT_BOUNDS,
        binning: Literal["hard", "soft", "density"] = "soft",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins=num_bins, edges=edges, binning=binning, **kwargs)

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """The scores by name, averaged over factors."""
        return {name: value.mean() for name, value in self._of_factors(self.information()).items()}

    def per_factor(self) -> dict[str, Tensor]:
        """The scores of every factor by name, ``(F,)``; NaN for one that was seen with a single value."""
        with self.reduced():
            values = self._of_factors(self.information())
            return {name: self.over_all_factors(value) for name, value in values.items()}

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Heatmap of the mutual information that the scores are read from; given scores of one name, over steps."""
        if val is not None:
            return super().plot(val, ax)
        with self.reduced():
            matrix = self.over_all_factors(self.information().mutual)
        return plot_factor_matrix(matrix, factor_labels(self.factor_names, matrix.shape[1]), ax=ax)

    def _of_factors(self, information: Information) -> dict[str, Tensor]:
        entropy = information.factor_entropy
        gap = mutual_information_gap(information.mutual, entropy)
        excess = jemmig(information.mutual, information.joint_entropy)
        return {
            "rmig": gap * entropy,
            "rmig_normalized": gap,
            "jemmig": excess,
            "jemmig_normalized": normalized_jemmig(excess, entropy, self.num_bins),
        }
