"""Densities of flows of other libraries, and what is refused; what works is in ``test_forms.py``.

Each test is skipped where its library is not installed.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.models.library_forms import (
    CLASSES,
    conditional_normflow,
    context_of,
    freia_network,
    nflows_flow,
    normflows_layers,
    pythae,
    zuko_flow,
)
from torchdisentangle import evaluate
from torchdisentangle.evaluation import DisentanglementEvaluation
from torchdisentangle.models import LatentModel, as_latent_model


def check_density(model: LatentModel, z: Tensor, labels: Tensor | None, expected: Tensor) -> None:
    """Prior and log-determinant together are the library's own log-density."""
    prior = model.prior
    row = torch.zeros(len(z), dtype=torch.int64) if labels is None or len(prior.loc) == 1 else labels
    normal = torch.distributions.Normal(prior.loc.double()[row], prior.scale.double()[row])
    # splines are inverted by solving quadratic equations, which costs digits
    torch.testing.assert_close(normal.log_prob(z).sum(1) - model.log_det(z, labels), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("kind", "num_classes"), [("SequenceINN", None), ("GraphINN", None), ("GraphINN", 5)])
def test_other_conditions_of_freia_are_refused(kind: str, num_classes: int | None) -> None:
    with pytest.raises(TypeError, match=f"{kind} has conditions: .* pass num_classes=k; .* subclass LatentModel"):
        as_latent_model(freia_network(kind, 3), num_classes=num_classes)


class Conditioned(nn.Module):
    """FrEIA's way to hold conditions, without FrEIA."""

    dims_in = ((2,),)
    conditions = (None, 0, 0)

    def forward(self, x: Tensor, c: list[Tensor], rev: bool = False, jac: bool = True) -> tuple[Tensor, Tensor]:
        scale = 1 + c[0].argmax(1, keepdim=True)
        return x / scale if not rev else x * scale, x.sum(1)


def test_conditions_of_invertible_modules() -> None:
    with pytest.raises(TypeError, match="Conditioned has conditions"):
        as_latent_model(Conditioned())
    decoded = as_latent_model(Conditioned(), num_classes=3).decode(torch.ones(2, 2), torch.tensor([0, 2]))
    assert decoded.tolist() == [[1, 1], [3, 3]]


@pytest.mark.parametrize("num_classes", [None, CLASSES])
def test_densities_of_nflows(num_classes: int | None) -> None:
    module = nflows_flow(num_classes)
    model = as_latent_model(module, num_classes=num_classes)
    x = torch.randn(4, 4, dtype=torch.float64)
    labels = None if num_classes is None else torch.tensor([0, 1, 2, 0])
    z = model.encode(x, labels).mean
    check_density(model, z, labels, module.log_prob(x, None if labels is None else context_of(labels)))


@pytest.mark.parametrize("base", ["DiagGaussian", "ConditionalDiagGaussian"])
def test_densities_of_conditional_normflows(base: str) -> None:
    module = conditional_normflow(base)
    model = as_latent_model(module, num_classes=CLASSES)
    x, labels = torch.randn(4, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    z = model.encode(x, labels).mean
    check_density(model, z, labels, module.log_prob(x, context=context_of(labels)))


@pytest.mark.parametrize(
    ("name", "prior"), [("VAMP", "mixture"), ("SVAE", "on a sphere"), ("PoincareVAE", "on the Poincaré ball")]
)
def test_other_priors_of_pythae_are_no_standard_normals(name: str, prior: str) -> None:
    """They are refused by what needs them, and codes are scored."""
    model = pythae(f"pythae.models.{name}").module
    images = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    data = DataLoader(TensorDataset(images, (images[:, 0, 0, :2] > 0.5).long()), 10)
    for evaluation in ("manifold", "elbo", "topology", "latents"):
        with pytest.raises(TypeError, match=f"the prior of {name} is .*{prior}.*, not a product of"):
            evaluate(model, data, [evaluation])
    assert "disentanglement/mig" in evaluate(model, data, [DisentanglementEvaluation(["mig"], factors=1)]).scalars


@pytest.mark.parametrize("name", ["VAE_IAF", "VAE_LinNF"])
def test_flows_in_the_posterior_of_pythae_are_not_skipped(name: str) -> None:
    """What the encoder gives is not what the decoder takes."""
    model = as_latent_model(pythae(f"pythae.models.{name}").module)
    with pytest.raises(TypeError, match=f"{name} cannot encode data: a flow makes its latents"):
        model.require("encode")


def test_what_nflows_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match=r"cannot be called without context .* needs num_classes="):
        as_latent_model(nflows_flow(2))
    flow, normal = pytest.importorskip("nflows.flows.base"), pytest.importorskip("nflows.distributions.normal")
    transform = pytest.importorskip("nflows.transforms").ReversePermutation(3)
    with pytest.raises(TypeError, match="ConditionalDiagonalNormal is not known to have independent dimensions"):
        as_latent_model(flow.Flow(transform, normal.ConditionalDiagonalNormal([3])))


def test_the_layer_without_an_inverse_is_named() -> None:
    model = as_latent_model(normflows_layers("Planar").module)
    with pytest.raises(TypeError, match="cannot encode data: its layer Planar has no algebraic inverse"):
        model.require("encode")


def test_contexts_of_another_size_are_refused() -> None:
    for module in (conditional_normflow(), zuko_flow("NSF", context=CLASSES)):
        with pytest.raises(TypeError, match=r"num_classes=.*subclass LatentModel"):
            as_latent_model(module, num_classes=CLASSES + 1)
