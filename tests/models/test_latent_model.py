"""The protocol, duck typing, registration, and what is said when a module is no latent model."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Laplace, Normal

from torchdisentangle.models import LatentModel, Posterior, as_latent_model


class Autoencoder(nn.Module):
    latent_dim = 2

    def __init__(self, posterior: object = None) -> None:
        super().__init__()
        self.posterior = posterior

    def encode(self, x: Tensor) -> object:
        return self.posterior

    def decode(self, z: Tensor) -> Tensor:
        return z.repeat(1, 2)


class Decoder(nn.Module):
    z_dim = 3

    def decode(self, z: Tensor) -> Tensor:
        return z


class Gan(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.latent_dim = 3
        self.generator = nn.Linear(3, 5)
        self.discriminator = nn.Linear(5, 1)


class Shift(nn.Module):
    """FrEIA's calling convention: ``forward(x, rev=True)`` is the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.dims_in = [(2, 2)]
        self.scale = nn.Parameter(torch.tensor([[2.0, 3.0], [0.5, 1.0]]))

    def forward(self, x: Tensor, rev: bool = False, jac: bool = True) -> tuple[Tensor, Tensor]:
        log_det = self.scale.log().sum().expand(len(x))
        return (x / self.scale, -log_det) if not rev else (x * self.scale, log_det)


MEAN, VARIANCE = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 0.25]])


@pytest.mark.parametrize(
    "encoded",
    [
        (MEAN, VARIANCE.log()),
        Posterior(MEAN, VARIANCE.log()),
        Normal(MEAN, VARIANCE.sqrt()),
        Independent(Normal(MEAN, VARIANCE.sqrt()), 1),
    ],
)
def test_posterior_forms(encoded: object) -> None:
    posterior = as_latent_model(Autoencoder(encoded)).encode(torch.zeros(1, 4))
    torch.testing.assert_close(posterior.sample(torch.ones(1, 2)), torch.tensor([[3.0, 2.5]]))


def test_deterministic_encoder_ignores_noise() -> None:
    posterior = as_latent_model(Autoencoder(MEAN)).encode(torch.zeros(1, 4))
    torch.testing.assert_close(posterior.sample(torch.ones(1, 2)), MEAN)


def test_other_posteriors_are_refused() -> None:
    with pytest.raises(TypeError, match="got Laplace"):
        as_latent_model(Autoencoder(Laplace(MEAN, VARIANCE))).encode(torch.zeros(1, 4))


def test_distribution_from_decoder_gives_its_mean() -> None:
    class Likelihood(Decoder):
        def decode(self, z: Tensor) -> Bernoulli:
            return Bernoulli(logits=z)

    z = torch.randn(4, 3)
    torch.testing.assert_close(as_latent_model(Likelihood()).decode(z), z.sigmoid())


def test_gan_decodes_and_says_that_it_cannot_encode() -> None:
    gan = Gan()
    model = as_latent_model(gan)
    z = torch.randn(4, 3)
    torch.testing.assert_close(model.decode(z), gan.generator(z))
    with pytest.raises(TypeError, match=r"Gan cannot encode data: define encode\(\.\.\.\)"):
        model.require("decode", "encode")


def test_invertible_module() -> None:
    model = as_latent_model(Shift())
    z = torch.randn(5, 4)
    x = model.decode(z)
    assert x.shape == (5, 2, 2)
    torch.testing.assert_close(model.encode(x).mean, z)
    jacobian = torch.func.jacrev(lambda z: model.decode(z[None]).flatten())(z[0])
    torch.testing.assert_close(model.log_det(z)[0], torch.linalg.slogdet(jacobian)[1])
    model.require("encode", "decode", "log_det")


