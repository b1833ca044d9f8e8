"""The InfoGAN."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.models.base import GenerativeModule, check_weights
from torchdisentangle.models.networks import Network, decoder, encoder, frozen, lipschitz
from torchdisentangle.prior import Prior


class InfoGAN(GenerativeModule):
    r"""Generative adversarial network whose data tell the codes that they were made from.

    .. math:: \mathcal{L}_G = -\mathbb{E} \log D(G(z)) - \lambda L_I, \qquad
              \mathcal{L}_{D, Q} = -\mathbb{E} \log D(x) - \mathbb{E} \log (1 - D(G(z))) - \lambda L_I, \qquad
              L_I = \mathbb{E} \log Q(c \mid G(z)) + H(c)

    The latents :math:`z`, uniform in :math:`[-1, 1]`, are codes :math:`c` followed by noise. :math:`L_I` is a lower
    bound of the mutual information :math:`I(c; G(z))`, in nats. :math:`D` and the Gaussian :math:`Q` are one network
    with several outputs, whose layers have spectral norm 1. The model logs ``<stage>/generator``
    and ``<stage>/discriminator``, the adversarial losses, ``<stage>/information``, which is :math:`L_I`, and
    ``<stage>/loss``, their weighted sum.

    Both sides train at once, by one backward pass: the generator sees the discriminator with its parameters held
    constant, the discriminator sees the generated data as constants, and :math:`L_I` is seen by both.

    As a latent model it decodes by :math:`G` and encodes by :math:`Q`; of the noise, of which :math:`Q` knows nothing,
    the posterior is the Gaussian with mean and variance of the prior.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        num_codes: number of latents that the data are to tell.
        num_noise: number of the other latents.
        information_weight: :math:`\lambda`.
        code_std: standard deviation of :math:`Q`, 1 in the reference; ``None``: it is learned, for each code and data
            point, which trains faster and makes a posterior that can be used.
        bounded: whether the data are in [0, 1].
        network: ``"mlp"`` or ``"conv"``.
        hidden: as for :class:`~torchdisentangle.models.VAE`, of the discriminator; reversed in the generator.
        dense: as for :class:`~torchdisentangle.models.VAE`.
        learning_rate: of the generator's Adam, whose betas are (0.5, 0.999).
        discriminator_learning_rate: of the discriminator's, likewise.

    Raises:
        ValueError: if there is no code, for a negative weight, and for images that cannot be halved as often as
            ``hidden`` asks.

    Reference:
        Chen et al., *InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial
        Nets*, NeurIPS 2016; constants of Lin et al., *InfoGAN-CR and ModelCentrality*, ICML 2020, for dSprites.

    Example:
        >>> model = InfoGAN(data_shape=(1, 8, 8), num_codes=2, num_noise=3)
        >>> model.decode(torch.zeros(4, 5)).shape, model.encode(torch.zeros(4, 1, 8, 8)).mean.shape
        (torch.Size([4, 1, 8, 8]), torch.Size([4, 5]))
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_codes: int = 5,
        num_noise: int = 5,
        information_weight: float = 0.05,
        code_std: float | None = None,
        bounded: bool = True,
        network: Network = "mlp",
        hidden: Sequence[int] | None = None,
        dense: int = 256,
        learning_rate: float = 1e-3,
        discriminator_learning_rate: float = 2e-3,
    ) -> None:
        super().__init__(learning_rate)
        check_weights(information_weight=information_weight, num_noise=num_noise)
        if num_codes < 1 or (code_std is not None and code_std <= 0):
            raise ValueError(f"num_codes and code_std must be positive, got {num_codes} and {code_std}")
        self.save_hyperparameters()
        self.num_codes = num_codes
        self.latent_dim: int = num_codes + num_noise
        self.information_weight = information_weight
        self.code_std = code_std
        self.bounded = bounded
        self.discriminator_learning_rate = discriminator_learning_rate
        self.generator: nn.Module = decoder(network, self.latent_dim, hidden, data_shape, dense)
        outputs = 1 + num_codes * (2 if code_std is None else 1)
        self.discriminator: nn.Module = lipschitz(encoder(network, data_shape, hidden, outputs, dense))

    @property
    def prior(self) -> Prior:
        """Uniform in [-1, 1], in all latents."""
        shape = (1, self.latent_dim)
        return Prior(torch.zeros(shape), 2 * torch.ones(shape), torch.ones(self.latent_dim, dtype=torch.bool))

    def latent_model(self) -> LatentModel:
        """This model as the metrics see it."""
        return InfoGANModel(self, self.latent_dim)

    def decode(self, z: Tensor) -> Tensor:
        """Generated data, ``(N, *data_shape)``."""
        return self.generator(z).sigmoid() if self.bounded else self.generator(z)

    def encode(self, x: Tensor) -> Posterior:
        """Mean and log-variance of the latents, each ``(N, d)``."""
        mean, log_variance = self.codes(self.discriminator(x))
        noise = mean.new_zeros(len(x), self.latent_dim - self.num_codes)
        return Posterior(torch.cat([mean, noise], 1), torch.cat([log_variance, noise - math.log(3)], 1))

    def codes(self, output: Tensor) -> tuple[Tensor, Tensor]:
        r"""Mean and log-variance of :math:`Q(c \mid x)`, from the discriminator's output behind its first column."""
        mean, *log_variance = output[:, 1:].split(self.num_codes, dim=1)
        fixed = 2 * math.log(self.code_std or 1.0)
        return mean, log_variance[0] if log_variance else torch.full_like(mean, fixed)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The losses and the information, averaged over the batch."""
        z = x.new_empty(len(x), self.latent_dim).uniform_(-1, 1)
        fake = self.decode(z)
        generator = softplus(-frozen(self.discriminator)(fake)[:, 0]).mean()
        of_real, of_constant, of_fake = self.discriminator(torch.cat([x, fake.detach(), fake])).chunk(3)
        discriminator = softplus(-of_real[:, 0]).mean() + softplus(of_constant[:, 0]).mean()
        mean, log_variance = self.codes(of_fake)
        log_q = gaussian_log_density(z[:, : self.num_codes], mean, log_variance)
        information = log_q.sum(1).mean() + self.num_codes * math.log(2)
        loss = generator + discriminator - self.information_weight * information
        found = self.objective(loss, mean, log_variance)
        return {**found, "generator": generator, "discriminator": discriminator, "information": information}

    def objective(self, loss: Tensor, mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
        """The ``loss``, and what a subclass makes of it.

        Args:
            loss: of the InfoGAN.
            mean: of :math:`Q` at the generated data, ``(N, num_codes)``.
            log_variance: likewise.

        Returns:
            Scalars, averaged over the batch.
        """
        return {"loss": loss}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        generator = {"params": list(self.generator.parameters()), "lr": self.learning_rate}
        discriminator = {"params": list(self.discriminator.parameters()), "lr": self.discriminator_learning_rate}
        return torch.optim.Adam([generator, discriminator], betas=(0.5, 0.999))


class InfoGANModel(LatentModel):
    """Calls an :class:`InfoGAN`'s methods; its prior is uniform."""

    module: InfoGAN

    @property
    def prior(self) -> Prior:
        """Uniform in [-1, 1]."""
        return self.module.prior

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """The posterior that the discriminator's second half gives."""
        return self.module.encode(x)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generated data."""
        return self.module.decode(z)
