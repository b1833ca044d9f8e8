"""The TC-GAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchdisentangle.latent_model import Posterior
from torchdisentangle.models.base import check_weights
from torchdisentangle.models.infogan import InfoGAN
from torchdisentangle.models.losses import density_ratio, joint_or_permuted_loss, permute_latents
from torchdisentangle.models.networks import MLP, Network, decoder, frozen


class TCGAN(InfoGAN):
    r"""InfoGAN with a weight on the total correlation of the codes that its data tell, which a discriminator estimates.

    .. math:: \mathcal{L} = \mathcal{L}_\mathrm{InfoGAN} + \gamma \, \mathbb{E}_{q(\hat c)}
              \Bigl[ \log \frac{T(\hat c)}{1 - T(\hat c)} \Bigr], \qquad
              q(\hat c) = \mathbb{E}_z \, Q(\hat c \mid G(z))

    The codes that go into :math:`G` are independent; those that :math:`Q` recovers, :math:`\hat c`, need not be. The
    latent discriminator's :math:`T(\hat c)` is its probability that :math:`\hat c` comes from :math:`q(\hat c)` and not
    from :math:`\prod_i q(\hat c_i)`, of which the same batch gives samples, each code permuted by itself. Where it is
    optimal, the expectation is the total correlation :math:`\mathrm{KL}(q(\hat c) \,\|\, \prod_i q(\hat c_i))`. The
    model also logs ``<stage>/total_correlation``, this estimate in nats, and ``<stage>/latent_discriminator``, the
    cross entropy that the latent discriminator minimises: :math:`\log 2` if it cannot tell the two apart.

    The paper calls the independent codes the atomic level, and latents made from them, which may depend on each other,
    the complex level. With ``num_complex``, a network makes complex latents from the codes, and the generator gets
    them beside the codes and the noise. No loss constrains them, and they are no latents of the latent model.

    Sources: the paper's abstract and the authors' code with its summary could be read, the paper's equations could not.
    The total correlation is as in their code with a discriminator; their other estimator, minibatch weighted sampling,
    is not offered. In their code the latent discriminator's loss also changes the generator and :math:`Q`, towards
    dependent codes; here it does not. Their code has no complex level: this one is a reading of the idea.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        num_codes: number of latents that the data are to tell, the atomic level.
        num_noise: number of the other latents.
        num_complex: number of complex latents; 0: none.
        total_correlation_weight: :math:`\gamma`. The authors' code has 0.01 for the ``information_weight``, and for
            this one 0.001 with a discriminator, 0.001 to 0.03 with minibatch weighted sampling.
        latent_discriminator_hidden: widths of the latent discriminator's hidden layers.
        latent_discriminator_learning_rate: of its Adam, whose betas are (0.5, 0.999).
        network: ``"mlp"`` or ``"conv"``.
        hidden: as for :class:`~torchdisentangle.models.InfoGAN`.
        dense: as for :class:`~torchdisentangle.models.InfoGAN`.
        kwargs: as for :class:`~torchdisentangle.models.InfoGAN`: ``information_weight``, ``code_std``, ``bounded``,
            ``learning_rate``, ``discriminator_learning_rate``.

    Raises:
        ValueError: for a negative weight or number, and as :class:`~torchdisentangle.models.InfoGAN`.

    Reference:
        Wang & Yao, *Independence Constrained Disentangled Representation Learning from Epistemological Perspective*,
        2024; of the estimate, Kim & Mnih, *Disentangling by Factorising*, ICML 2018.

    Example:
        >>> model = TCGAN(data_shape=(1, 8, 8), num_codes=2, num_noise=3, latent_discriminator_hidden=[16])
        >>> sorted(model.terms(torch.rand(4, 1, 8, 8)))
        ['discriminator', 'generator', 'information', 'latent_discriminator', 'loss', 'total_correlation']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_codes: int = 5,
        num_noise: int = 5,
        num_complex: int = 0,
        total_correlation_weight: float = 0.01,
        latent_discriminator_hidden: Sequence[int] = (1000,) * 5,
        latent_discriminator_learning_rate: float = 1e-3,
        network: Network = "mlp",
        hidden: Sequence[int] | None = None,
        dense: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, num_codes, num_noise, network=network, hidden=hidden, dense=dense, **kwargs)
        check_weights(total_correlation_weight=total_correlation_weight, num_complex=num_complex)
        self.total_correlation_weight = total_correlation_weight
        self.latent_discriminator_learning_rate = latent_discriminator_learning_rate
        if num_complex:
            of_both_levels = decoder(network, self.latent_dim + num_complex, hidden, data_shape, dense)
            self.generator: nn.Module = nn.Sequential(ComplexLevel(num_codes, num_complex), of_both_levels)
        self.latent_discriminator: MLP = MLP([num_codes, *latent_discriminator_hidden, 2], lambda: nn.LeakyReLU(0.2))

    def objective(self, loss: Tensor, mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
        recovered = Posterior(mean, log_variance).sample(torch.randn_like(mean))
        total_correlation = density_ratio(frozen(self.latent_discriminator)(recovered)).mean()
        constant = recovered.detach()
        joint, permuted = self.latent_discriminator(torch.cat([constant, permute_latents(constant)])).chunk(2)
        return {
            "loss": loss + self.total_correlation_weight * total_correlation,
            "total_correlation": total_correlation,
            "latent_discriminator": joint_or_permuted_loss(joint, permuted),
        }

    def training_loss(self, terms: dict[str, Tensor]) -> Tensor:
        return terms["loss"] + terms["latent_discriminator"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = super().configure_optimizers()
        parameters = list(self.latent_discriminator.parameters())
        optimizer.add_param_group({"params": parameters, "lr": self.latent_discriminator_learning_rate})
        return optimizer


class ComplexLevel(nn.Module):
    """Latents, followed by complex ones that a network makes from the codes among them.

    Args:
        num_codes: number of codes, the first latents.
        num_complex: number of complex latents.
        hidden: width of the network's hidden layer.

    Example:
        >>> ComplexLevel(num_codes=2, num_complex=4)(torch.zeros(1, 5)).shape
        torch.Size([1, 9])
    """

    def __init__(self, num_codes: int, num_complex: int, hidden: int = 64) -> None:
        super().__init__()
        self.num_codes: int = num_codes
        self.network: MLP = MLP([num_codes, hidden, num_complex])

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z, self.network(z[:, : self.num_codes])], dim=1)
