"""What is found out about a module, learned from its first batch, and refused; ``test_forms.py`` tests what works."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from tests.models.results import ModelOutput, sample
from tests.models.torch_forms import DATA, LATENTS, VAE, ConvolutionalVAE, Networks, dcgan
from torchdisentangle.models import LatentModel, as_latent_model
from torchdisentangle.models.adapters.posterior import PosteriorReader

X = torch.randn(20, DATA, generator=torch.Generator().manual_seed(0))


class Returning(VAE):
    """Its ``encode`` returns what a function makes of mean and log-variance."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def encode(self, x: Tensor) -> Any:
        return self.function(*self.posterior(x))


def check(module: nn.Module, mean: Tensor, log_variance: Tensor | None, x: Tensor = X) -> LatentModel:
    model = as_latent_model(module)
    posterior = model.encode(x)
    torch.testing.assert_close(posterior.mean, mean)
    if log_variance is None:
        assert posterior.log_variance is None
    else:
        torch.testing.assert_close(posterior.log_variance, log_variance)
    return model


def test_the_place_of_the_sample_is_learned_once() -> None:
    """The first batch tells where the sample is; later ones are encoded once."""
    calls = []

    def result(mean: Tensor, log_variance: Tensor) -> Any:
        calls.append(1)
        return sample(mean, log_variance), mean, log_variance

    model = as_latent_model(Returning(result))
    for _ in range(3):
        model.encode(X)
    assert len(calls) == 4


def test_three_tensors_that_cannot_be_told_apart_are_refused() -> None:
    model = as_latent_model(Returning(lambda mean, log_variance: (mean, log_variance, mean + 1)))
    with pytest.raises(TypeError, match="which one is the sample cannot be told"):
        model.encode(X)


