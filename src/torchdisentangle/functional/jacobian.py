"""The Jacobian of a decoder at a batch of latents, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.functional.memory import Pace, PeakMemory

Decoder = Callable[..., Tensor]
JacobianMode = Literal["auto", "forward", "reverse"]

DEFAULT_MEMORY_BUDGET = 2**28  # bytes; larger pieces fall out of the processor's caches and are slower

_TRIAL = slice(0, 2)  # rows; more than one, which some decoders treat differently


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

    Forward mode (``d`` Jacobian-vector products at once) is used when ``d < D``, reverse mode (``D`` vector-Jacobian
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
    differentiable = torch.is_grad_enabled()
    z, labels = _usable(z, differentiable), None if labels is None else _usable(labels, differentiable)
    engine = _Engine(decode, z, labels, differentiable)
    engine.examine(mode, check)
    pace = engine.find_pace(chunk_size, None if differentiable else memory_budget)
    start = 0
    while start < len(z):
        rows = slice(start, min(start + pace.rows, len(z)))
        yield rows, engine.jacobian(rows, pace)
        start = rows.stop


class _Engine:
    """Evaluates the Jacobian of some rows at a time."""

    data_size: int  # D
    result_bytes: int  # of one row's Jacobian
    forward_mode: bool
    varies: bool  # the data with the latents; False if not checked

    def __init__(self, decode: Decoder, z: Tensor, labels: Tensor | None, differentiable: bool) -> None:
        self.decode, self.z, self.labels, self.differentiable = decode, z, labels, differentiable
        self._memory_of_trial = PeakMemory()

    def examine(self, mode: JacobianMode, check: bool) -> None:
        """Learn from two rows what the data are, whether forward mode works, and whether rows are independent."""
        z, forward_error = self.z[:2].detach(), None
        other = z[-1:] if not torch.equal(z[:1], z[-1:]) else z[-1:] + 0.5
        with torch.inference_mode(False), torch.no_grad():
            try:
                data, forward_error = self._try_forward(z) if mode != "reverse" else (self._flat(z, _TRIAL), None)
                changed = self._flat(torch.cat([other, z[1:]]), _TRIAL) if check else data
            except (RuntimeError, IndexError, TypeError) as error:
                raise RuntimeError(f"the decoder failed on latents of shape {tuple(z.shape)}: {error}") from error
        if not torch.allclose(data[1:], changed[1:], rtol=1e-4, atol=1e-6, equal_nan=True):
            raise ValueError(
                "the decoder's output for one latent changes when another row of the batch changes, or at random; "
                "put it in eval mode (batch normalisation, dropout), so that each row is decoded by itself"
            )
        self.data_size, self.result_bytes = data.shape[1], data[0].nbytes * z.shape[1]
        self.varies = not torch.equal(data[0], changed[0])
        # square Jacobians, those of flows, take less time in reverse mode, unless they are differentiated again
        enough = self.data_size + 1 if self.differentiable else self.data_size
        self.forward_mode = mode == "forward" or (mode == "auto" and z.shape[1] < enough)
        if self.forward_mode and forward_error is not None:
            self.forward_mode = False
            _warn_once(
                f"{_name(self.decode)} cannot be differentiated in forward mode ({forward_error}); "
                "its Jacobians are computed in reverse mode, one vector-Jacobian product per data dimension"
            )

    def _try_forward(self, z: Tensor) -> tuple[Tensor, str | None]:
        """Data of the trial's rows, and why forward mode fails if it does."""
        try:
            # a differentiable Jacobian is taken in one piece, whose memory nobody asks for
            with nullcontext() if self.differentiable else self._memory_of_trial:
                return self._push(z, _TRIAL, 0, min(2, z.shape[1]))[0], None
        except (RuntimeError, AssertionError) as error:
            return self._flat(z, _TRIAL), str(error).strip().split("\n")[0][:200]

    @property
    def num_directions(self) -> int:
        """How many products a sample takes."""
        return self.z.shape[1] if self.forward_mode else self.data_size

    def find_pace(self, chunk_size: int | None, budget: int | None) -> Pace:
        """How many rows and directions to take at once."""
        pace = Pace(len(self.z), self.num_directions, self.result_bytes, chunk_size, budget)
        if not pace.settled:
            if not self.forward_mode:
                with torch.inference_mode(False), torch.no_grad(), PeakMemory() as self._memory_of_trial:
                    self._pulls(_TRIAL)(0, pace.directions)
            pace.learn(self._memory_of_trial.peak)
        return pace

    def jacobian(self, rows: slice, pace: Pace) -> Tensor:
        """``(n, D, d)``."""
        with torch.inference_mode(False), torch.set_grad_enabled(self.differentiable), pace.measure():
            if self.forward_mode:
                z = self.z[rows]
                columns = pace.collect(lambda start, stop: self._push(z, rows, start, stop)[1])
                result = columns.permute(1, 2, 0)
            else:
                result = pace.collect(self._pulls(rows)).transpose(0, 1)
            if rows.start == 0 and self.varies and not result.any():
                self._check_connected()
        return result

    def _push(self, z: Tensor, rows: slice, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The data ``(n, D)``, decoded once, and some of the Jacobian's columns ``(t, n, D)``."""

        def push(tangent: Tensor) -> tuple[Tensor, Tensor]:
            data, column = torch.func.jvp(lambda z: self._flat(z, rows), (z,), (tangent.expand_as(z),))[:2]
            return data, column

        data_once: Any = (None, 0)
        return torch.func.vmap(push, out_dims=data_once)(_unit_vectors(start, stop, z))

    def _pulls(self, rows: slice) -> Callable[[int, int], Tensor]:
        """After the data are decoded, a function from directions to some of the Jacobian's rows ``(t, n, d)``."""
        with torch.enable_grad():
            z = self.z[rows] if self.z.requires_grad else self.z[rows].detach().requires_grad_()
            data = self._flat(z, rows)
        options = {"retain_graph": True, "create_graph": self.differentiable, "materialize_grads": True}

        def pull(start: int, stop: int) -> Tensor:
            if not data.requires_grad:  # the decoder ignores its latents
                return data.new_zeros(stop - start, *z.shape)
            cotangents = self._cotangents(rows, start, stop, data)
            try:
                result = torch.autograd.grad(data, z, cotangents, is_grads_batched=True, **options)[0]
            except RuntimeError:  # some backward passes cannot be batched; one at a time works for all
                result = torch.stack([torch.autograd.grad(data, z, row, **options)[0] for row in cotangents])
            return result.to(data.dtype)

        return pull

    def _cotangents(self, rows: slice, start: int, stop: int, data: Tensor) -> Tensor:
        """What to multiply the Jacobians of ``data`` with from the left in reverse mode, ``(t, n, D)``."""
        return _unit_vectors(start, stop, data)[:, None].expand(-1, *data.shape)

    def _check_connected(self) -> None:
        """Refuse a decoder whose data vary with the latents unseen by automatic differentiation."""
        with torch.enable_grad():
            z = self.z[:2].detach().requires_grad_()
            data = self._flat(z, _TRIAL)
            if not data.requires_grad or torch.autograd.grad(data.sum(), z, allow_unused=True)[0] is None:
                raise RuntimeError(
                    f"{_name(self.decode)} is cut off from its latents (by detach, no_grad or inference_mode): "
                    "its data vary with them, but automatic differentiation sees no connection"
                )

    def _flat(self, z: Tensor, rows: slice) -> Tensor:
        data = self.decode(z) if self.labels is None else self.decode(z, self.labels[rows])
        if not isinstance(data, Tensor):
            raise TypeError(f"the decoder must return a tensor, got {type(data).__name__}")
        if data.ndim < 2 or data.shape[0] != z.shape[0] or data.numel() == 0:
            raise ValueError(
                f"the decoder must map latents (n, d) to data (n, *data_shape) with the same n and at least one "
                f"dimension; it mapped {tuple(z.shape)} to {tuple(data.shape)}"
            )
        return data.flatten(1)


def _unit_vectors(start: int, stop: int, like: Tensor) -> Tensor:
    """Unit vectors ``start`` to ``stop`` of the last dimension's basis."""
    vectors = like.new_zeros(stop - start, like.shape[1])
    vectors.diagonal(start).fill_(1)
    return vectors


def _validate(z: Tensor, labels: Tensor | None, mode: str, chunk_size: int | None, memory_budget: int) -> None:
    if not isinstance(z, Tensor) or z.ndim != 2 or not z.is_floating_point():
        got = f"{tuple(z.shape)} of {z.dtype}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"latents must be a floating-point tensor of shape (N, d), got {got}")
    if z.shape[0] == 0 or z.shape[1] == 0:
        raise ValueError(f"at least one latent sample of at least one dimension is needed, got {tuple(z.shape)}")
    if labels is not None and labels.shape[:1] != z.shape[:1]:
        raise ValueError(f"labels must have one row for each of the {len(z)} latents, got {tuple(labels.shape)}")
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"mode must be 'auto', 'forward' or 'reverse', got {mode!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be positive, got {chunk_size}")
    if memory_budget < 1:
        raise ValueError(f"memory_budget must be positive, got {memory_budget}")


def _usable(tensor: Tensor, differentiable: bool) -> Tensor:
    """The tensor as automatic differentiation can use it, without its history unless that is wanted."""
    with torch.inference_mode(False):
        if tensor.is_inference():
            return tensor.clone()
        return tensor if differentiable else tensor.detach()


def _name(decode: Decoder) -> str:
    owner = getattr(decode, "__self__", decode)
    return type(owner).__name__ if not hasattr(owner, "__qualname__") else owner.__qualname__


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        rank_zero_warn(message, UserWarning)