def test_wrappers_are_looked_through() -> None:
    class Lightning(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.loss = nn.MSELoss()
            self.network = Decoder()

    assert as_latent_model(Lightning()).module.__class__ is Decoder
    assert as_latent_model(torch.compile(Decoder(), backend="eager")).latent_dim == 3
    assert as_latent_model(nn.DataParallel(Decoder())).latent_dim == 3
    model = as_latent_model(Decoder())
    assert as_latent_model(model) is model


def test_hook_wins() -> None:
    class WithHook(Decoder):
        def latent_model(self) -> LatentModel:
            return as_latent_model(Gan())

    assert as_latent_model(WithHook()).module.__class__ is Gan


def test_latent_dim_from_hyperparameters() -> None:
    class Module(L.LightningModule):
        def __init__(self, latent_dim: int) -> None:
            super().__init__()
            self.save_hyperparameters()

        def decode(self, z: Tensor) -> Tensor:
            return z

    assert as_latent_model(Module(7)).latent_dim == 7
    assert as_latent_model(Module(7), latent_dim=5).latent_dim == 5


def test_labels_reach_conditional_models_only() -> None:
    class Conditional(Decoder):
        def decode(self, z: Tensor, labels: Tensor) -> Tensor:
            return z + labels[:, None]

    z, labels = torch.zeros(2, 3), torch.tensor([1, 2])
    assert as_latent_model(Conditional(), num_classes=3).decode(z, labels)[:, 0].tolist() == [1.0, 2.0]
    assert as_latent_model(Decoder()).decode(z, labels).abs().max() == 0


def test_classes_of_a_classifier_make_no_conditional_decoder() -> None:
    """Many a module, or its hparams, has num_classes for something else than its decoder."""
    for module in (Autoencoder(), Gan()):
        module.num_classes = 10  # type: ignore[assignment]
        model = as_latent_model(module)
        assert model.num_classes is None
        assert len(model.decode(torch.zeros(2, model.latent_dim))) == 2

    class Conditional(Autoencoder):
        num_classes = 3

        def decode(self, z: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
            return z + labels[:, None]

    assert as_latent_model(Conditional()).num_classes == 3


def test_registration() -> None:
    class Unusual(nn.Module):
        width = 4

    class UnusualModel(LatentModel):
        def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
            return -z

    @as_latent_model.register(Unusual)
    def _(module: Unusual, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
        return UnusualModel(module, module.width)

    assert as_latent_model(Unusual()).latent_dim == 4
    assert as_latent_model(nn.Sequential(nn.Flatten(), Unusual())).decode(torch.ones(1, 4)).sum() == -4


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(2, 2), r"Linear is no latent model.*as_latent_model\.register\(Linear\)"),
        (nn.ModuleDict({"a": Gan(), "b": Decoder()}), "several candidates"),
        ("a string", "a torch module is needed, got str"),
    ],
)
def test_what_is_no_latent_model(module: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_latent_model(module)  # type: ignore[arg-type]


def test_unknown_latent_dim() -> None:
    class Unknown(nn.Module):
        def decode(self, z: Tensor) -> Tensor:
            return z

    with pytest.raises(TypeError, match=r"how many latents Unknown has is unknown.*pass latent_dim="):
        as_latent_model(Unknown())


def test_like_has_the_dtype_and_the_device_of_the_model() -> None:
    def like(module: nn.Module) -> Tensor:
        return LatentModel(module, latent_dim=1).like

    counter = nn.Embedding(2, 1)
    counter.register_parameter("calls", nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False))
    for module, dtype in (
        (nn.Linear(1, 1).double(), torch.float64),
        (nn.Linear(1, 1).bfloat16(), torch.bfloat16),
        (counter.half(), torch.float16),
        (nn.BatchNorm1d(1, affine=False).double(), torch.float64),  # buffers only
        (nn.LazyLinear(1, dtype=torch.float64), torch.float64),
        (nn.Identity(), torch.float32),
    ):
        assert like(module).dtype == dtype
        assert like(module).shape == (0,)
        assert like(module).device.type == "cpu"
    assert like(nn.Linear(1, 1, device="meta")).device.type == "meta"


def test_a_module_that_is_not_built_yet_is_not_ready() -> None:
    model = LatentModel(nn.Sequential(nn.LazyLinear(2)), latent_dim=2)
    assert not model.ready
    model.module(torch.ones(1, 3))
    assert model.ready


def test_a_registered_class_comes_before_its_own_method() -> None:
    class Both(Decoder):
        def latent_model(self) -> LatentModel:
            raise AssertionError

    @as_latent_model.register(Both)
    def _(module: Both, *, latent_dim: int | None = None, num_classes: int | None = None) -> LatentModel:
        return LatentModel(module, latent_dim or 9)

    assert as_latent_model(Both()).latent_dim == 9
    assert as_latent_model(nn.Sequential(Both()), latent_dim=4).latent_dim == 4
