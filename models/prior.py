"""Priors whose dimensions are independent: how to sample them, and their entropies."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY


class Prior(NamedTuple):
    r"""Product of one-dimensional Gaussian or uniform densities, optionally one for each class.

    .. math:: p(z \mid c) = \prod_i p_{ci}(z_i), \quad
              H(p_{ci}) = \log \sigma_{ci} + \begin{cases} \tfrac12 (1 + \log 2 \pi) & \text{Gaussian} \\
              0 & \text{uniform} \end{cases}

    Args:
        loc: centres, ``(C, d)``, with ``C = 1`` if there are no classes.
        scale: standard deviations of the Gaussian and widths of the uniform dimensions, ``(C, d)``.
        uniform: which dimensions are uniform, ``(d,)`` booleans.

    Example:
        >>> prior = Prior.standard_normal(3)
        >>> prior.entropies()
        tensor([[1.4189, 1.4189, 1.4189]])
    """

    loc: Tensor
    scale: Tensor
    uniform: Tensor

    @classmethod
    def standard_normal(cls, latent_dim: int) -> Prior:
        """The standard normal in ``latent_dim`` dimensions."""
        return cls.gaussian(torch.zeros(1, latent_dim), torch.ones(1, latent_dim))

    @classmethod
    def gaussian(cls, loc: Tensor, scale: Tensor) -> Prior:
        """Gaussians with centres and standard deviations ``(d,)`` or ``(C, d)``."""
        loc, scale = torch.broadcast_tensors(torch.atleast_2d(loc), torch.atleast_2d(scale))
        return cls(loc, scale, torch.zeros(loc.shape[-1], dtype=torch.bool))

    @property
    def is_standard_normal(self) -> bool:
        """Whether every dimension is a standard normal, whatever the class."""
        return bool((self.loc == 0).all() and (self.scale == 1).all() and not self.uniform.any())

    def sample(
        self, num_samples: int, generator: torch.Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Draw latents, on the CPU.

        Args:
            num_samples: how many.
            generator: a CPU generator; ``None``: the global one.
            labels: class of each, ``(num_samples,)``, needed if there are several.

        Returns:
            ``(num_samples, d)`` in float32.

        Raises:
            ValueError: if the classes are needed and missing.
        """
        loc, scale = (values.detach().float().cpu() for values in (self.loc, self.scale))
        if len(loc) > 1:
            if labels is None:
                raise ValueError(f"this prior has {len(loc)} classes: labels are needed")
            loc, scale = loc[labels.cpu()], scale[labels.cpu()]
        noise = torch.randn(num_samples, loc.shape[-1], generator=generator)
        uniform = self.uniform.cpu()
        if uniform.any():
            flat = torch.rand(num_samples, loc.shape[-1], generator=generator) - 0.5
            noise = torch.where(uniform, flat, noise)
        return loc + scale * noise

    def entropies(self) -> Tensor:
        """Entropy of each dimension in nats, ``(C, d)``."""
        constant = STANDARD_NORMAL_ENTROPY * (~self.uniform).to(self.scale)
        return self.scale.detach().log() + constant

    def standard_deviations(self) -> Tensor:
        r"""Standard deviation of each dimension, ``(C, d)``: of a uniform one, its width over :math:`\sqrt{12}`."""
        return self.scale.detach() * torch.where(self.uniform, 12**-0.5, 1.0)
