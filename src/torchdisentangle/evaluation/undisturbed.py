"""Looking at a model in training without changing anything about it."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

_SMALL = 2**14
"""Buffers of up to this many numbers are copied every time: layers keep there what they write."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), Tensor)
"""What modules keep in ordinary attributes and assign anew: counters, flags, running values."""

_changes: MutableMapping[Tensor, bool] = WeakTensorKeyDictionary()
"""The tensors that have been through an evaluation, and whether one of them changed them."""


@contextmanager
def undisturbed(module: nn.Module, *, rehearsal: bool = False) -> Iterator[None]:
    """Inside this context a module can be evaluated; afterwards everything is as it was.

    The module is in eval mode and in full precision, gradients and autocast are off, and tensors are ordinary ones even
    in Lightning's inference mode. At the end the context restores the mode of every submodule, all parameters and
    buffers (some layers initialise or update themselves when they are called), numbers, strings and tensors that
    modules keep in ordinary attributes and assign anew (a counter of calls), the random number generators of Python,
    numpy and torch, and the storage of half-precision weights. Layers that are built by their first call stay built.
    Other objects in ordinary attributes, such as lists, and tensors that are changed in place there, stay as they are
    left.

    The first evaluation of a module copies all its tensors and compares them at the end. Later ones copy only small
    buffers and the tensors that have changed before. If an evaluation writes to another tensor, its version number
    shows it. The old value is then lost, so a warning names the tensor, and from then on it is copied too. To prevent
    that, rehearse each kind of evaluation, such as encoding and decoding.

    Args:
        module: the model; for a :class:`~lightning.LightningModule` all of it.
        rehearsal: copy and compare all tensors again, to learn which others change.

    Example:
        >>> module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()).bfloat16().train()
        >>> with undisturbed(module):
        ...     _ = module(torch.ones(4, 2))
        >>> module.training, module[0].weight.dtype
        (True, torch.bfloat16)
    """
    modules = list(module.modules())
    tensors = _tensors(modules)
    training = [(submodule, submodule.training) for submodule in modules]
    with (
        _generators_kept(),
        torch.inference_mode(False),
        torch.no_grad(),
        _without_autocast(tensors),
        _values_kept(module, tensors, rehearsal),
        _buffers_kept(modules),
        _attributes_kept(modules),
        _full_precision(modules),
    ):
        module.eval()
        try:
            yield
        finally:
            for submodule, mode in training:
                submodule.training = mode


@contextmanager
def _generators_kept() -> Iterator[None]:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def _without_autocast(tensors: list[Tensor]) -> Any:
    device_type = tensors[0].device.type if tensors else "cpu"
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


@contextmanager
def _buffers_kept(modules: list[nn.Module]) -> Iterator[None]:
    buffers = [(submodule._buffers, dict(submodule._buffers)) for submodule in modules if submodule._buffers]
    try:
        yield
    finally:
        for current, original in buffers:  # some layers assign a new tensor
            for name, tensor in original.items():
                current[name] = tensor


@contextmanager
def _attributes_kept(modules: list[nn.Module]) -> Iterator[None]:
    before = [(vars(submodule), dict(vars(submodule))) for submodule in modules]
    try:
        yield
    finally:
        for attributes, original in before:
            for name, value in list(attributes.items()):
                if value is original.get(name) or not isinstance(value, _PLAIN):
                    continue
                if name not in original:
                    del attributes[name]
                elif isinstance(original[name], _PLAIN):
                    attributes[name] = original[name]


@contextmanager
def _values_kept(module: nn.Module, tensors: list[Tensor], rehearsal: bool) -> Iterator[None]:
    watched = [_Watched(tensor, rehearsal) for tensor in tensors]
    succeeded = False
    try:
        yield
        succeeded = True
    finally:
        for watch in watched:
            watch.restore()
            if watch.changed or (succeeded and watch.changed_before is None):  # one that failed may have seen little
                _changes[watch.tensor] = watch.changed
        lost = [watch.tensor for watch in watched if watch.lost]
        if lost:
            _warn(module, lost)


class _Watched:
    """A tensor as it was before an evaluation: its storage, its version, and a copy if it may change."""

    def __init__(self, tensor: Tensor, rehearsal: bool) -> None:
        self.tensor = tensor
        self.data = tensor.data  # holds on to the storage: some layers assign another one
        self.version = _version(tensor)
        self.changed_before = _changes.get(tensor)
        self.compared = rehearsal or self.changed_before is None
        self.copy = self.data.clone() if self.compared or self._suspected() else None
        self.changed = self.lost = False

    def restore(self) -> None:
        """Put the tensor back, and note whether it was changed, and whether its old value is lost."""
        moved, written = _place(self.tensor) != _place(self.data), _version(self.tensor) != self.version
        if moved:
            self.tensor.data = self.data
        if self.copy is None:
            self.changed = self.lost = written
        elif self.compared:  # some writes leave the version alone: those of batch normalisation, and those to .data
            self.changed = moved or written or not torch.equal(self.data, self.copy)
            if self.changed:
                self.data.copy_(self.copy)
        else:  # changed or not: to look would mean to wait for the GPU
            self.changed = written
            self.data.copy_(self.copy)

    def _suspected(self) -> bool:
        small_buffer = not isinstance(self.tensor, nn.Parameter) and self.tensor.numel() <= _SMALL
        return small_buffer or self.version is None or bool(self.changed_before)


def _version(tensor: Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


def _place(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _warn(module: nn.Module, lost: list[Tensor]) -> None:
    named = [*module.named_parameters(), *module.named_buffers()]
    names = [name for name, tensor in named if any(tensor is other for other in lost)]
    warnings.warn(
        f"evaluating {type(module).__name__} changed {', '.join(names)}, which no evaluation had changed before, so "
        "there is no copy to restore; evaluate it under undisturbed(module, rehearsal=True) before it trains",
        UserWarning,
        stacklevel=2,
    )


@contextmanager
def _full_precision(modules: list[nn.Module]) -> Iterator[None]:
    # a change of dtype in place would cut the hooks off by which distributed training averages the gradients
    half = [
        (submodule, name, tensor)
        for submodule in modules
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


def _tensors(modules: list[nn.Module]) -> list[Tensor]:
    """Parameters and buffers that have values, which those of layers not built yet and meta tensors have not."""
    members = (
        tensor
        for submodule in modules
        for tensor in [*submodule._parameters.values(), *submodule._buffers.values()]
        if tensor is not None and not is_lazy(tensor)
    )
    tensors = {id(tensor): tensor for tensor in members}
    return [tensor for tensor in tensors.values() if tensor.layout is torch.strided and not tensor.is_meta]
