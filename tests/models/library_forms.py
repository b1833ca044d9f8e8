"""Models of other libraries, as they are written there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from tests.models.form import Form, Made
from torchdisentangle.models import LatentModel, Posterior

CLASSES = 3


def randomised(module: nn.Module, scale: float = 0.3) -> Any:
    """Many layers start as the identity; move them away from it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += scale * torch.randn(parameter.shape, generator=generator)
    return module.double().eval()


def context_of(labels: Tensor) -> Tensor:
    return one_hot(labels, CLASSES).double()


def pythae(name: str) -> Made:
    models, kind = pytest.importorskip("pythae.models"), name.rpartition(".")[2]
    config = getattr(models, f"{kind}_Config" if "_" in kind else f"{kind}Config")
    module = getattr(models, kind)(config(input_dim=(1, 6, 6), latent_dim=3)).eval()

    def encode(x: Tensor) -> tuple[Tensor, Tensor | None]:
        encoded = module.encoder(x)
        return encoded.embedding, encoded.get("log_covariance")

    return Made(module, encode, lambda z: module.decoder(z).reconstruction, (1, 6, 6), 3)


def pythae_curved(name: str) -> Made:
    """Latents on a sphere, or in a ball: their spread is no variance."""
    made = pythae(name)

    def encode(x: Tensor) -> tuple[Tensor, None]:
        mean = made.module.encoder(x).embedding
        return mean / mean.norm(dim=1, keepdim=True) if name.endswith("SVAE") else mean, None

    return made._replace(encode=encode)


def autoencoder_kl(told: str) -> Made:
    diffusers = pytest.importorskip("diffusers")
    module = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        sample_size=16 if told == "sample_size" else 64,
    ).eval()
    if told == "latent_shape":
        module.latent_shape = (4, 8, 8)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        distribution = module.encode(x).latent_dist
        return distribution.mean.flatten(1), distribution.logvar.flatten(1)

    def decode(z: Tensor) -> Tensor:
        return module.decode(z.reshape(-1, 4, 8, 8)).sample

    return Made(module, encode, decode, (3, 16, 16), 256, {"latent_dim": 256} if told == "latent_dim" else {})


def normflow(*layers: Any, encodes: bool = True) -> Made:
    import normflows as nf

    module = randomised(nf.NormalizingFlow(nf.distributions.DiagGaussian(4), list(layers)))
    encode = (lambda x: (module.inverse(x), None)) if encodes else None
    return Made(module, encode, module.forward, (4,), 4)


def normflows_layers(name: str) -> Made:
    import normflows as nf

    build: dict[str, Callable[[], list[Any]]] = {
        "AffineCouplingBlock": lambda: [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 8, 4])), nf.flows.Permute(4)],
        "CoupledRationalQuadraticSpline": lambda: [nf.flows.CoupledRationalQuadraticSpline(4, 1, 8)],
        "MaskedAffineAutoregressive": lambda: [nf.flows.MaskedAffineAutoregressive(4, 8)],
        'Planar(act="leaky_relu")': lambda: [nf.flows.Planar((4,), act="leaky_relu") for _ in range(2)],
        "Planar": lambda: [nf.flows.Planar((4,)) for _ in range(2)],
        "Radial": lambda: [nf.flows.Radial((4,)) for _ in range(2)],
    }
    return normflow(*build[name](), encodes=name not in ("Planar", "Radial"))


def class_conditional() -> Made:
    import normflows as nf

    layers = [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 8, 4])), nf.flows.Permute(4)]
    module = randomised(nf.ClassCondFlow(nf.distributions.ClassCondDiagGaussian(4, CLASSES), layers))

    def encode(x: Tensor, labels: Tensor) -> tuple[Tensor, None]:
        for layer in reversed(layers):
            x = layer.inverse(x)[0]
        return x, None

    def decode(z: Tensor, labels: Tensor) -> Tensor:
        for layer in layers:
            z = layer(z)[0]
        return z

    return Made(module, encode, decode, (4,), 4)


def conditional_normflow(base: str = "DiagGaussian") -> Any:
    import normflows as nf

    q0 = {
        "DiagGaussian": lambda: nf.distributions.DiagGaussian(4),
        "ConditionalDiagGaussian": lambda: nf.distributions.base.ConditionalDiagGaussian(4, nn.Linear(CLASSES, 8)),
    }[base]()
    layers = [
        nf.flows.AutoregressiveRationalQuadraticSpline(4, 1, 8, num_context_channels=CLASSES),
        nf.flows.LULinearPermute(4),
        nf.flows.MaskedAffineAutoregressive(4, 8, context_features=CLASSES),
    ]
    return randomised(nf.ConditionalNormalizingFlow(q0, layers))


