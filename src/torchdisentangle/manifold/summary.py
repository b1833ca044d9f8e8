"""Scalars for curves and monitors, and the average Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.manifold.spectrum import active_latents, effective_dimension
from torchdisentangle.manifold.base import ManifoldMetric, ManifoldSettings
from torchdisentangle.plots import plot_jacobian_columns, plot_scalar
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.classes import Estimate, over_classes


class ManifoldSummary(ManifoldMetric[dict[str, Tensor]]):
    r"""The scalars that fit a curve, a checkpoint's monitor or early stopping.

    ``compute`` returns a dictionary: ``total_entropy`` :math:`H` and ``total_correlation`` (MTC of the singletons,
    ideal 0) in nats, ``mpmi_mean`` and ``mpmi_max`` off the diagonal (ideal 0, nats), ``active_latents`` (a count),
    ``active_mpmi_mean`` of the pairs of these (0 if there is none) and ``effective_dimension`` of the spectrum (between
    1 and ``d``; low is aligned). ``normalize=True`` divides the two totals by ``d``. As input it accepts what all
    manifold metrics accept. ``standard_error()``, ``per_class()`` and ``estimate()`` return dictionaries too, of the
    first three, which are means over samples.

    With probes ``mpmi_max``, the largest of many noisy values, is biased upwards, by some standard errors of a single
    pair; and the two totals are NaN where the volume of all latents is unknown (``d > num_probes`` and no ``log_det``).

    Args:
        active_threshold: a latent is active if its extent ``exp(H_i)`` is at least this fraction of the largest.
        active_reference: entropy in nats whose extent takes the place of the largest; see
            :func:`~torchdisentangle.functional.active_latents`.
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025; Roy & Vetterli, *The effective rank*, EUSIPCO 2007.

    Example:
        >>> summary = ManifoldSummary()
        >>> summary.update(torch.diag(torch.tensor([1.0, 1.0, 1e-4])).expand(10, 3, 3))
        >>> {name: round(float(value), 3) for name, value in summary.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'total_entropy': -4.954, 'total_correlation': 0.0, 'mpmi_mean': 0.0, 'mpmi_max': 0.0,
         'active_latents': 2.0, 'active_mpmi_mean': 0.0, 'effective_dimension': 2.0}
    """

    mean_names: tuple[str, ...] = ("total_entropy", "total_correlation", "mpmi_mean")
    """Scalars that are means over samples: those that have a standard error."""

    scalar_names: tuple[str, ...] = (
        *mean_names,
        "mpmi_max",
        "active_latents",
        "active_mpmi_mean",
        "effective_dimension",
    )
    """All scalars."""

    def __init__(
        self,
        active_threshold: float = 0.1,
        active_reference: float | None = None,
        **settings: Unpack[ManifoldSettings],
    ) -> None:
        super().__init__(**settings)
        self.active_threshold = active_threshold
        self.active_reference = active_reference

    def _estimate(self) -> Estimate:
        """Total entropy, total correlation and mean MPMI with their standard errors per class, ``(C, 3)``."""
        whole = self._volume_weights(None)
        mean_pairwise = torch.zeros_like(whole)
        mean_pairwise[-1] = 1.0
        share = 1 / self._num_latents if self.normalize else 1.0
        total_correlation = self._lengths_weights - whole
        offset = self._prior.sum(-1, keepdim=True) * share
        return self._linear_estimate(
            torch.stack([whole * share, total_correlation * share, mean_pairwise]),
            torch.cat([offset, torch.zeros_like(offset), torch.zeros_like(offset)], dim=1),
        )

    def compute(self) -> dict[str, Tensor]:
        """Return the scalars by name, averaged over classes."""
        total_entropy, total_correlation, mpmi_mean = self._over_classes().value
        spectrum = over_classes(self._spectrum_estimate(), self.num_samples).value
        pairwise = over_classes(self._pairwise_estimate(), self.num_samples).value
        active = active_latents(spectrum, self.active_threshold, self._mean_prior, self.active_reference)
        num_active = active.sum().double()
        num_pairs = (num_active * (num_active - 1)).clamp(min=1)
        return {
            "total_entropy": total_entropy,
            "total_correlation": total_correlation,
            "mpmi_mean": mpmi_mean,
            "mpmi_max": pairwise.amax(),
            "active_latents": num_active,
            "active_mpmi_mean": pairwise[active][:, active].sum() / num_pairs,
            "effective_dimension": effective_dimension(spectrum),
        }

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Plot the scalars side by side, or a value or a list of values over steps that is given."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label="nats, latents")

    def _presented(self, values: Tensor) -> dict[str, Tensor]:
        """The scalars that are means over samples, by name."""
        return dict(zip(self.mean_names, values.unbind(-1), strict=True))

    @property
    def _mean_prior(self) -> Tensor:
        """The prior's entropies averaged over classes as the spectrum is, ``(d,)``."""
        seen = self.num_samples > 0
        return self._prior.expand(len(seen), -1)[seen].mean(0)


class MeanDecoderJacobian(ManifoldMetric):
    r"""Average of the decoder's Jacobian: what moving each latent adds to the data ("eigen-digits" for digits).

    .. math:: \bar J = \mathbb{E}_z J(z)

    As input to ``forward`` and ``update`` the metric accepts ``jacobian`` ``(N, D, d)``, ``labels`` ``(N,)`` and
    ``log_det`` ``(N,)``; ``compute`` returns ``(D, d)`` in data units per latent unit. ``normalize=True`` scales every
    column to length 1 (a zero column stays zero). Its standard error is not kept, for it would double the state: NaN.
    Projections do not hold the average Jacobian, so it needs ``estimator="exact"``.

    Args:
        settings: of :class:`~torchdisentangle.manifold.base.ManifoldMetric`.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> mean = MeanDecoderJacobian()
        >>> mean.update(torch.stack([torch.eye(2), 3 * torch.eye(2)]))
        >>> mean.compute()
        tensor([[2., 0.],
                [0., 2.]], dtype=torch.float64)
    """

    def __init__(self, **settings: Unpack[ManifoldSettings]) -> None:
        if not settings.get("mean_jacobian", True) or settings.get("estimator", "exact") != "exact":
            raise ValueError("MeanDecoderJacobian needs mean_jacobian=True and estimator='exact'")
        super().__init__(**settings)

    def _estimate(self) -> Estimate:
        """Mean Jacobian per class, ``(C, D, d)``, without standard error."""
        value = self.jacobian_sum / self.num_samples[:, None, None]
        return Estimate(value, torch.full_like(value, torch.nan))

    def _transform(self, estimate: Estimate) -> Estimate:
        """Columns of length 1, if asked for."""
        value, error = estimate
        return Estimate(torch.nn.functional.normalize(value, dim=-2) if self.normalize else value, error)

    def plot(
        self,
        val: Tensor | None = None,
        ax: Axes | None = None,
        image_shape: Sequence[int] = (),
        order: Tensor | None = None,
    ) -> Plot:
        """Plot the columns as images of ``image_shape``, by default of a single row."""
        columns = self.compute() if val is None else val
        return plot_jacobian_columns(columns, image_shape or (1, len(columns)), order=order, ax=ax)
