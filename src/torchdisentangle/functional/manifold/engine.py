"""Evaluates the Jacobians of a decoder, or their products with given vectors, some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from torchdisentangle.functional.device import Answer, Sizes, sizes_of
from torchdisentangle.functional.manifold.decoder_memory import Footprint, reuse_freed_memory, with_footprint
from torchdisentangle.functional.manifold.vector_products import (
    ColumnsOfJacobian,
    Decoder,
    RowsOfJacobian,
    decoded,
    name_of,
    unit_vectors,
    warn_once,
)

JacobianMode = Literal["auto", "forward", "reverse"]
ChunkSize = int | Literal["auto"]


class Cotangents(Protocol):
    """What Jacobians are multiplied with from the left in reverse mode."""

    def number(self, data_size: int) -> int:
        """How many there are for each sample, given ``D``; raises a ValueError if they do not fit the data."""

    def of_rows(self, rows: slice, start: int, stop: int, like: Tensor) -> Tensor:
        """Cotangents ``start`` to ``stop`` of some rows, ``(t, n or 1, D)``; ``like`` are data, ``(..., D)``."""


class UnitVectors:
    """All unit vectors of the data space: the products are the Jacobians themselves."""

    def number(self, data_size: int) -> int:
        """As many as data dimensions."""
        return data_size

    def of_rows(self, rows: slice, start: int, stop: int, like: Tensor) -> Tensor:
        """``(t, 1, D)``, the same for all rows."""
        return unit_vectors(start, stop, like)[:, None]


class JacobianEngine:
    """Evaluates Jacobians, or their products with cotangents, some rows at a time.

    Args:
        decode: as in :func:`~torchdisentangle.functional.decoder_jacobian`, and so are the following.
        z: latents, ``(N, d)``.
        labels: ``(N, ...)`` or ``None``.
        chunk_size: samples at a time.
        memory_budget: bytes; ``None``: what suits the device.
        compile: whether to compile the products of forward mode.
        mode: ``"auto"``, ``"forward"`` or ``"reverse"``.
        cotangents: what to multiply with in reverse mode, which anything but unit vectors needs.
    """

    pair_data: Tensor  # of two rows, the first of them with other latents
    forward_mode: bool
    forward_error: str | None = None
    num_rows: int  # at a time
    num_directions: int  # at a time
    footprint: Footprint  # of the decoder on two rows
    verdict: Answer | None = None  # on the first piece, until it is read

    def __init__(
        self,
        decode: Decoder,
        z: Tensor,
        labels: Tensor | None,
        chunk_size: ChunkSize,
        memory_budget: int | None,
        *,
        mode: JacobianMode = "auto",
        compile: bool = False,
        cotangents: Cotangents | None = None,
    ) -> None:
        _validate(z, labels, mode, chunk_size, memory_budget)
        self.sizes: Sizes = sizes_of(z.device)
        self.cotangents: Cotangents = UnitVectors() if cotangents is None else cotangents
        self.decode = decode
        self.chunk_size: int = len(z) if chunk_size == "auto" else chunk_size
        self.differentiable: bool = torch.is_grad_enabled()
        self.compile: bool = compile and not self.differentiable
        budget = self.sizes.memory_budget if memory_budget is None else memory_budget
        self.budget: int | None = budget if chunk_size == "auto" and not self.differentiable else None
        self.z: Tensor = _usable(z, self.differentiable)
        self.labels: Tensor | None = None if labels is None else _usable(labels, self.differentiable)
        self.second: int = 0 if len(z) == 1 or chunk_size == 1 else 1  # of the pair, both of the first piece
        self._begin(mode)

    def _begin(self, mode: JacobianMode) -> None:
        """Decode two rows, which tells the size of the data and of all on the way, and choose mode and pace."""
        with torch.inference_mode(False), torch.no_grad():
            z = self._pair(self.z.detach())
            z[0] = torch.where((z[0] == z[1]).all(), z[1] + 0.5, z[1])
            try:
                self.pair_data = self._decode_pair(z)
            except (RuntimeError, IndexError, TypeError) as error:
                raise RuntimeError(f"the decoder failed on latents of shape {tuple(z.shape)}: {error}") from error
        forward_mode = mode == "forward" or (mode == "auto" and z.shape[1] < self.pair_data.shape[1])
        self._choose(forward_mode)

    def _decode_pair(self, z: Tensor) -> Tensor:
        work = partial(decoded, self.decode, z, None if self.labels is None else self._pair(self.labels))
        if self.budget is None:
            return work()
        inputs = (z.shape, z.dtype, z.device, None if self.labels is None else self.labels.shape[1:])
        data, self.footprint = with_footprint(self.decode, inputs, work)
        return data

    def _pair(self, rows: Tensor) -> Tensor:
        """A copy of the first two rows, or of the first one twice; a list of their numbers would have to be sent."""
        return torch.stack([rows[0], rows[self.second]])

    def pieces(self, check: bool) -> Iterator[tuple[slice, Tensor]]:
        """Some rows at a time, and their Jacobians ``(n, D, d)``, in reverse mode once forward mode has failed."""
        start = 0
        while start < len(self.z):
            rows = slice(start, min(start + self.num_rows, len(self.z)))
            first = max(0, rows.stop - self.num_rows) if self.compile else start  # one size, compiled once
            try:
                jacobian = self._jacobian(slice(first, rows.stop), check and start == 0)[start - first :]
            except (RuntimeError, AssertionError) as error:
                if not self.forward_mode:
                    raise
                self.forward_error = str(error).strip().split("\n")[0][:200]
                self._choose(forward_mode=False)
                continue
            if self.forward_error is not None:
                warn_once(
                    f"{name_of(self.decode)} cannot be differentiated in forward mode ({self.forward_error}); "
                    "its Jacobians are computed in reverse mode, one vector-Jacobian product per data dimension"
                )
            try:
                yield rows, jacobian
            finally:
                self._judge()  # the caller has probably waited for the device by now, so that this takes no wait
            del jacobian  # before the next is computed, for the caller may have let it go
            start = rows.stop

    @property
    def all_directions(self) -> int:
        """How many products a sample takes."""
        return self.z.shape[1] if self.forward_mode else self.cotangents.number(self.pair_data.shape[1])

    def _choose(self, forward_mode: bool) -> None:
        """How to differentiate from now on, and how many rows and directions at a time."""
        self.forward_mode = forward_mode
        num_rows, num_directions = len(self.z), self.all_directions
        self.num_rows, self.num_directions = self.chunk_size, num_directions
        if self.budget is None:
            return
        reuse_freed_memory()
        fewest = min(2, num_rows)  # some decoders treat a batch of one differently
        of_direction = self.sizes.memory_margin * self.footprint.peak / 2
        of_graph = 0 if forward_mode else self.footprint.total / 2
        of_result = num_directions * (self.pair_data if forward_mode else self.z)[0].nbytes
        rows = self.budget / (of_graph + num_directions * of_direction + of_result)  # the result is of the piece before
        if rows < fewest:
            left = self.budget / fewest - of_graph - 2 * of_result  # and of this piece, where it is put together
            self.num_directions = _evenly(num_directions, left / of_direction)
        self.num_rows = _evenly(num_rows, max(rows, fewest))

    def _jacobian(self, rows: slice, check: bool) -> Tensor:
        """``(n, D, d)``."""
        with torch.inference_mode(False), torch.set_grad_enabled(self.differentiable):
            result, data = self._differentiate(rows)
            if check:
                self._check(result, data)
                if self.sizes.answers_at_once:
                    self._judge()
        return result

    def _differentiate(self, rows: slice) -> tuple[Tensor, Tensor]:
        """The Jacobians ``(n, D, d)`` and the data ``(n, D)``."""

        derivatives: ColumnsOfJacobian | RowsOfJacobian
        labels = None if self.labels is None else self.labels[rows]
        if self.forward_mode:
            derivatives = ColumnsOfJacobian(self.decode, self.z[rows], labels, self.compile)
        else:
            cotangents = partial(self.cotangents.of_rows, rows, like=self.pair_data)
            derivatives = RowsOfJacobian(self.decode, self.z[rows], labels, cotangents, self.differentiable)
        if self.num_directions >= self.all_directions:
            return derivatives.to_jacobian(derivatives(0, self.all_directions)), derivatives.data
        for start in range(0, self.all_directions, self.num_directions):
            part = derivatives(start, min(start + self.num_directions, self.all_directions))
            if start == 0:
                result = part.new_empty(self.all_directions, *part.shape[1:])
            result[start : start + len(part)] = part
            del part  # before the next is computed
        return derivatives.to_jacobian(result), derivatives.data

    def _check(self, jacobian: Tensor, data: Tensor) -> None:
        """Compare the first piece's data with those of the pair."""
        expected, got = self.pair_data[1], data.detach()[self.second]
        tolerance = max(0.01, 16 * torch.finfo(got.dtype).eps)  # batches of other sizes are rounded differently
        scale = expected.nan_to_num(0.0, 0.0, 0.0).abs().amax()
        same = (got == expected) | (got.isnan() & expected.isnan()) | ((got - expected).abs() <= tolerance * scale)
        still = ~jacobian[0].any() & (self.pair_data[0] != data[0]).any()
        self.verdict = Answer(torch.stack([same.all(), still]))

    def _judge(self) -> None:
        """Refuse decoders whose Jacobian is wrong."""
        if self.verdict is None:
            return
        independent, suspicious = self.verdict.read()
        self.verdict = None
        if not independent:
            raise ValueError(
                "the decoder's output for one latent changes when another row of the batch changes, or at random; "
                "put it in eval mode (batch normalisation, dropout), so that each row is decoded by itself"
            )
        if suspicious:
            self._check_connected()

    def _check_connected(self) -> None:
        """Refuse a decoder whose data vary with the latents unseen by automatic differentiation."""
        with torch.inference_mode(False), torch.enable_grad():
            z = self.z[:1].detach().requires_grad_()
            data = decoded(self.decode, z, None if self.labels is None else self.labels[:1])
            if not data.requires_grad or torch.autograd.grad(data.sum(), z, allow_unused=True)[0] is None:
                raise RuntimeError(
                    f"{name_of(self.decode)} is cut off from its latents (by detach, no_grad or inference_mode): "
                    "its data vary with them, but automatic differentiation sees no connection"
                )


