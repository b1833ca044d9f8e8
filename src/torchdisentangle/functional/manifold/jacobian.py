"""The Jacobian of a decoder at a batch of latents, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.engine import (
    ChunkSize,
    JacobianEngine,
    JacobianMode,
)
from torchdisentangle.functional.manifold.vector_products import Decoder


def decoder_jacobian(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    mode: JacobianMode = "auto",
    chunk_size: ChunkSize = "auto",
    memory_budget: int | None = None,
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
        memory_budget: bytes that the tensors made on the way may hold at once, the result itself not counted; by
            default 256 MiB on a CPU, and on a GPU an eighth of what is free, at most 4 GiB.
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
        Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025.

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
            result = jacobian
            continue
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
    memory_budget: int | None = None,
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
        ValueError: as :func:`decoder_jacobian`. That a decoder mixes rows is said before the first piece on a CPU, and
            on a GPU, which would have to be waited for, when the second is asked for, or at the end.
        RuntimeError: as :func:`decoder_jacobian`.

    Example:
        >>> for rows, jacobian in decoder_jacobian_chunks(torch.sin, torch.zeros(5, 2), chunk_size=3):
        ...     print(rows, tuple(jacobian.shape))
        slice(0, 3, None) (3, 2, 2)
        slice(3, 5, None) (2, 2, 2)
    """
    engine = JacobianEngine(decode, z, labels, chunk_size, memory_budget, mode=mode, compile=compile)
    yield from engine.pieces(check)
