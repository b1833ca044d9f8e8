"""Looking at a model in training without changing anything about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Inside this context a module can be evaluated; afterwards everything is as it was.

    The module is in eval mode and in full precision, gradients and autocast are off, and tensors are ordinary ones even
    in Lightning's inference mode. Restored at the end: the mode of every submodule, the values of all parameters and
    buffers (some layers initialise or update themselves when they are called), the random number generators of torch,
    numpy and Python, and the storage of half-precision weights.

    Args:
        module: the model; for a :class:`~lightning.LightningModule` all of it.

    Example:
        >>> module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()).bfloat16().train()
        >>> with undisturbed(module):
        ...     _ = module(torch.ones(4, 2))
        >>> module.training, module[0].weight.dtype
        (True, torch.bfloat16)
    """
    training = {submodule: submodule.training for submodule in module.modules()}
    device_type = next((tensor.device.type for tensor in _tensors(module)), "cpu")
    with (
        isolate_rng(),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(device_type, enabled=False),
        _values_kept(module),
        _full_precision(module),
    ):
        module.eval()
        try:
            yield
        finally:
            for submodule, mode in training.items():
                submodule.training = mode


@contextmanager
def _values_kept(module: nn.Module) -> Iterator[None]:
    before = [(tensor, tensor.detach().clone()) for tensor in _tensors(module)]
    buffers = [(submodule, dict(submodule._buffers)) for submodule in module.modules()]
    try:
        yield
    finally:
        for submodule, original in buffers:  # some layers assign a new tensor
            submodule._buffers.update(original)
        for tensor, value in before:
            if not torch.equal(tensor, value):
                tensor.data.copy_(value)


@contextmanager
def _full_precision(module: nn.Module) -> Iterator[None]:
    # a change of dtype in place would cut the hooks off by which distributed training averages the gradients
    half = [
        (submodule, name, tensor)
        for submodule in module.modules()
        for name, tensor in [*submodule._parameters.items(), *submodule._buffers.items()]
        if tensor is not None and not is_lazy(tensor) and tensor.dtype in (torch.float16, torch.bfloat16)
    ]
    full = {id(tensor): _full(tensor) for _, _, tensor in half}  # tied weights stay tied
    try:
        for submodule, name, tensor in half:
            setattr(submodule, name, full[id(tensor)])
        yield
    finally:
        for submodule, name, tensor in half:
            setattr(submodule, name, tensor)


def _full(tensor: Tensor) -> Tensor:
    value = tensor.detach().float()
    return nn.Parameter(value, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else value


def _tensors(module: nn.Module) -> list[Tensor]:
    return [tensor for tensor in [*module.parameters(), *module.buffers()] if not is_lazy(tensor)]