def _evenly(total: int, at_most: float) -> int:
    """Size of pieces, each at most so large, that make up the total and hardly differ."""
    num_pieces = math.ceil(total / max(1, math.floor(min(at_most, total))))
    return math.ceil(total / num_pieces)


def _validate(z: Tensor, labels: Tensor | None, mode: str, chunk_size: ChunkSize, memory_budget: int | None) -> None:
    if not isinstance(z, Tensor) or z.ndim != 2 or not z.is_floating_point():
        got = f"{tuple(z.shape)} of {z.dtype}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"latents must be a floating-point tensor of shape (N, d), got {got}")
    if z.shape[0] == 0 or z.shape[1] == 0:
        raise ValueError(f"at least one latent sample of at least one dimension is needed, got {tuple(z.shape)}")
    if labels is not None and labels.shape[:1] != z.shape[:1]:
        raise ValueError(f"labels must have one row for each of the {len(z)} latents, got {tuple(labels.shape)}")
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"mode must be 'auto', 'forward' or 'reverse', got {mode!r}")
    if chunk_size != "auto" and not (isinstance(chunk_size, int) and chunk_size >= 1):
        raise ValueError(f"chunk_size must be 'auto' or a positive number, got {chunk_size!r}")
    if memory_budget is not None and memory_budget < 1:
        raise ValueError(f"memory_budget must be positive, got {memory_budget}")


def _usable(tensor: Tensor, differentiable: bool) -> Tensor:
    """The tensor as automatic differentiation can use it, without its history unless that is wanted."""
    with torch.inference_mode(False):
        if tensor.is_inference():
            return tensor.clone()
        return tensor if differentiable else tensor.detach()
