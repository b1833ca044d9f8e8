"""An affine coupling between any two sets of coordinates, volume-preserving if wanted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_LARGEST_LOG_SCALE = 2.0


class SubsetAffineCoupling(nn.Module):
    r"""Affine coupling of some coordinates, given some others; all the rest is neither read nor changed.

    .. math:: x_C = z_C \odot e^{s(z_G)} + t(z_G), \quad \log |\det J| = \sum_{i \in C} s_i, \quad
              s = 2 \tanh(\tilde s / 2) \;\bigl[- \text{its mean, if volume-preserving}\bigr]

    with :math:`(\tilde s, t)` from a network. A volume-preserving coupling has log-scales that add up to zero, so it
    moves volume between coordinates but makes none. normflows' couplings read all that they do not change; this one
    may be blind to coordinates, as a flow over scales must be to finer ones. It has the methods of a normflows layer.

    Args:
        changed: the coordinates ``C``.
        given: the coordinates ``G``.
        network: maps ``(N, len(given))`` to ``(N, 2 * len(changed))``.
        volume_preserving: whether the log-scales add up to zero.

    Raises:
        ValueError: if a set is empty, or a coordinate is both changed and given, or appears twice.

    Reference:
        Dinh et al., *Density estimation using Real NVP*, ICLR 2017; Sorrenson et al., *Disentanglement by Nonlinear ICA
        with General Incompressible-flow Networks (GIN)*, ICLR 2020.

    Example:
        >>> coupling = SubsetAffineCoupling([0, 2], [1], nn.Linear(1, 4), volume_preserving=True)
        >>> z = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> x, log_det = coupling(z)
        >>> x[0, [1, 3]], log_det
        (tensor([2., 4.], grad_fn=<IndexBackward0>), tensor([0.]))
        >>> torch.allclose(coupling.inverse(x)[0], z)
        True
    """

    def __init__(
        self, changed: Sequence[int], given: Sequence[int], network: nn.Module, volume_preserving: bool = False
    ) -> None:
        super().__init__()
        indices = [*changed, *given]
        if not changed or not given or len(set(indices)) < len(indices):
            raise ValueError(
                f"disjoint sets of coordinates are needed, got changed={list(changed)}, given={list(given)}"
            )
        self.network = network
        self.volume_preserving = volume_preserving
        self.register_buffer("changed", torch.as_tensor(changed))
        self.register_buffer("given", torch.as_tensor(given))

    changed: Tensor
    given: Tensor

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """From latents ``(N, d)`` to data; also the log-determinant ``(N,)``."""
        log_scale, shift = self._scale_and_shift(z)
        return self._replaced(z, z[:, self.changed] * log_scale.exp() + shift), self._log_det(log_scale)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From data to latents; also the log-determinant of that direction."""
        log_scale, shift = self._scale_and_shift(x)
        return self._replaced(x, (x[:, self.changed] - shift) * (-log_scale).exp()), -self._log_det(log_scale)

    def _scale_and_shift(self, values: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(values[:, self.given]).chunk(2, dim=1)
        log_scale = _LARGEST_LOG_SCALE * torch.tanh(raw / _LARGEST_LOG_SCALE)
        return log_scale - log_scale.mean(1, keepdim=True) if self.volume_preserving else log_scale, shift

    def _log_det(self, log_scale: Tensor) -> Tensor:
        return log_scale.new_zeros(len(log_scale)) if self.volume_preserving else log_scale.sum(1)

    def _replaced(self, values: Tensor, new: Tensor) -> Tensor:
        return values.index_copy(1, self.changed, new)
