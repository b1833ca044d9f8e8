"""Training of normalizing flows by the objectives of the manifold entropic metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchdisentangle.functional import decoder_jacobian, gram_matrix, manifold_total_correlation, probed_jacobian
from torchdisentangle.functional.manifold.jacobian import JacobianMode
from torchdisentangle.functional.manifold.wishart import MIN_PROBES, log_volume_bias
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import as_latent_model
from torchdisentangle.models.base import GenerativeModule, check_weights


class NormalizingFlowModule(GenerativeModule):
    r"""Trains any normflows flow with a latent space that is disentangled and aligned.

    .. math:: \mathcal{L} = \underbrace{-\log q(x)}_{\text{maximum likelihood}}
              + \alpha \, \underbrace{\Bigl[\sum_i \log \lVert J_i \rVert - \log |J|\Bigr]}_{\text{manifold total
              correlation at } z = f(x)}
              + \lambda \, \underbrace{\lVert x - g(z_{\text{core}}, 0) \rVert^2}_{\text{core reconstruction}}

    The first term alone trains a flow whose latents may be entangled; the second makes them disentangled, and with
    :math:`\alpha = 1` is the principal-manifold objective with singletons; the third makes them aligned: it moves what
    matters into the core latents. Means over the batch; logged are ``<stage>/loss``, ``<stage>/nll``,
    ``<stage>/total_correlation`` and ``<stage>/core_reconstruction``, the last two where they are part of the loss.

    Args:
        flow: a normflows ``NormalizingFlow``, or another flow that
            :func:`~torchdisentangle.models.as_latent_model` knows and that has a ``log_prob``.
        total_correlation_weight: :math:`\alpha`; costs a Jacobian for each sample.
        core_reconstruction_weight: :math:`\lambda`.
        core_dims: how many of the first latents are core, or which.
        learning_rate: of Adam.
        jacobian_mode: of :func:`~torchdisentangle.functional.decoder_jacobian`, for the total correlation. A flow's
            Jacobian is square, so both modes take as many products: forward mode holds less memory, reverse mode runs
            fewer and larger operations, and trains small flows several times faster on a CPU.
        num_probes: estimate the lengths :math:`\lVert J_i \rVert` from so many random probes of each sample, drawn
            anew in every step, and take :math:`\log |J|` from the flow's own log-determinant. The penalty and its
            gradient are unbiased, and cost as many vector-Jacobian products however many latents there are; ``None``:
            the exact Jacobian.

    Raises:
        ValueError: if a weight is negative, core latents do not exist, or there are fewer than two probes.

    Reference:
        Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025; Cunningham et al.,
        *Principal Component Flows*, ICML 2022.

    Example:
        >>> from torchdisentangle.models import spline_flow
        >>> model = NormalizingFlowModule(spline_flow(2), total_correlation_weight=1.0)
        >>> sorted(model.terms(torch.randn(8, 2)))
        ['loss', 'nll', 'total_correlation']
    """

    def __init__(
        self,
        flow: nn.Module,
        total_correlation_weight: float = 0.0,
        core_reconstruction_weight: float = 0.0,
        core_dims: int | Sequence[int] = 1,
        learning_rate: float = 1e-3,
        jacobian_mode: JacobianMode = "auto",
        num_probes: int | None = None,
    ) -> None:
        super().__init__(learning_rate)
        check_weights(
            total_correlation_weight=total_correlation_weight, core_reconstruction_weight=core_reconstruction_weight
        )
        self.save_hyperparameters(ignore=["flow"])
        self.flow = flow
        self.total_correlation_weight = total_correlation_weight
        self.core_reconstruction_weight = core_reconstruction_weight
        self.jacobian_mode = jacobian_mode
        if num_probes is not None and num_probes < MIN_PROBES:
            raise ValueError(f"at least {MIN_PROBES} probes are needed, got num_probes={num_probes}")
        self.num_probes = num_probes
        size = self.latent_model().latent_dim
        core = list(range(core_dims)) if isinstance(core_dims, int) else list(core_dims)
        if not core or not 0 <= min(core) <= max(core) < size:
            raise ValueError(f"core latents must be among {size}, got {core_dims}")
        self.register_buffer("core", torch.zeros(size).index_fill(0, torch.tensor(core), 1.0), persistent=False)

    core: Tensor

    def latent_model(self) -> LatentModel:
        """The flow as the metrics see it."""
        return as_latent_model(self.flow)

    def terms(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """The loss and what it is made of, averaged over the batch."""
        model = self.latent_model()
        labels = None if model.num_classes is None else labels
        condition = () if labels is None else (labels,)
        nll = -self.flow.log_prob(x, *condition).mean()  # type: ignore[operator]
        terms, loss = {"nll": nll}, nll
        if self.total_correlation_weight or self.core_reconstruction_weight:
            z = model.encode(x, labels).mean
        if self.total_correlation_weight:
            terms["total_correlation"] = self._total_correlation(model, z, labels).to(nll)
            loss = loss + self.total_correlation_weight * terms["total_correlation"]
        if self.core_reconstruction_weight:
            error = x - model.decode(z * self.core.to(z), labels)
            terms["core_reconstruction"] = error.flatten(1).square().sum(1).mean()
            loss = loss + self.core_reconstruction_weight * terms["core_reconstruction"]
        return {"loss": loss, **terms}

    def _total_correlation(self, model: LatentModel, z: Tensor, labels: Tensor | None) -> Tensor:
        """Of the decoder's Jacobians at latents, averaged over the batch."""
        if self.num_probes is None:
            jacobian = decoder_jacobian(model.decode, z, labels, mode=self.jacobian_mode, check=False)
            return manifold_total_correlation(gram_matrix(jacobian))
        seed = int(torch.randint(2**31, ()))
        projection = probed_jacobian(model.decode, z, labels, num_probes=self.num_probes, seed=seed, check=False)
        log_lengths = 0.5 * projection.square().sum(1).log() - log_volume_bias(1, self.num_probes)[1]
        return (log_lengths.sum(1) - model.log_det(z, labels)).mean()

    def batch_terms(self, batch: Any) -> dict[str, Tensor]:
        """The terms of a batch, whose second element, if there is one, are labels."""
        x, *labels = [batch] if isinstance(batch, Tensor) else batch
        return self.terms(x, *labels[:1])