def test_dependent_latents_are_refused() -> None:
    covariance = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    model = as_latent_model(Returning(lambda mean, _: MultivariateNormal(mean, covariance)))
    with pytest.raises(TypeError, match="covariance is not diagonal"):
        model.encode(X)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda mean, _: {"features": mean}, r"got dict with keys \['features'\]"),
        (lambda mean, _: (mean, mean[:, :1]), r"got tuple of \(20, 2\), \(20, 1\)"),
    ],
)
def test_unknown_forms_are_named(result: Callable[[Tensor, Tensor], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_latent_model(Returning(result)).encode(X)


def test_a_standard_deviation_for_a_log_variance_is_warned_of_once() -> None:
    mean, log_variance = torch.zeros(3, 6), torch.linspace(-6, 1, 18).reshape(3, 6)
    reader = PosteriorReader("VAE")
    with pytest.warns(UserWarning, match=r"from VAE are all positive.*return Normal\(mean, std\)"):
        reader.read((mean, log_variance.exp()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.read((mean, log_variance.exp()))
        PosteriorReader("VAE").read((mean, log_variance))
        few = log_variance[:, :5].exp()  # of few latents, all may be positive by chance
        PosteriorReader("VAE").read((mean[:, :5], few))


def test_forward_without_a_posterior_is_no_encoder() -> None:
    module = Networks("reconstruction")
    model = as_latent_model(module)
    assert model.supports("decode")
    with pytest.raises(TypeError, match=r"neither its encoder nor forward.*define encode\(x\)"):
        model.require("encode")


def test_an_encoder_network_that_gives_both() -> None:
    """As those of pythae, whose ``forward`` is not for data alone."""

    class Encoder(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            mean, log_variance = super().forward(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(nn.Linear):
        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=super().forward(z))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = Encoder(DATA, 2 * LATENTS), Decoder(LATENTS, DATA)
            self.model_config = Namespace(latent_dim=LATENTS, input_dim=(DATA,))

        def forward(self, inputs: dict[str, Tensor]) -> Any:
            return ModelOutput(z=self.encoder(inputs["data"]).embedding)

    module = Model()
    encoded = module.encoder(X)
    model = check(module, encoded.embedding, encoded.log_covariance)
    z = torch.randn(3, LATENTS)
    torch.testing.assert_close(model.decode(z), module.decoder(z).reconstruction)


def with_shape(module: nn.Module, **attributes: Any) -> nn.Module:
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    ("module", "latent_dim", "side"),
    [
        (with_shape(ConvolutionalVAE(), latent_shape=(4, 8, 8)), None, 16),
        (ConvolutionalVAE(), 4 * 8 * 8, 16),
        (ConvolutionalVAE(in_channels=3, sample_size=16), None, 16),
        (ConvolutionalVAE(in_channels=3, sample_size=256), None, 256),  # tried on a smaller image
    ],
)
def test_latents_that_are_images(module: Any, latent_dim: int | None, side: int) -> None:
    model = as_latent_model(module, latent_dim=latent_dim)
    assert model.latent_dim == side**2
    x = torch.randn(2, 3, side, side)
    mean, log_variance = module.encoder(x).chunk(2, dim=1)
    posterior = model.encode(x)
    torch.testing.assert_close(posterior.mean, mean.flatten(1))
    torch.testing.assert_close(posterior.log_variance, log_variance.flatten(1))
    torch.testing.assert_close(model.decode(posterior.mean), module.decoder(mean))


def test_data_of_another_size_than_the_model_told() -> None:
    model = as_latent_model(ConvolutionalVAE(in_channels=3, sample_size=16))
    with pytest.raises(ValueError, match=r"latents of shape \(4, 4, 4\).*set latent_shape = \(4, 4, 4\)"):
        model.encode(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize(
    "name",
    ["latent_dim", "latent_dims", "latent_size", "n_latents", "num_latents", "z_dim", "z_size", "nz", "noise_dim"],
)
@pytest.mark.parametrize("place", ["attribute", "config", "model_config", "hparams", "decoder"])
def test_names_of_the_number_of_latents(name: str, place: str) -> None:
    """Where nothing tells, an identity cannot be tried either."""

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = nn.Identity()

        def decode(self, z: Tensor) -> Tensor:
            return z

    module: Any = Decoder()
    with pytest.raises(TypeError, match="how many latents Decoder has is unknown"):
        as_latent_model(module)
    number = np.int64(7)
    if place in ("attribute", "decoder"):
        setattr(module if place == "attribute" else module.decoder, name, number)
    else:
        setattr(module, place, Namespace(**{name: number}) if place == "model_config" else {name: number})
    model = as_latent_model(module)
    assert model.latent_dim == 7
    assert type(model.latent_dim) is int


@pytest.mark.parametrize("name", ["generator", "G", "netG", "gen", "G_ema"])
@pytest.mark.parametrize("told", [True, False])
def test_dcgan(name: str, told: bool) -> None:
    gan: Any = nn.Module()
    setattr(gan, name, dcgan())
    gan.netD = nn.Conv2d(3, 1, 8)
    if told:
        gan.nz = 10
    model = as_latent_model(gan.eval())
    assert (model.latent_dim, model.supports("encode")) == (10, False)
    z = torch.randn(5, 10)
    torch.testing.assert_close(model.decode(z), getattr(gan, name)(z[:, :, None, None]))


def test_averaged_weights_come_first() -> None:
    gan = nn.ModuleDict({"G": nn.Linear(2, 3), "G_ema": nn.Linear(2, 3)})
    z = torch.randn(4, 2)
    torch.testing.assert_close(as_latent_model(gan).decode(z), gan["G_ema"](z))


def test_a_trial_changes_nothing() -> None:
    class Counting(Networks):
        calls = 0

        def forward(self, x: Tensor) -> Any:
            self.calls += 1
            self.encoder.weight.data += 1
            return super().forward(x)

    module = Counting("(reconstruction, mean, log_variance, z)").train()
    module.register_buffer("seen", torch.zeros(1))
    module.calls = 0
    before, random = {name: value.clone() for name, value in module.state_dict().items()}, torch.get_rng_state()
    assert as_latent_model(module).supports("encode")
    assert (module.calls, module.training) == (0, True)
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_layers_that_are_not_built_are_not_tried() -> None:
    module: Any = nn.Module()
    module.encoder, module.decoder = nn.LazyLinear(4), nn.LazyLinear(DATA)
    with pytest.raises(TypeError, match="how many latents"):
        as_latent_model(module)
    module.latent_dim = LATENTS
    model = as_latent_model(module)
    assert not model.ready
    assert model.encode(X).log_variance is not None


ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(DATA, 4),
    "images": lambda: nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
}


@pytest.mark.parametrize("form", ENCODERS)
@pytest.mark.parametrize("how", ["network", "method", "child"])
def test_encoders_alone(form: str, how: str) -> None:
    encoder = ENCODERS[form]()

    class Contrastive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.projector = encoder, nn.Linear(4, 8)
            if how != "method":
                self.encoder = encoder

        if how == "method":

            def encode(self, x: Tensor) -> Tensor:
                return self.backbone(x)

    module = nn.Sequential(Contrastive()) if how == "child" else Contrastive()
    x = X if form == "linear" else torch.randn(20, 1, 28, 28)
    model = check(module, encoder(x), None, x)
    assert (model.latent_dim, model.supports("decode")) == (4, False)
    with pytest.raises(TypeError, match=r"Contrastive cannot decode latents: define decode\(\.\.\.\)"):
        model.require("decode")


def test_two_children_of_one_class() -> None:
    """Which of the two is meant cannot be known."""
    module = nn.ModuleDict({"first": VAE(), "second": VAE()})
    with pytest.raises(TypeError, match=r"several candidates \(first: VAE, second: VAE\)"):
        as_latent_model(module)


@pytest.mark.parametrize("encodes", [True, False])
def test_a_generator_that_is_itself_a_latent_model(encodes: bool) -> None:
    class Generator(nn.Linear):
        pass

    class Negative(LatentModel):
        def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
            return -self.module(z)

    @as_latent_model.register(Generator)
    def _(module: Generator, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
        return Negative(module, module.in_features)

    model: Any = nn.Module()
    model.generator = Generator(LATENTS, DATA)
    if encodes:
        model.encoder = nn.Linear(DATA, LATENTS)
    z, adapted = torch.randn(3, LATENTS), as_latent_model(model)
    torch.testing.assert_close(adapted.decode(z), -model.generator(z))
    assert adapted.supports("encode") == encodes
    if encodes:
        torch.testing.assert_close(adapted.encode(X).mean, model.encoder(X))


def test_an_adapter_that_leaves_encoding_out_is_named() -> None:
    class Half(LatentModel):
        def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
            return z

    with pytest.raises(TypeError, match="its method encode is not called by Half"):
        Half(VAE(), LATENTS).require("encode")
