"""Encoder and decoder networks that the models share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

Network = Literal["mlp", "conv"]
WIDTHS = (256, 256)
CHANNELS = (32, 32, 64, 64)  # from 64x64 to 4x4 pixels, as in Locatello et al.; smaller images need fewer


class MLP(nn.Sequential):
    """Fully connected network.

    Args:
        sizes: width of the input, of each hidden layer, and of the output.
        activation: makes what is between two layers.

    Example:
        >>> len(MLP([2, 16, 16, 3]))
        5
    """

    def __init__(self, sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.SiLU) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), activation()]
        super().__init__(*layers[:-1])


def encoder(
    network: Network, data_shape: Sequence[int], hidden: Sequence[int] | None, num_outputs: int, dense: int = 256
) -> nn.Module:
    """Network from data to a vector.

    Args:
        network: ``"mlp"``, or ``"conv"`` for images whose sides can be halved ``len(hidden)`` times.
        data_shape: for images ``(channels, H, W)``.
        hidden: widths of the hidden layers, or channels of the strided convolutions with 4x4 kernels. By default
            ``(256, 256)``, or as many of ``(32, 32, 64, 64)`` as it takes to bring the image down to 4x4 pixels.
        num_outputs: width of the output.
        dense: width of a fully connected layer after the convolutions; 0: none.

    Returns:
        A module from ``(N, *data_shape)`` to ``(N, num_outputs)``.

    Raises:
        ValueError: if the network is unknown, or images cannot be halved that often.

    Example:
        >>> import torch
        >>> encoder("conv", (1, 8, 8), (4, 8), 6)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 6])
    """
    hidden = _hidden(network, data_shape, hidden)
    if network == "mlp":
        return nn.Sequential(nn.Flatten(), MLP([math.prod(data_shape), *hidden, num_outputs]))
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([data_shape[0], *hidden]):
        layers += [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), nn.SiLU()]
    features = math.prod(_smallest(data_shape, hidden))
    return nn.Sequential(*layers, nn.Flatten(), MLP([features, *_dense(dense), num_outputs]))


def decoder(
    network: Network, latent_dim: int, hidden: Sequence[int] | None, data_shape: Sequence[int], dense: int = 256
) -> nn.Module:
    """Network from latents to data: the mirror image of :func:`encoder`.

    Args:
        network: ``"mlp"`` or ``"conv"``.
        latent_dim: number of latents.
        hidden: as for the encoder, whose order is reversed.
        data_shape: for images ``(channels, H, W)``.
        dense: width of a fully connected layer before the convolutions; 0: none.

    Returns:
        A module from ``(N, latent_dim)`` to ``(N, *data_shape)``.

    Raises:
        ValueError: if the network is unknown, or images cannot be halved that often.

    Example:
        >>> import torch
        >>> decoder("conv", 6, (4, 8), (1, 8, 8))(torch.zeros(2, 6)).shape
        torch.Size([2, 1, 8, 8])
    """
    hidden = _hidden(network, data_shape, hidden)
    if network == "mlp":
        sizes = [latent_dim, *reversed(hidden), math.prod(data_shape)]
        return nn.Sequential(MLP(sizes), nn.Unflatten(1, tuple(data_shape)))
    smallest = _smallest(data_shape, hidden)
    layers: list[nn.Module] = [MLP([latent_dim, *_dense(dense), math.prod(smallest)]), nn.Unflatten(1, smallest)]
    for fan_in, fan_out in pairwise([*reversed(hidden), data_shape[0]]):
        layers += [nn.SiLU(), nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)


def frozen(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module as a function of its input alone: no gradient reaches its parameters.

    Args:
        module: any.

    Returns:
        A function that gives the module's output.

    Example:
        >>> import torch
        >>> layer, x = nn.Linear(2, 1), torch.zeros(1, 2, requires_grad=True)
        >>> frozen(layer)(x).sum().backward()
        >>> x.grad is None, layer.weight.grad is None
        (False, True)
    """
    constants = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return lambda x: functional_call(module, constants, (x,))


def lipschitz(module: nn.Module) -> nn.Module:
    """The module with all of its linear and convolutional layers divided by their largest singular value.

    A discriminator that cannot become arbitrarily steep leaves its generator a gradient.

    Args:
        module: changed in place.

    Returns:
        The same module.

    Reference:
        Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018.

    Example:
        >>> import torch
        >>> layer = lipschitz(nn.Linear(8, 8)).eval()
        >>> bool(torch.linalg.matrix_norm(layer.weight, 2) < 1.1)
        True
    """
    for layer in list(module.modules()):
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            spectral_norm(layer)
    return module


def mean_and_log_variance(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Halves of an encoder's output.

    Example:
        >>> import torch
        >>> mean_and_log_variance(torch.tensor([[1.0, 2.0]]))
        (tensor([[1.]]), tensor([[2.]]))
    """
    mean, log_variance = encoded.chunk(2, dim=1)
    return mean, log_variance


def _hidden(network: Network, data_shape: Sequence[int], hidden: Sequence[int] | None) -> Sequence[int]:
    if network not in ("mlp", "conv"):
        raise ValueError(f"network must be 'mlp' or 'conv', got {network!r}")
    if hidden is not None:
        return hidden
    if network == "mlp":
        return WIDTHS
    side, halvings = min(data_shape[1:], default=0), 0
    while side > 4 and side % 2 == 0:
        side, halvings = side // 2, halvings + 1
    return CHANNELS[: max(halvings, 1)]


def _dense(width: int) -> list[int]:
    return [width] if width else []


def _smallest(data_shape: Sequence[int], hidden: Sequence[int]) -> tuple[int, int, int]:
    factor = 2 ** len(hidden)
    if len(data_shape) != 3 or data_shape[1] % factor or data_shape[2] % factor:
        raise ValueError(
            f"images (channels, H, W) whose sides can be divided by {factor} are needed, got {tuple(data_shape)}"
        )
    return [data_shape[0], *hidden][-1], data_shape[1] // factor, data_shape[2] // factor
