"""What the metrics ask of a generative model, whatever library it comes from."""

from __future__ import annotations

from itertools import chain
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from torchdisentangle.prior import Prior


class Posterior(NamedTuple):
    r"""Diagonal Gaussian :math:`q(z \mid x)`, or a single point if there is no variance.

    Args:
        mean: ``(N, d)``.
        log_variance: ``(N, d)``; ``None`` for a deterministic encoder, such as a flow.

    Example:
        >>> Posterior(torch.zeros(1, 2), torch.zeros(1, 2)).sample(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    mean: Tensor
    log_variance: Tensor | None = None

    def sample(self, noise: Tensor) -> Tensor:
        """Latents drawn with standard normal ``noise`` ``(N, d)``; the mean if there is no variance."""
        return self.mean if self.log_variance is None else self.mean + (0.5 * self.log_variance).exp() * noise


class LatentModel:
    """A generative model as the metrics see it. Subclass it and define what the model can do.

    A method left undefined is an ability that the model lacks; :meth:`require` says so in one sentence. Latents are
    always flat, ``(N, latent_dim)``; data have any shape.

    Args:
        module: the model itself.
        latent_dim: number of latents ``d``.
        num_classes: for a class-conditional model; its methods then get ``labels`` ``(N,)``.

    Raises:
        ValueError: if ``latent_dim`` is not positive.

    Example:
        >>> class Doubling(LatentModel):
        ...     def decode(self, z, labels=None):
        ...         return 2 * z
        >>> model = Doubling(nn.Identity(), latent_dim=3)
        >>> model.supports("decode"), model.supports("encode")
        (True, False)
    """

    ABILITIES: ClassVar[dict[str, str]] = {
        "decode": "decode latents",
        "encode": "encode data",
        "log_det": "give the log-determinant of its decoder",
    }

    def __init__(self, module: nn.Module, latent_dim: int, num_classes: int | None = None) -> None:
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be positive, got {latent_dim}")
        self.module = module
        self.latent_dim: int = int(latent_dim)
        self.num_classes = num_classes

    @property
    def prior(self) -> Prior:
        """Distribution of the latents; a standard normal unless defined otherwise."""
        return Prior.standard_normal(self.latent_dim)

    @property
    def ready(self) -> bool:
        """Whether the model can be evaluated yet.

        ``False`` as long as layers that are built or initialised by the first batch of data have not seen any.
        """
        return not any(map(is_lazy, chain(self.module.parameters(), self.module.buffers())))

    @property
    def like(self) -> Tensor:
        """An empty tensor of the model's dtype and device, for ``z.to(model.like)``.

        They are those of the first floating-point parameter (without one, buffer); a module that has neither counts as
        float32 on the CPU.

        Example:
            >>> LatentModel(nn.Linear(2, 2).double(), latent_dim=2).like
            tensor([], dtype=torch.float64)
        """
        for tensor in chain(self.module.parameters(), self.module.buffers()):
            if tensor.is_floating_point():
                return torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return torch.empty(0, dtype=torch.float32, device="cpu")

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """Posterior of the latents, given data ``(N, *data_shape)``."""
        raise NotImplementedError

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Data ``(N, *data_shape)`` of latents ``(N, d)``."""
        raise NotImplementedError

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        r"""Log-determinant :math:`\log |\det \partial g / \partial z|` of the decoder at latents, ``(N,)`` in nats."""
        raise NotImplementedError

    def supports(self, ability: str) -> bool:
        """Whether the model has an ability.

        Args:
            ability: ``"decode"``, ``"encode"`` or ``"log_det"``.
        """
        return getattr(type(self), ability) is not getattr(LatentModel, ability)

    def require(self, *abilities: str) -> None:
        """Refuse a model that lacks one of the abilities.

        Args:
            abilities: as for :meth:`supports`.

        Raises:
            TypeError: naming the model and what it cannot do.
        """
        for ability in abilities:
            if not self.supports(ability):
                raise TypeError(
                    f"{type(self.module).__name__} cannot {self.ABILITIES[ability]}: {self.remedy(ability)}"
                )

    def remedy(self, ability: str) -> str:
        """What the user can do about an ability that the model lacks.

        Args:
            ability: as for :meth:`supports`.
        """
        name = type(self.module).__name__
        if callable(getattr(self.module, ability, None)):
            return f"its method {ability} is not called by {type(self).__name__}; define {ability}(...) there"
        return f"define {ability}(...) on it, or register an adapter with as_latent_model.register({name})"
