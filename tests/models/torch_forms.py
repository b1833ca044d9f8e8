"""The ways people write VAEs, GANs, flows and encoders in torch, and the models of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

import torchdisentangle.models as package
from tests.models.form import Form, Made
from tests.models.results import posterior_result, sample
from torchdisentangle.models import LatentModel, as_latent_model

DATA, LATENTS, CLASSES = 6, 2, 3


def halves(values: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_variance = values.chunk(2, dim=1)
    return mean, log_variance


class VAE(nn.Module):
    """Encodes and decodes by methods; ``result`` is what ``encode`` returns."""

    latent_dim = LATENTS

    def __init__(self, result: str = "(mean, log_variance)") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.back, self.result = nn.Linear(DATA, 2 * LATENTS), nn.Linear(LATENTS, DATA), result

    def encode(self, x: Tensor) -> Any:
        return posterior_result(self.result, *self.posterior(x))

    def decode(self, z: Tensor) -> Any:
        return self.back(z)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return halves(self.body(x))


class Networks(nn.Module):
    """Encodes in ``forward`` only: a body, and heads for mean and log-variance."""

    def __init__(self, result: str = "(reconstruction, mean, log_variance)") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(DATA, 5)
        self.fc_mu, self.fc_var, self.decoder = nn.Linear(5, LATENTS), nn.Linear(5, LATENTS), nn.Linear(LATENTS, DATA)
        self.result = result

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.encoder(x)
        return self.fc_mu(hidden), self.fc_var(hidden)

    def forward(self, x: Tensor) -> Any:
        mean, log_variance = self.posterior(x)
        reconstruction = self.decoder(sample(mean, log_variance))
        loss = (reconstruction - x).square().mean()
        return posterior_result(self.result, mean, log_variance, reconstruction=reconstruction, x=x, loss=loss)


class ConditionalVAE(VAE):
    num_classes = CLASSES

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Embedding(CLASSES, DATA)

    def encode(self, x: Tensor, labels: Tensor) -> Any:
        return self.posterior(x - self.shift(labels))

    def decode(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.back(z) + self.shift(labels)


class ConvolutionalVAE(nn.Module):
    """Its latents are images, half as large as the data."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 8, 4, 2, 1), nn.ConvTranspose2d(4, 3, 4, 2, 1)
        self.config = config

    def encode(self, x: Tensor) -> Any:
        return halves(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class Affine(nn.Module):
    """An invertible map with a log-determinant."""

    latent_dim = LATENTS

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor([0.7, -0.3]))

    def encode(self, x: Tensor) -> Tensor:
        return x / self.log_scale.exp()

    def decode(self, z: Tensor) -> Tensor:
        return z * self.log_scale.exp()

    def log_det(self, z: Tensor) -> Tensor:
        return self.log_scale.sum().expand(len(z))


class Reversible(Affine):
    """FrEIA's calling convention."""

    encode = decode = log_det = None  # type: ignore[assignment]

    def forward(self, x: Tensor, rev: bool = False, jac: bool = True) -> tuple[Tensor, Tensor]:
        log_det = self.log_scale.sum().expand(len(x))
        return (x * self.log_scale.exp(), log_det) if rev else (x / self.log_scale.exp(), -log_det)


class Latent(LatentModel):
    """An adapter of a user's own."""

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return -self.module.net(z)


class Registered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(LATENTS, DATA)


class WithMethod(Registered):
    def latent_model(self) -> LatentModel:
        return Latent(self, LATENTS)


