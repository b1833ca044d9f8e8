"""The Wasserstein GAN with gradient penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from torchdisentangle.models.base import GenerativeModule, check_weights
from torchdisentangle.models.networks import Network, decoder, encoder, frozen


class WGANGP(GenerativeModule):
    r"""Wasserstein generative adversarial network with gradient penalty: a generator alone, with normal latents.

    .. math:: \mathcal{L}_G = -\mathbb{E}\, C(G(z)), \qquad
              \mathcal{L}_C = \mathbb{E}\, C(G(z)) - \mathbb{E}\, C(x)
              + \lambda \, \mathbb{E} \bigl( \lVert \nabla_{\hat x} C(\hat x) \rVert - 1 \bigr)^2

    with :math:`\hat x = u x + (1 - u) G(z)`, :math:`u` uniform in :math:`[0, 1]`. The critic :math:`C` is kept near
    slope 1, where :math:`\mathbb{E} C(x) - \mathbb{E} C(G(z))` estimates the Wasserstein distance of the data from the
    generated ones. The model logs ``<stage>/wasserstein``, this estimate, ``<stage>/penalty``, without its weight,
    ``<stage>/generator``, and ``<stage>/loss``, the sum of both losses.

    Both sides train at once, by one backward pass and one optimizer: the generator sees the critic with its parameters
    held constant, the critic sees the generated data as constants. Where the reference makes five steps of the critic
    for each of the generator, the critic here learns at a higher rate.

    It decodes only; metrics of generators, such as the manifold and topology scores, read it as a latent model.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents.
        penalty: :math:`\lambda`.
        bounded: whether the data are in [0, 1].
        network: ``"mlp"`` or ``"conv"``.
        hidden: as for :class:`~torchdisentangle.models.VAE`, of the critic; reversed in the generator.
        dense: as for :class:`~torchdisentangle.models.VAE`.
        learning_rate: of the generator's Adam, whose betas are (0, 0.9).
        critic_learning_rate: of the critic's, likewise.

    Raises:
        ValueError: for a negative weight, and for images that cannot be halved as often as ``hidden`` asks.

    Reference:
        Gulrajani et al., *Improved Training of Wasserstein GANs*, NIPS 2017; of the two learning rates, Heusel et al.,
        *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, NIPS 2017.

    Example:
        >>> model = WGANGP(data_shape=(1, 8, 8), latent_dim=3)
        >>> model.decode(torch.zeros(4, 3)).shape
        torch.Size([4, 1, 8, 8])
        >>> sorted(model.terms(torch.rand(4, 1, 8, 8)))
        ['generator', 'loss', 'penalty', 'wasserstein']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        penalty: float = 10.0,
        bounded: bool = True,
        network: Network = "mlp",
        hidden: Sequence[int] | None = None,
        dense: int = 256,
        learning_rate: float = 1e-4,
        critic_learning_rate: float = 4e-4,
    ) -> None:
        super().__init__(learning_rate)
        check_weights(penalty=penalty)
        self.save_hyperparameters()
        self.latent_dim: int = latent_dim
        self.penalty: float = penalty
        self.bounded: bool = bounded
        self.critic_learning_rate = critic_learning_rate
        self.generator: nn.Module = decoder(network, latent_dim, hidden, data_shape, dense)
        self.critic: nn.Module = encoder(network, data_shape, hidden, 1, dense)

    def decode(self, z: Tensor) -> Tensor:
        """Generated data, ``(N, *data_shape)``."""
        return self.generator(z).sigmoid() if self.bounded else self.generator(z)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The losses and what they are made of, averaged over the batch."""
        fake = self.decode(torch.randn(len(x), self.latent_dim).to(x))
        generator = -frozen(self.critic)(fake).mean()
        wasserstein = self.critic(x).mean() - self.critic(fake.detach()).mean()
        penalty = gradient_penalty(self.critic, x, fake.detach())
        loss = generator - wasserstein + self.penalty * penalty
        return {"loss": loss, "generator": generator, "wasserstein": wasserstein, "penalty": penalty}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        generator = {"params": list(self.generator.parameters()), "lr": self.learning_rate}
        critic = {"params": list(self.critic.parameters()), "lr": self.critic_learning_rate}
        return torch.optim.Adam([generator, critic], betas=(0.0, 0.9))


def gradient_penalty(critic: Callable[[Tensor], Tensor], x: Tensor, other: Tensor) -> Tensor:
    r"""How far a critic's slope is from 1 at points between data.

    .. math:: \mathbb{E} \bigl( \lVert \nabla_{\hat x} C(\hat x) \rVert - 1 \bigr)^2, \qquad
              \hat x = u x + (1 - u) x', \quad u \sim U[0, 1]

    Args:
        critic: from data to ``(N, 1)``, row by row.
        x: data, ``(N, *data_shape)``.
        other: as many others, ``x'``.

    Returns:
        A scalar, with gradients of the critic's parameters also where they are switched off around it.

    Reference:
        Gulrajani et al., *Improved Training of Wasserstein GANs*, NIPS 2017.

    Example:
        >>> gradient_penalty(lambda x: 3 * x[:, :1], torch.ones(5, 2), torch.zeros(5, 2)).item()
        4.0
    """
    with torch.inference_mode(False), torch.enable_grad():
        share = torch.rand(len(x), *[1] * (x.ndim - 1)).to(x)
        between = (share * x + (1 - share) * other).clone().requires_grad_()
        slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()
