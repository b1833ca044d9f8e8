"""Priors whose dimensions are independent: how to sample them, their moments, and their entropies."""

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
    def is_gaussian(self) -> bool:
        """Whether every dimension is a Gaussian that is the same for all classes."""
        return len(self.loc) == 1 and not bool(self.uniform.any())

    def sample(
        self, num_samples: int, generator: torch.Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Draw latents, on the CPU.

        Args:
            num_samples: number of latents.
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
        scale = self.scale.detach()
        return torch.where(self.uniform.to(scale.device), scale / 12**0.5, scale)

    def moments(self) -> tuple[Tensor, Tensor]:
        r"""Mean and standard deviation of each dimension over all classes, which are equally likely.

        .. math:: \mu_i = \frac1C \sum_c \mu_{ci}, \qquad
                  \sigma_i^2 = \frac1C \sum_c \bigl[\sigma_{ci}^2 + (\mu_{ci} - \mu_i)^2\bigr]

        Returns:
            ``(d,)`` each.

        Example:
            >>> Prior.gaussian(torch.tensor([[-4.0], [4.0]]), torch.tensor([[3.0], [3.0]])).moments()
            (tensor([0.]), tensor([5.]))
        """
        loc, deviations = self.loc.detach(), self.standard_deviations()
        if len(loc) == 1:
            return loc[0], deviations[0]
        return loc.mean(0), (deviations.square().mean(0) + loc.var(0, correction=0)).sqrt()

    def prior_units(self, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        r"""Posteriors in units of the prior: less its mean, over its standard deviation.

        .. math:: \mu_i(x) \to \frac{\mu_i(x) - \mu_i}{\sigma_i}, \qquad
                  \log \sigma_i^2(x) \to \log \sigma_i^2(x) - 2 \log \sigma_i

        with the :meth:`moments` :math:`\mu_i` and :math:`\sigma_i` of the prior. The change is one of units in each
        latent: information about the data, and of latents about each other, stays the same.

        Args:
            mean: posterior means, ``(N, d)``.
            log_variance: posterior log-variances, ``(N, d)``.

        Returns:
            Both in the new units, in their dtypes and on their devices.

        Example:
            >>> prior = Prior.gaussian(torch.tensor([1.0]), torch.tensor([2.0]))
            >>> prior.prior_units(torch.tensor([[5.0]]), torch.tensor([[0.0]]))
            (tensor([[2.]]), tensor([[-1.3863]]))
        """
        loc, scale = (value.to(mean) for value in self.moments())
        return (mean - loc) / scale, log_variance - 2 * scale.log()