def conditional_normflows(base: str) -> Made:
    module = conditional_normflow(base)
    return Made(
        module,
        lambda x, labels: (module.inverse(x, context=context_of(labels)), None),
        lambda z, labels: module.forward(z, context=context_of(labels)),
        (4,),
        4,
        {"num_classes": CLASSES},
    )


def glow() -> Made:
    import normflows as nf

    layers = [[nf.flows.GlowBlock(4 * 2, 16), nf.flows.Squeeze()], [nf.flows.GlowBlock(4, 16), nf.flows.Squeeze()]]
    bases = [nf.distributions.GlowBase((8, 2, 2)), nf.distributions.GlowBase((2, 4, 4))]
    module = nf.MultiscaleFlow(bases, layers, [nf.flows.Merge()], class_cond=False)
    module.inverse_and_log_det(torch.randn(64, 1, 8, 8))  # initialises the activation normalisations
    randomised(module, 0.1)

    def encode(x: Tensor) -> tuple[Tensor, None]:
        return torch.cat([level.flatten(1) for level in module.inverse_and_log_det(x)[0]], 1), None

    def decode(z: Tensor) -> Tensor:
        levels = [z[:, :32].reshape(-1, 8, 2, 2), z[:, 32:].reshape(-1, 2, 4, 4)]
        return module.forward_and_log_det(levels)[0]

    return Made(module, encode, decode, (1, 8, 8), 64)


def zuko_flow(kind: str, **settings: Any) -> Any:
    import zuko

    if not hasattr(zuko.flows, kind):
        pytest.skip(f"this version of zuko has no {kind}")
    return randomised(getattr(zuko.flows, kind)(4, transforms=2, hidden_features=(8,), **settings))


def zuko(name: str) -> Made:
    module = zuko_flow(name.rpartition(".")[2])
    return Made(module, lambda x: (module().transform(x), None), lambda z: module().transform.inv(z), (4,), 4)


def zuko_with_labels() -> Made:
    module = zuko_flow("NSF", context=CLASSES)
    return Made(
        module,
        lambda x, labels: (module(context_of(labels)).transform(x), None),
        lambda z, labels: module(context_of(labels)).transform.inv(z),
        (4,),
        4,
        {"num_classes": CLASSES},
    )


class AtContext(LatentModel):
    """A zuko flow at one context."""

    def __init__(self, flow: Any, context: Tensor) -> None:
        super().__init__(flow, latent_dim=flow(context).base.event_shape[0])
        self.flow = flow(context)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        return Posterior(self.flow.transform(x))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.flow.transform.inv(z)

    def log_det(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.flow.transform.inv.call_and_ladj(z)[1]


def zuko_at_context() -> Made:
    module, context = zuko_flow("NSF", context=2), torch.tensor([0.3, -1.2], dtype=torch.float64)
    return Made(
        AtContext(module, context),
        lambda x: (module(context.expand(len(x), 2)).transform(x), None),
        lambda z: module(context.expand(len(z), 2)).transform.inv(z),
        (4,),
        4,
    )


def nflows_flow(context: int | None = None) -> Any:
    flows, transforms = pytest.importorskip("nflows.flows.base"), pytest.importorskip("nflows.transforms")
    normal = pytest.importorskip("nflows.distributions.normal")
    layers = [
        transforms.ReversePermutation(4),
        transforms.MaskedAffineAutoregressiveTransform(4, 8, context_features=context),
        transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            4, 8, context_features=context, tails="linear", tail_bound=5.0
        ),
    ]
    base = normal.DiagonalNormal([4]) if context is None else normal.StandardNormal([4])
    return randomised(flows.Flow(transforms.CompositeTransform(layers), base))


def nflows() -> Made:
    module = nflows_flow()
    inverse = module._transform.inverse
    return Made(module, lambda x: (module.transform_to_noise(x), None), lambda z: inverse(z)[0], (4,), 4)


def nflows_with_labels() -> Made:
    module = nflows_flow(CLASSES)
    return Made(
        module,
        lambda x, labels: (module.transform_to_noise(x, context_of(labels)), None),
        lambda z, labels: module._transform.inverse(z, context_of(labels))[0],
        (4,),
        4,
        {"num_classes": CLASSES},
    )


