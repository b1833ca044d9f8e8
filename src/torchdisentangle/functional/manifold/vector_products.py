"""Products of a decoder's Jacobian with vectors, many at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

Decoder = Callable[..., Tensor]


class ColumnsOfJacobian:
    """Forward mode: some columns at a time, ``(t, n, D)``; the decoder itself is evaluated once for all of them."""

    data: Tensor  # (n, D), known after the first call

    def __init__(self, decode: Decoder, z: Tensor, labels: Tensor | None, compile: bool) -> None:
        self.decode = decode
        self.z = z
        self.labels = labels
        self.compile = compile

    def __call__(self, start: int, stop: int) -> Tensor:
        arguments = self.decode, self.z, self.labels, unit_vectors(start, stop, self.z)
        if self.compile:
            try:
                self.data, columns = _compiled_products()(*arguments)
                return columns
            except Exception as error:  # whatever the compiler raises; the decoder's own errors come again below
                reason = " ".join(str(error).split())[:200]
                warn_once(f"{name_of(self.decode)} cannot be compiled ({reason}); its Jacobians are computed without")
        self.data, columns = _products(*arguments)
        return columns

    def to_jacobian(self, columns: Tensor) -> Tensor:
        return columns.permute(1, 2, 0)


def _products(decode: Decoder, z: Tensor, labels: Tensor | None, tangents: Tensor) -> tuple[Tensor, Tensor]:
    """The data ``(n, D)``, and the Jacobians' products with each of the tangents ``(t, d)``: ``(t, n, D)``."""

    def push(tangent: Tensor) -> tuple[Tensor, Tensor]:
        data, column = torch.func.jvp(lambda z: decoded(decode, z, labels), (z,), (tangent.expand_as(z),))[:2]
        return data, column

    data, columns = torch.func.vmap(push)(tangents)
    return data[0], columns  # the data do not depend on the tangent; out_dims=None would break the compiler's graph


@cache
def _compiled_products() -> Callable[..., tuple[Tensor, Tensor]]:
    return torch.compile(
        _products, dynamic=False
    )  # not when this file is imported: the compiler takes seconds to import


class RowsOfJacobian:
    """Reverse mode: some rows at a time, ``(t, n, d)``."""

    def __init__(
        self,
        decode: Decoder,
        z: Tensor,
        labels: Tensor | None,
        cotangents: Callable[[int, int], Tensor],
        differentiable: bool,
    ) -> None:
        with torch.enable_grad():
            self.z: Tensor = z if z.requires_grad else z.detach().requires_grad_()
            self.data: Tensor = decoded(decode, self.z, labels)
        self.cotangents = cotangents
        self.differentiable = differentiable

    def __call__(self, start: int, stop: int) -> Tensor:
        if not self.data.requires_grad:  # the decoder ignores its latents
            return self.data.new_zeros(stop - start, *self.z.shape)
        cotangents = self.cotangents(start, stop)
        try:
            rows = torch.func.vmap(self._pull)(cotangents)
        except RuntimeError:  # some backward passes cannot be batched; one at a time works for all
            rows = torch.stack([self._pull(cotangent) for cotangent in cotangents])
        return rows.to(self.data.dtype)

    def _pull(self, cotangent: Tensor) -> Tensor:
        return torch.autograd.grad(
            self.data,
            self.z,
            cotangent.expand_as(self.data),
            retain_graph=True,
            create_graph=self.differentiable,
            materialize_grads=True,
        )[0]

    def to_jacobian(self, rows: Tensor) -> Tensor:
        return rows.transpose(0, 1)


def decoded(decode: Decoder, z: Tensor, labels: Tensor | None) -> Tensor:
    """The decoder's data as ``(n, D)``."""
    data = decode(z) if labels is None else decode(z, labels)
    if not isinstance(data, Tensor):
        raise TypeError(f"the decoder must return a tensor, got {type(data).__name__}")
    if data.ndim < 2 or data.shape[0] != z.shape[0] or data.numel() == 0:
        raise ValueError(
            f"the decoder must map latents (n, d) to data (n, *data_shape) with the same n and at least one "
            f"dimension; it mapped {tuple(z.shape)} to {tuple(data.shape)}"
        )
    return data.flatten(1)


def unit_vectors(start: int, stop: int, like: Tensor) -> Tensor:
    """Unit vectors ``start`` to ``stop`` of the last dimension's basis."""
    vectors = like.new_zeros(stop - start, like.shape[1])
    vectors.diagonal(start).fill_(1)
    return vectors


def name_of(decode: Decoder) -> str:
    owner = getattr(decode, "__self__", decode)
    return type(owner).__name__ if not hasattr(owner, "__qualname__") else owner.__qualname__


_warned: set[str] = set()


def warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        rank_zero_warn(message, UserWarning)
