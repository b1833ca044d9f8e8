"""The Jacobian of a decoder at a batch of latents, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch
from torch import Tensor

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

DEFAULT_MEMORY_BUDGET = 2**28  # bytes

_OF_DIRECTION = 8  # times what the decoder itself has alive; 0.5 to 3.5 times were seen in decoders and flows


def decoder_jacobian(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    mode: JacobianMode = "auto",
    chunk_size: ChunkSize = "auto",
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    compile: bool = False,
    check: bool = True,
) -> Tensor:
    r"""Jacobian of a decoder, sample by sample.

    .. math:: J_n = \frac{\partial g}{\partial z}(z_n) \in \mathbb{R}^{D \times d}

    Forward mode (``d`` Jacobian-vector products at once) is used when ``d < D``, reverse mode (``D`` vector-Jacobian
    products) otherwise and, after a warning, where a decoder cannot be differentiated in forward mode. The decoder
    itself is evaluated once per sample. With gradients enabled the result is differentiable with respect to ``z`` and
    the decoder's parameters, and memory holds the whole graph; under ``torch.no_grad()`` the work is cut into pieces
    that fit ``memory_budget``. Their size follows from the memory that the decoder takes, measured once on two samples,
    with a wide margin.

    Args:
        decode: maps latents ``(n, d)`` to data ``(n, *data_shape)``, row by row, for any ``n``; called as
            ``decode(z)``, or ``decode(z, labels)`` where labels are given. Put a module in eval mode first.
        z: latents, ``(N, d)``, floating point.
        labels: optional class labels (or any tensor with a row for each sample), ``(N, ...)``.
        mode: ``"auto"``, ``"forward"`` or ``"reverse"``.
        chunk_size: samples at a time, whatever memory they take; ``"auto"``: as many as fit the budget and are fast.
        memory_budget: bytes that the tensors made on the way may hold at once, the result itself not counted.
        compile: have ``torch.compile`` fuse the products of forward mode, under ``torch.no_grad()``. Compiling takes
            seconds to a minute for each decoder and number of samples, so it pays over many calls. What cannot be
            compiled is computed as ever, after a warning.
        check: make sure that rows are decoded independently of each other, and that the decoder is connected to its
            latents.

    Returns:
        The Jacobians, ``(N, D, d)`` with ``D = prod(data_shape)``, in the dtype of the decoder's output.

    Raises:
        ValueError: if ``z`` is no floating-point matrix with at least one row, the labels' length differs, or the
            decoder drops the batch dimension or mixes rows (as batch normalisation in training mode does).
        RuntimeError: if the decoder fails on latents of this width, or no mode can differentiate it.

    Reference:
        Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025, Section 3.

    Example:
        >>> from torchdisentangle.functional import decoder_jacobian
        >>> decode = lambda z: torch.stack([z[:, 0] * z[:, 1], z[:, 1], z[:, 0]], dim=1)
        >>> decoder_jacobian(decode, torch.tensor([[2.0, 3.0]]))
        tensor([[[3., 2.],
                 [0., 1.],
                 [1., 0.]]])
    """
    pieces = decoder_jacobian_chunks(
        decode, z, labels, mode=mode, chunk_size=chunk_size, memory_budget=memory_budget, compile=compile, check=check
    )
    if torch.is_grad_enabled():
        return torch.cat([jacobian for _, jacobian in pieces])
    result = torch.empty(0)
    for rows, jacobian in pieces:
        if len(jacobian) == len(z):
            return jacobian
        if rows.start == 0:
            shape, memory_order = (len(z), *jacobian.shape[1:]), sorted(range(3), key=jacobian.stride, reverse=True)
            result = torch.empty_permuted(shape, memory_order, dtype=jacobian.dtype, device=jacobian.device)
        result[rows] = jacobian
    return result


def decoder_jacobian_chunks(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    mode: JacobianMode = "auto",
    chunk_size: ChunkSize = "auto",
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    compile: bool = False,
    check: bool = True,
) -> Iterator[tuple[slice, Tensor]]:
    """:func:`decoder_jacobian` piece by piece, so that the Jacobians of all samples never exist at once.

    Args:
        decode: as in :func:`decoder_jacobian`, and so are the other arguments; here the budget includes the Jacobians.
        z: latents, ``(N, d)``.
        labels: optional, ``(N, ...)``.
        mode: ``"auto"``, ``"forward"`` or ``"reverse"``.
        chunk_size: samples at a time.
        memory_budget: bytes.
        compile: whether to compile the products of forward mode.
        check: whether to check that rows are decoded independently.

    Yields:
        The rows that a piece covers, and their Jacobians ``(n, D, d)``.

    Raises:
        ValueError: as :func:`decoder_jacobian`.
        RuntimeError: as :func:`decoder_jacobian`.

    Example:
        >>> for rows, jacobian in decoder_jacobian_chunks(torch.sin, torch.zeros(5, 2), chunk_size=3):
        ...     print(rows, tuple(jacobian.shape))
        slice(0, 3, None) (3, 2, 2)
        slice(3, 5, None) (2, 2, 2)
    """
    _validate(z, labels, mode, chunk_size, memory_budget)
    engine = _Engine(decode, z, labels, chunk_size, memory_budget, compile)
    engine.begin(mode)
    yield from engine.pieces(check)


class _Engine:
    """Evaluates the Jacobian of some rows at a time."""

    pair_data: Tensor  # of the rows ``pair``, the first of them with other latents
    forward_mode: bool
    forward_error: str | None = None
    num_rows: int  # at a time
    num_directions: int  # at a time
    footprint: Footprint  # of the decoder on two rows

    def __init__(
        self,
        decode: Decoder,
        z: Tensor,
        labels: Tensor | None,
        chunk_size: ChunkSize,
        memory_budget: int,
        compile: bool = False,
    ) -> None:
        self.decode, self.chunk_size = decode, len(z) if chunk_size == "auto" else chunk_size
        self.differentiable = torch.is_grad_enabled()
        self.compile = compile and not self.differentiable
        self.budget = memory_budget if chunk_size == "auto" and not self.differentiable else None
        self.z = _usable(z, self.differentiable)
        self.labels = None if labels is None else _usable(labels, self.differentiable)
        self.pair = [0, 0] if len(z) == 1 or chunk_size == 1 else [0, 1]  # both in the first piece

    def begin(self, mode: JacobianMode) -> None:
        """Decode two rows, which tells the size of the data and of all on the way, and choose mode and pace."""
        with torch.inference_mode(False), torch.no_grad():
            z = self.z[self.pair].detach()
            z[0] = z[1] if not torch.equal(z[0], z[1]) else z[1] + 0.5
            try:
                self.pair_data = self._decode_pair(z)
            except (RuntimeError, IndexError, TypeError) as error:
                raise RuntimeError(f"the decoder failed on latents of shape {tuple(z.shape)}: {error}") from error
        forward_mode = mode == "forward" or (mode == "auto" and z.shape[1] < self.pair_data.shape[1])
        self._choose(forward_mode)

    def _decode_pair(self, z: Tensor) -> Tensor:
        work = partial(self._data, z, self.pair)
        if self.budget is None:
            return work()
        inputs = (z.shape, z.dtype, z.device, None if self.labels is None else self.labels.shape[1:])
        data, self.footprint = with_footprint(self.decode, inputs, work)
        return data

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
            yield rows, jacobian
            del jacobian  # before the next is computed, for the caller may have let it go
            start = rows.stop

    @property
    def all_directions(self) -> int:
        """How many products a sample takes."""
        return self.z.shape[1] if self.forward_mode else self.pair_data.shape[1]

    def _choose(self, forward_mode: bool) -> None:
        """How to differentiate from now on, and how many rows and directions at a time."""
        self.forward_mode = forward_mode
        num_rows, num_directions = len(self.z), self.all_directions
        self.num_rows, self.num_directions = self.chunk_size, num_directions
        if self.budget is None:
            return
        reuse_freed_memory()
        fewest = min(2, num_rows)  # some decoders treat a batch of one differently
        of_direction = _OF_DIRECTION * self.footprint.peak / 2
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
        return result

    def _differentiate(self, rows: slice) -> tuple[Tensor, Tensor]:
        """The Jacobians ``(n, D, d)`` and the data ``(n, D)``."""

        derivatives: ColumnsOfJacobian | RowsOfJacobian
        labels = None if self.labels is None else self.labels[rows]
        if self.forward_mode:
            derivatives = ColumnsOfJacobian(self.decode, self.z[rows], labels, self.compile)
        else:
            cotangents = partial(self._cotangents, rows)
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

    def _cotangents(self, rows: slice, start: int, stop: int) -> Tensor:
        """What to multiply the Jacobians of some rows with from the left in reverse mode, ``(t, n or 1, D)``."""
        return unit_vectors(start, stop, self.pair_data)[:, None]

    def _check(self, jacobian: Tensor, data: Tensor) -> None:
        """Compare the first piece's data with those of the pair, and refuse decoders whose Jacobian would be wrong."""
        expected, got = self.pair_data[1], data.detach()[self.pair[1]]
        tolerance = max(0.01, 16 * torch.finfo(got.dtype).eps)  # batches of other sizes are rounded differently
        scale = expected.nan_to_num(0.0, 0.0, 0.0).abs().amax().item()
        if not torch.allclose(got, expected, rtol=0.0, atol=tolerance * scale, equal_nan=True):
            raise ValueError(
                "the decoder's output for one latent changes when another row of the batch changes, or at random; "
                "put it in eval mode (batch normalisation, dropout), so that each row is decoded by itself"
            )
        if not jacobian[0].any() and not torch.equal(self.pair_data[0], data[0]):
            self._check_connected()

    def _check_connected(self) -> None:
        """Refuse a decoder whose data vary with the latents unseen by automatic differentiation."""
        with torch.enable_grad():
            z = self.z[:1].detach().requires_grad_()
            data = self._data(z, slice(0, 1))
            if not data.requires_grad or torch.autograd.grad(data.sum(), z, allow_unused=True)[0] is None:
                raise RuntimeError(
                    f"{name_of(self.decode)} is cut off from its latents (by detach, no_grad or inference_mode): "
                    "its data vary with them, but automatic differentiation sees no connection"
                )

    def _data(self, z: Tensor, rows: slice | list[int]) -> Tensor:
        return decoded(self.decode, z, None if self.labels is None else self.labels[rows])


def _evenly(total: int, at_most: float) -> int:
    """Size of pieces, each at most so large, that make up the total and hardly differ."""
    num_pieces = math.ceil(total / max(1, math.floor(min(at_most, total))))
    return math.ceil(total / num_pieces)


def _validate(z: Tensor, labels: Tensor | None, mode: str, chunk_size: ChunkSize, memory_budget: int) -> None:
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
    if memory_budget < 1:
        raise ValueError(f"memory_budget must be positive, got {memory_budget}")


def _usable(tensor: Tensor, differentiable: bool) -> Tensor:
    """The tensor as automatic differentiation can use it, without its history unless that is wanted."""
    with torch.inference_mode(False):
        if tensor.is_inference():
            return tensor.clone()
        return tensor if differentiable else tensor.detach()