def subnet(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def freia_network(kind: str, size: int | None) -> Any:
    """A network of two coupling blocks, with a condition of that size."""
    framework, blocks = pytest.importorskip("FrEIA.framework"), pytest.importorskip("FrEIA.modules")
    settings = {"subnet_constructor": subnet}
    if kind == "SequenceINN":
        network = framework.SequenceINN(4)
        for _ in range(2):
            condition = {} if size is None else {"cond": 0, "cond_shape": (size,)}
            network.append(blocks.GLOWCouplingBlock, **condition, **settings)
        return network
    nodes = [framework.InputNode(4)]
    conditions = [] if size is None else [framework.ConditionNode(size)]
    for _ in range(2):
        nodes.append(framework.Node(nodes[-1], blocks.GLOWCouplingBlock, settings, conditions=conditions))
    return framework.GraphINN([*nodes, *conditions, framework.OutputNode(nodes[-1])])


def freia(kind: str) -> Made:
    module = randomised(freia_network(kind.rpartition(".")[2], None))
    return Made(module, lambda x: (module(x)[0], None), lambda z: module(z, rev=True)[0], (4,), 4)


def freia_with_labels(kind: str) -> Made:
    module = randomised(freia_network(kind, CLASSES))
    return Made(
        module,
        lambda x, labels: (module(x, c=[context_of(labels)])[0], None),
        lambda z, labels: module(z, c=[context_of(labels)], rev=True)[0],
        (4,),
        4,
        {"num_classes": CLASSES},
    )


PYTHAE = ("VAE", "BetaVAE", "BetaTCVAE", "FactorVAE", "DisentangledBetaVAE")
NO_PRIOR = "metrics that need its prior are refused"
FLOW: dict[str, Any] = {"encodes": "mean only", "log_det": True}
REFUSED: dict[str, Any] = {"note": "subclass `LatentModel`, as below"}

FORMS = [
    Form("{}", pythae, variants=tuple(f"pythae.models.{name}" for name in PYTHAE)),
    Form("{}", pythae, "mean only", variants=("pythae.models.AE",)),
    Form("{}", pythae, note=NO_PRIOR, variants=("pythae.models.VAMP",)),
    Form("{}", pythae_curved, "mean only", note=NO_PRIOR, variants=("pythae.models.SVAE", "pythae.models.PoincareVAE")),
    Form(
        "{}", pythae, "no", note="no Gaussian posterior", variants=("pythae.models.VAE_IAF", "pythae.models.VAE_LinNF")
    ),
    Form(
        "`diffusers.AutoencoderKL`",
        lambda: autoencoder_kl("sample_size"),
        note="data of the config's `sample_size`",
    ),
    Form(
        "the same, of other data, and {} tells the size of latents",
        autoencoder_kl,
        variants=("latent_shape", "latent_dim"),
        note="an attribute; an argument",
    ),
    Form(
        "`normflows.NormalizingFlow` of {}",
        normflows_layers,
        variants=(
            "AffineCouplingBlock",
            "CoupledRationalQuadraticSpline",
            "MaskedAffineAutoregressive",
            'Planar(act="leaky_relu")',
        ),
        **FLOW,
    ),
    Form(
        "the same, of {}", normflows_layers, "no", log_det=True, variants=("Planar", "Radial"), note="have no inverse"
    ),
    Form("`normflows.MultiscaleFlow` (Glow)", glow, note="a batch must have initialised `ActNorm`", **FLOW),
    Form("`normflows.ClassCondFlow`", class_conditional, **FLOW),
    Form(
        "`normflows.ConditionalNormalizingFlow` on {}, labels as context",
        conditional_normflows,
        variants=("DiagGaussian", "ConditionalDiagGaussian"),
        note="one-hot; `num_classes=`",
        **FLOW,
    ),
    Form(
        "the same, another context",
        lambda: Made(conditional_normflow()),
        refused="context of this ConditionalNormalizingFlow .*subclass LatentModel",
        **REFUSED,
    ),
    Form("{}", zuko, variants=tuple(f"zuko.flows.{name}" for name in ("NICE", "RealNVP", "MAF", "NSF")), **FLOW),
    Form("the same, labels as context", zuko_with_labels, note="one-hot; `num_classes=`", **FLOW),
    Form(
        "the same, a context of real numbers",
        lambda: Made(zuko_flow("NSF", context=2)),
        refused="without context .*any other context subclass LatentModel",
        **REFUSED,
    ),
    Form("the same, at one context", zuko_at_context, note="a `LatentModel`, as below", **FLOW),
    Form("`nflows.flows.base.Flow`", nflows, **FLOW),
    Form("the same, labels as context", nflows_with_labels, note="one-hot; `num_classes=`", **FLOW),
    Form(
        "the same, another context",
        lambda: Made(nflows_flow(2)),
        refused="cannot be called without context .* subclass LatentModel",
        **REFUSED,
    ),
    Form("{}", freia, variants=("FrEIA.framework.SequenceINN", "FrEIA.framework.GraphINN"), **FLOW),
    Form(
        "the same, {}, labels as condition",
        freia_with_labels,
        variants=("SequenceINN", "GraphINN"),
        note="one-hot; `num_classes=`",
        **FLOW,
    ),
    Form(
        "the same, other conditions",
        lambda: Made(freia_network("GraphINN", 2)),
        refused="GraphINN has conditions: .* subclass LatentModel",
        **REFUSED,
    ),
]
"""All forms of other libraries."""