@as_latent_model.register(Registered)
def _(module: Registered, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
    return Latent(module, LATENTS)


class HasLightning(L.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.loss, self.model = nn.MSELoss(), model


class ConditionalGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(LATENTS + CLASSES, DATA)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.net(torch.cat([z, one_hot(labels, CLASSES).to(z)], 1))


def module_of(**parts: Any) -> Any:
    """A module with these networks, methods and attributes, and no others."""
    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def vae(wrap: Callable[[nn.Module], nn.Module] = lambda module: module) -> Made:
    module = VAE()
    return Made(wrap(module), module.posterior, module.back)


def autoencoder() -> Made:
    module = VAE("mean")
    return Made(module, lambda x: (module.posterior(x)[0], None), module.back)


def affine(build: type[Affine]) -> Made:
    module = build()
    scale = module.log_scale.exp()
    return Made(module, lambda x: (x / scale, None), lambda z: z * scale, data_shape=(LATENTS,))


def conditional_vae() -> Made:
    module = ConditionalVAE()
    return Made(module, module.encode, module.decode, settings={"num_classes": CLASSES})


def mixed() -> Made:
    module = VAE()
    return Made(module_of(encode=module.encode, decoder=module.back), module.posterior, module.back)


def networks() -> Made:
    encoder, decoder = nn.Linear(DATA, LATENTS), nn.Linear(LATENTS, DATA)
    return Made(module_of(encoder=encoder, decoder=decoder), lambda x: (encoder(x), None), decoder)


def wide_networks() -> Made:
    encoder, decoder = nn.Linear(DATA, 2 * LATENTS), nn.Linear(LATENTS, DATA)
    return Made(module_of(encoder=encoder, decoder=decoder), lambda x: halves(encoder(x)), decoder)


def returning_networks() -> Made:
    class Encoder(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            return halves(super().forward(x))

    encoder, decoder = Encoder(DATA, 2 * LATENTS), nn.Linear(LATENTS, DATA)
    return Made(module_of(encoder=encoder, decoder=decoder), encoder, decoder)


def forward_alone() -> Made:
    module = Networks()
    return Made(module, module.posterior, module.decoder)


def image_latents(attributes: dict[str, Any], **settings: int) -> Made:
    module = ConvolutionalVAE()
    for name, value in attributes.items():
        setattr(module, name, value)
    return Made(
        module,
        lambda x: tuple(part.flatten(1) for part in halves(module.encoder(x))),  # type: ignore[arg-type, return-value]
        lambda z: module.decoder(z.reshape(-1, 4, 8, 8)),
        (3, 16, 16),
        256,
        settings,
    )


def decoder_alone(name: str) -> Made:
    network = nn.Linear(LATENTS, DATA)
    return Made(module_of(**{name: network}), decode=network)


def bigan() -> Made:
    encoder, generator = nn.Linear(DATA, LATENTS), nn.Linear(LATENTS, DATA)
    return Made(module_of(encoder=encoder, generator=generator), lambda x: (encoder(x), None), generator)


def conditional_gan() -> Made:
    generator = ConditionalGenerator()
    module = module_of(generator=generator, discriminator=nn.Linear(DATA, 1), latent_dim=LATENTS)
    return Made(module, decode=generator, settings={"num_classes": CLASSES})


def dcgan(channels: int = 3, latents: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose2d(latents, 8, 4, 1, 0),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, channels, 4, 2, 1),
    )


def dcgan_of(name: str) -> Made:
    network = dcgan()
    module = module_of(**{name: network}, netD=nn.Conv2d(3, 1, 8))
    return Made(module, decode=lambda z: network(z[:, :, None, None]), latent_dim=10)


def encoder_alone(name: str) -> Made:
    network = nn.Linear(DATA, 4)
    return Made(module_of(**{name: network}, projector=nn.Linear(4, 8)), lambda x: (network(x), None), latent_dim=4)


def adapted(build: type[Registered]) -> Made:
    module = build()
    return Made(module, decode=lambda z: -module.net(z))


def wrapped(wrapper: str) -> Made:
    wrappers: dict[str, Callable[[Any], nn.Module]] = {
        "torch.compile": lambda module: torch.compile(module, backend="eager"),  # type: ignore[return-value]
        "nn.DataParallel": nn.DataParallel,
        "LightningModule": HasLightning,
        "nn.Sequential": nn.Sequential,
    }
    return vae(wrappers[wrapper])


def of_package(name: str) -> Made:
    module = getattr(package, name)(data_shape=(DATA,), latent_dim=LATENTS, hidden=[8])
    return Made(module, None if name == "WGANGP" else module.encode, module.decode)


def infogan() -> Made:
    module = package.InfoGAN(data_shape=(DATA,), num_codes=1, num_noise=1, hidden=[8])
    return Made(module, module.encode, module.decode)


def flow_module() -> Made:
    flow: Any = package.real_nvp(LATENTS)
    module = package.NormalizingFlowModule(flow)
    return Made(module, lambda x: (flow.inverse(x), None), flow.forward, (LATENTS,))


FORMS = [
    Form("methods `encode` and `decode`", vae),
    Form("the same, without a variance", autoencoder, "mean only"),
    Form("the same, without a variance, and a method `log_det`", lambda: affine(Affine), "mean only", log_det=True),
    Form(
        "methods `encode(x, labels)` and `decode(z, labels)`", conditional_vae, note="`num_classes=`, or an attribute"
    ),
    Form("a method `encode` and a network `decoder`", mixed),
    Form("networks `encoder` and `decoder`", networks, "mean only"),
    Form("the same, and `encoder` gives means and log-variances side by side", wide_networks),
    Form("the same, and `encoder` returns one of the results below", returning_networks),
    Form("`forward` returns `(reconstruction, mean, log_variance)`, and a network `decoder`", forward_alone),
    Form(
        "methods `encode` and `decode` of latents that are images",
        lambda: image_latents({"latent_shape": (4, 8, 8)}),
        note="set `latent_shape`",
    ),
    Form("the same, without `latent_shape`", lambda: image_latents({}, latent_dim=256), note="pass `latent_dim=`"),
    Form("{} alone, a method or a network", decoder_alone, "no", variants=("decode", "decoder")),
    Form("a network {} alone", decoder_alone, "no", variants=("generator", "G", "netG", "gen", "G_ema")),
    Form("{} of latents `(N, nz, 1, 1)`, as in DCGAN", dcgan_of, "no", variants=("generator", "netG")),
    Form("networks `encoder` and `generator`", bigan, "mean only"),
    Form("a network `generator(z, labels)`", conditional_gan, "no", note="`num_classes=`, or an attribute"),
    Form(
        "{} alone, a method or a network, as of contrastive models and ICA",
        encoder_alone,
        "mean only",
        decodes=False,
        variants=("encode", "encoder", "embed"),
    ),
    Form("`forward(x, rev=False)`, as in FrEIA", lambda: affine(Reversible), "mean only", log_det=True),
    Form("a method `latent_model()`", lambda: adapted(WithMethod), "no", note="abilities are those of its adapter"),
    Form("a registered class", lambda: adapted(Registered), "no", note="likewise; comes before all others"),
    Form(
        "one of these inside of {}",
        wrapped,
        variants=("torch.compile", "nn.DataParallel", "LightningModule", "nn.Sequential"),
        note="or DDP, or Fabric; of a module that holds several, pass one",
    ),
    Form(
        "{} of this package",
        of_package,
        variants=("VAE", "BetaVAE", "BetaTCVAE", "FactorVAE", "DIPVAE", "AnnealedVAE", "AdaGVAE", "AdaMLVAE"),
    ),
    Form("`InfoGAN` of this package", infogan),
    Form("`WGANGP` of this package", lambda: of_package("WGANGP"), "no"),
    Form("`NormalizingFlowModule` of this package", flow_module, "mean only", log_det=True),
]
"""All forms in torch."""
