"""Shapes and sizes of the shared networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchdisentangle.models.networks import MLP, decoder, encoder, frozen, lipschitz


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (1, 28, 28), (1, 64, 64)])
def test_encoder_and_decoder_fit_each_other_at_any_size(network: str, shape: tuple[int, ...]) -> None:
    x = torch.rand(2, *shape)
    z = encoder(network, shape, None, 6)(x)  # type: ignore[arg-type]
    assert z.shape == (2, 6)
    assert decoder(network, 6, None, shape)(z).shape == x.shape  # type: ignore[arg-type]


def sizes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for name, p in module.named_parameters() if name.endswith("weight")]


def test_default_networks_are_those_of_the_reference_set_up() -> None:
    layers = encoder("conv", (1, 64, 64), None, 20)
    convolutions = [(32, 1, 4, 4), (32, 32, 4, 4), (64, 32, 4, 4), (64, 64, 4, 4)]
    assert sizes(layers) == [*convolutions, (256, 1024), (20, 256)]
    assert all(layer.stride == (2, 2) for layer in layers.modules() if isinstance(layer, nn.Conv2d))
    mirrored = [(64, 64, 4, 4), (64, 32, 4, 4), (32, 32, 4, 4), (32, 1, 4, 4)]
    assert sizes(decoder("conv", 10, None, (1, 64, 64))) == [(256, 10), (1024, 256), *mirrored]
    assert sizes(encoder("conv", (1, 16, 16), None, 20)) == [*convolutions[:2], (256, 512), (20, 256)]


def test_no_dense_layer_and_no_convolution() -> None:
    assert sizes(encoder("conv", (1, 8, 8), [4], 3, dense=0)) == [(4, 1, 4, 4), (3, 64)]
    assert decoder("conv", 3, [], (1, 5, 5))(torch.zeros(2, 3)).shape == (2, 1, 5, 5)


@pytest.mark.parametrize(
    ("network", "shape", "hidden", "message"),
    [
        ("conv", (1, 12, 12), [4, 4, 4], r"divided by 8 are needed, got \(1, 12, 12\)"),
        ("conv", (1, 5, 5), None, "divided by 2"),
        ("conv", (12,), [4], "images"),
        ("resnet", (1, 8, 8), [4], "'mlp' or 'conv', got 'resnet'"),
    ],
)
def test_what_does_not_fit_is_refused(network: str, shape: tuple[int, ...], hidden: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(network, shape, hidden, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        decoder(network, 2, hidden, shape)  # type: ignore[arg-type]


def test_frozen_is_the_same_function_of_the_input() -> None:
    module, x = MLP([3, 8, 2]), torch.randn(5, 3, requires_grad=True)
    (live,) = torch.autograd.grad(module(x).sum(), x)
    frozen(module)(x).sum().backward()
    torch.testing.assert_close(x.grad, live)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_lipschitz_networks_never_stretch_distances() -> None:
    torch.manual_seed(0)
    module = encoder("mlp", (6,), [16, 16], 4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 10
    lipschitz(module)
    x, y = torch.randn(2, 500, 6)
    for _ in range(20):  # each forward in training refines the singular values by a power iteration
        module(x)
    stretch = (module(x) - module(y)).norm(dim=1) / (x - y).norm(dim=1)
    assert stretch.max() < 1.1**3 * 1.01  # SiLU's steepest slope is 1.1
