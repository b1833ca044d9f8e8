"""The Jacobian of a decoder at a batch of latents, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.functional.memory import PeakMemory

Decoder = Callable[..., Tensor]
JacobianMode = Literal["auto", "forward", "reverse"]

DEFAULT_MEMORY_BUDGET = 2**28  # bytes; larger pieces fall out of the processor's caches and are slower


def decoder_jacobian(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    mode: JacobianMode = "auto",
    chunk_size: int | None = None,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    check: bool = True,
) -> Tensor:
    r"""Jacobian of a decoder, sample by sample.

    .. math:: J_n = \frac{\partial g}{\partial z}(z_n) \in \mathbb{R}^{D \times d}

    Forward mode (``d`` Jacobian-vector products at once) is used when ``d <= D``, reverse mode (``D`` vector-Jacobian
    products) otherwise and, after a warning, where a decoder cannot be differentiated in forward mode. The decoder
    itself is evaluated once per sample. With gradients enabled the result is differentiable with respect to ``z`` and
    the decoder's parameters, and memory holds the whole graph; under ``torch.no_grad()`` the work is cut into pieces
    that fit ``memory_budget``.

    Args:
        decode: maps latents ``(n, d)`` to data ``(n, *data_shape)``, row by row, for any ``n``; called as
            ``decode(z)``, or ``decode(z, labels)`` where labels are given. Put a module in eval mode first.
        z: latents, ``(N, d)``, floating point.
        labels: optional class labels (or any tensor with a row for each sample), ``(N, ...)``.
        mode: ``"auto"``, ``"forward"`` or ``"reverse"``.
        chunk_size: samples at a time; by default as many as fit the budget.
        memory_budget: bytes that the tensors made on the way may hold at once, the result itself not counted.
        check: make sure, for the price of a few decoded rows, that rows are decoded independently of each other.

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
        >>> decode = lambda z: torch.stack([z[:, 0] * z[:, 1], z[:, 1]], dim=1)
        >>> decoder_jacobian(decode, torch.tensor([[2.0, 3.0]]))
        tensor([[[3., 2.],
                 [0., 1.]]])
    """
    pieces = decoder_jacobian_chunks(
        decode, z, labels, mode=mode, chunk_size=chunk_size, memory_budget=memory_budget, check=check
    )
    return torch.cat([jacobian for _, jacobian in pieces])


def decoder_jacobian_chunks(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    mode: JacobianMode = "auto",
    chunk_size: int | None = None,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
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
    differentiable = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    if not differentiable:
        z, labels = _leave_inference_mode(z), None if labels is None else _leave_inference_mode(labels)
    engine = _Engine(decode, z, labels, differentiable)
    data_size = engine.data_size(check)
    engine.forward_mode = mode == "forward" or (mode == "auto" and z.shape[1] <= data_size)
    directions = z.shape[1] if engine.forward_mode else data_size
    pace = _Pace(len(z), directions, chunk_size, None if differentiable else memory_budget)
    start = 0
    while start < len(z):
        rows = slice(start, min(start + pace.rows, len(z)))
        yield rows, engine.jacobian(rows, pace)
        start = rows.stop


class _Pace:
    """How many samples and directions to differentiate at once: small trials that grow into what the budget holds."""

    growth, first_trial = 64, 32

    def __init__(self, num_rows: int, num_directions: int, chunk_size: int | None, budget: int | None) -> None:
        self.num_rows, self.num_directions = num_rows, num_directions
        self.chunk_size, self.budget = chunk_size, budget
        unlimited = chunk_size is not None or budget is None
        self.cells: float = math.inf if unlimited else self.first_trial
        self.settled = unlimited

    @property
    def rows(self) -> int:
        if self.chunk_size is not None:
            return self.chunk_size
        fitting = min(self.cells / self.num_directions, self.num_rows)
        return max(int(fitting), min(2, self.num_rows))  # some decoders treat a batch of one differently

    @property
    def directions(self) -> int:
        return max(1, int(min(self.cells / self.rows, self.num_directions)))

    def measure(self) -> PeakMemory | nullcontext[None]:
        return nullcontext() if self.settled else PeakMemory()

    def learn(self, memory: PeakMemory | None, cells: int) -> None:
        """After ``cells`` (samples times directions) took ``memory``, choose how many to take next."""
        if memory is None or self.budget is None:
            return
        fitting = cells * self.budget / max(memory.peak, 1)
        self.settled = fitting <= self.growth * cells or cells >= self.num_rows * self.num_directions
        self.cells = max(1.0, min(fitting, self.growth * cells))


class _Engine:
    """Evaluates the Jacobian of some rows at a time, in forward mode while that works, else in reverse mode."""

    forward_mode: bool

    def __init__(self, decode: Decoder, z: Tensor, labels: Tensor | None, differentiable: bool) -> None:
        self.decode, self.z, self.labels, self.differentiable = decode, z, labels, differentiable

    def data_size(self, check: bool) -> int:
        """``D``, from a decoded row or two that are also checked to be a batch of independent rows."""
        z = self.z[:2].detach()
        with torch.inference_mode(False), torch.no_grad():
            try:
                data = self._flat(z, slice(0, 2))
                moved = self._flat(torch.cat([z[:1] + 0.5, z[1:]]), slice(0, 2)) if check and len(z) == 2 else data
            except (RuntimeError, IndexError, TypeError) as error:
                raise RuntimeError(f"the decoder failed on latents of shape {tuple(z.shape)}: {error}") from error
        if not torch.allclose(data[1:], moved[1:], rtol=1e-4, atol=1e-6, equal_nan=True):
            raise ValueError(
                "the decoder's output for one latent changes when another row of the batch changes, or at random; "
                "put it in eval mode (batch normalisation, dropout), so that each row is decoded by itself"
            )
        return data.shape[1]

    def jacobian(self, rows: slice, pace: _Pace) -> Tensor:
        with torch.inference_mode(False), torch.set_grad_enabled(self.differentiable):
            if self.forward_mode:
                try:
                    return self._forward(rows, pace)
                except (RuntimeError, NotImplementedError, AssertionError) as error:
                    reason = str(error).strip().split("\n")[0][:200]
                    try:
                        result = self._reverse(rows, pace)
                    except RuntimeError:
                        raise error from None
                    self.forward_mode = False
                    _warn_once(
                        f"{_name(self.decode)} cannot be differentiated in forward mode ({reason}); "
                        "its Jacobians are computed in reverse mode, one vector-Jacobian product per data dimension"
                    )
                    return result
            return self._reverse(rows, pace)

    def _forward(self, rows: slice, pace: _Pace) -> Tensor:
        z = self.z[rows]
        n, d = z.shape

        def push(tangent: Tensor) -> Tensor:
            return torch.func.jvp(lambda z: self._flat(z, rows), (z,), (tangent.expand(n, d),))[1]

        basis = torch.eye(d, dtype=z.dtype, device=z.device)
        columns, start = [], 0
        while start < d:
            tangents = basis[start : start + pace.directions]
            with pace.measure() as memory:
                columns.append(torch.func.vmap(push)(tangents))  # (t, n, D): the primal is not batched, so runs once
            pace.learn(memory, n * len(tangents))
            start += len(tangents)
        return torch.cat(columns).permute(1, 2, 0)

    def _reverse(self, rows: slice, pace: _Pace) -> Tensor:
        with torch.enable_grad():
            z = self.z[rows] if self.z.requires_grad else self.z[rows].detach().requires_grad_()
            data = self._flat(z, rows)
        if not data.requires_grad:
            return data.new_zeros(*data.shape, z.shape[1])  # the decoder ignores its latents
        basis = torch.eye(data.shape[1], dtype=data.dtype, device=data.device)

        def pull(cotangents: Tensor) -> Tensor:
            options = {"retain_graph": True, "create_graph": self.differentiable, "materialize_grads": True}
            expanded = cotangents[:, None].expand(-1, *data.shape)
            try:
                return torch.autograd.grad(data, z, expanded, is_grads_batched=True, **options)[0]
            except RuntimeError:  # some backward passes cannot be batched; one at a time works for all
                return torch.stack([torch.autograd.grad(data, z, row, **options)[0] for row in expanded])

        parts, start = [], 0
        while start < len(basis):
            cotangents = basis[start : start + pace.directions]
            with pace.measure() as memory:
                parts.append(pull(cotangents))  # (t, n, d)
            pace.learn(memory, len(z) * len(cotangents))
            start += len(cotangents)
        return torch.cat(parts).transpose(0, 1).to(data.dtype)

    def _flat(self, z: Tensor, rows: slice) -> Tensor:
        data = self.decode(z) if self.labels is None else self.decode(z, self.labels[rows])
        if not isinstance(data, Tensor):
            raise TypeError(f"the decoder must return a tensor, got {type(data).__name__}")
        if data.ndim < 2 or data.shape[0] != z.shape[0]:
            raise ValueError(
                f"the decoder must map latents (n, d) to data (n, *data_shape) with the same n; "
                f"it mapped {tuple(z.shape)} to {tuple(data.shape)}"
            )
        return data.flatten(1)


def _validate(z: Tensor, labels: Tensor | None, mode: str, chunk_size: int | None, memory_budget: int) -> None:
    if not isinstance(z, Tensor) or z.ndim != 2 or not z.is_floating_point():
        got = f"{tuple(z.shape)} of {z.dtype}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"latents must be a floating-point tensor of shape (N, d), got {got}")
    if z.shape[0] == 0 or z.shape[1] == 0:
        raise ValueError(f"at least one latent sample of at least one dimension is needed, got {tuple(z.shape)}")
    if labels is not None and len(labels) != len(z):
        raise ValueError(f"labels must have one row for each of the {len(z)} latents, got {len(labels)}")
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"mode must be 'auto', 'forward' or 'reverse', got {mode!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be positive, got {chunk_size}")
    if memory_budget < 1:
        raise ValueError(f"memory_budget must be positive, got {memory_budget}")


def _leave_inference_mode(tensor: Tensor) -> Tensor:
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor.detach()


def _name(decode: Decoder) -> str:
    owner = getattr(decode, "__self__", decode)
    return type(owner).__name__ if not hasattr(owner, "__qualname__") else owner.__qualname__


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        rank_zero_warn(message, UserWarning)
