"""Encoder and decoder networks that the models share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

Network = Literal["mlp", "conv"]


class MLP(nn.Sequential):
    """Fully connected network with SiLU between its layers.

    Args:
        sizes: width of the input, of each hidden layer, and of the output.

    Example:
        >>> len(MLP([2, 16, 16, 3]))
        5
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        super().__init__(*layers[:-1])


def encoder(network: Network, data_shape: Sequence[int], hidden: Sequence[int], num_outputs: int) -> nn.Module:
    """Network from data to a vector.

    Args:
        network: ``"mlp"``, or ``"conv"`` for images whose sides can be halved ``len(hidden)`` times.
        data_shape: for images ``(channels, H, W)``.
        hidden: widths of the hidden layers, or channels of the strided convolutions.
        num_outputs: width of the output.

    Returns:
        A module from ``(N, *data_shape)`` to ``(N, num_outputs)``.

    Raises:
        ValueError: if images cannot be halved that often.

    Example:
        >>> import torch
        >>> encoder("conv", (1, 8, 8), (4, 8), 6)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 6])
    """
    if network == "mlp":
        return nn.Sequential(nn.Flatten(), MLP([math.prod(data_shape), *hidden, num_outputs]))
    channels = [data_shape[0], *hidden]
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(channels, hidden, strict=False):
        layers += [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(math.prod(_smallest(data_shape, hidden)), num_outputs))


def decoder(network: Network, latent_dim: int, hidden: Sequence[int], data_shape: Sequence[int]) -> nn.Module:
    """Network from latents to data: the mirror image of :func:`encoder`.

    Args:
        network: ``"mlp"`` or ``"conv"``.
        latent_dim: number of latents.
        hidden: as for the encoder, whose order is reversed.
        data_shape: for images ``(channels, H, W)``.

    Returns:
        A module from ``(N, latent_dim)`` to ``(N, *data_shape)``.

    Raises:
        ValueError: if images cannot be halved that often.

    Example:
        >>> import torch
        >>> decoder("conv", 6, (4, 8), (1, 8, 8))(torch.zeros(2, 6)).shape
        torch.Size([2, 1, 8, 8])
    """
    if network == "mlp":
        sizes = [latent_dim, *reversed(hidden), math.prod(data_shape)]
        return nn.Sequential(MLP(sizes), nn.Unflatten(1, tuple(data_shape)))
    smallest = _smallest(data_shape, hidden)
    layers: list[nn.Module] = [nn.Linear(latent_dim, math.prod(smallest)), nn.Unflatten(1, smallest)]
    channels = [*reversed(hidden), data_shape[0]]
    for fan_in, fan_out in pairwise(channels):
        layers += [nn.SiLU(), nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)


def mean_and_log_variance(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Halves of an encoder's output.

    Example:
        >>> import torch
        >>> mean_and_log_variance(torch.tensor([[1.0, 2.0]]))
        (tensor([[1.]]), tensor([[2.]]))
    """
    mean, log_variance = encoded.chunk(2, dim=1)
    return mean, log_variance


def _smallest(data_shape: Sequence[int], hidden: Sequence[int]) -> tuple[int, int, int]:
    factor = 2 ** len(hidden)
    if len(data_shape) != 3 or data_shape[1] % factor or data_shape[2] % factor:
        raise ValueError(
            f"images (channels, H, W) whose sides can be divided by {factor} are needed, got {tuple(data_shape)}"
        )
    return hidden[-1], data_shape[1] // factor, data_shape[2] // factor
