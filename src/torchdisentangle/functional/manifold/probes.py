"""Random projections of a decoder's Jacobian: its geometry, at a cost that does not depend on the latents' number."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from torchdisentangle.functional.device import float64_device
from torchdisentangle.functional.manifold.engine import ChunkSize, JacobianEngine
from torchdisentangle.functional.manifold.vector_products import Decoder
from torchdisentangle.functional.manifold.wishart import MIN_PROBES
from torchdisentangle.functional.row_hash import RowNoise, hash_index

DEFAULT_NUM_PROBES = 16


def probed_jacobian(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    num_probes: int = DEFAULT_NUM_PROBES,
    index: Tensor | None = None,
    seed: int = 0,
    data_std: Tensor | float | None = None,
    chunk_size: ChunkSize = "auto",
    memory_budget: int | None = None,
    check: bool = True,
) -> Tensor:
    r"""Gaussian projections of a decoder's Jacobian, sample by sample.

    .. math:: P_n = V_n^\top J_n \in \mathbb{R}^{m \times d}, \quad
              V_n \in \mathbb{R}^{D \times m} \text{ with independent entries } \mathcal{N}(0, 1)

    Takes ``m`` vector-Jacobian products for each sample, where the Jacobian takes ``d`` or ``D`` products. What is
    said of a Jacobian is estimated from the projection by the same functions and metrics, told the number of probes:
    without bias, with a variance that falls as ``1 / m``. With gradients enabled the result is differentiable.

    The probes belong to a sample's ``index``: the same for any batch, chunk or process. The first of ``m`` probes are
    the probes of a smaller number.

    Args:
        decode: as in :func:`~torchdisentangle.functional.decoder_jacobian`.
        z: latents, ``(N, d)``, floating point.
        labels: optional class labels (or any tensor with a row for each sample), ``(N, ...)``.
        num_probes: ``m``.
        index: global positions of the samples, ``(N,)`` integers; by default they are numbered from 0. Give it where
            samples come in several calls: repeated probes make errors that do not average out.
        seed: of the probes.
        data_std: standard deviation by which the data were divided before the model saw them, ``(D,)`` or a number: the
            projection is then that of a Jacobian in the data's own unit.
        chunk_size: samples at a time; ``"auto"``: as many as fit the budget.
        memory_budget: bytes that the tensors made on the way may hold at once, with a default as for
            :func:`~torchdisentangle.functional.decoder_jacobian`. A differentiable result holds the whole graph,
            whatever the budget.
        check: make sure that rows are decoded independently of each other.

    Returns:
        The projections, ``(N, m, d)``, in the dtype of the decoder's output.

    Raises:
        ValueError: if ``z``, ``labels``, ``index`` or ``data_std`` do not fit, there are fewer than two probes, or the
            decoder mixes rows.
        RuntimeError: if the decoder fails on latents of this width or cannot be differentiated in reverse mode.

    Reference:
        The estimator is this library's. Muirhead, *Aspects of multivariate statistical theory*, 1982, for the
        distribution of projections.

    Example:
        >>> from torchdisentangle.functional import gram_matrix, manifold_entropy_spectrum, probed_jacobian
        >>> scale = torch.tensor([2.0, 1.0]).double()
        >>> projection = probed_jacobian(lambda z: scale * z, torch.zeros(5000, 2).double(), num_probes=8)
        >>> projection.shape
        torch.Size([5000, 8, 2])
        >>> manifold_entropy_spectrum(gram_matrix(projection), num_probes=8)  # 2.112 and 1.419
        tensor([2.1181, 1.4151], dtype=torch.float64)
    """
    pieces = probed_jacobian_chunks(
        decode,
        z,
        labels,
        num_probes=num_probes,
        index=index,
        seed=seed,
        data_std=data_std,
        chunk_size=chunk_size,
        memory_budget=memory_budget,
        check=check,
    )
    return torch.cat([projection for _, projection in pieces])


def probed_jacobian_chunks(
    decode: Decoder,
    z: Tensor,
    labels: Tensor | None = None,
    *,
    num_probes: int = DEFAULT_NUM_PROBES,
    index: Tensor | None = None,
    seed: int = 0,
    data_std: Tensor | float | None = None,
    chunk_size: ChunkSize = "auto",
    memory_budget: int | None = None,
    check: bool = True,
) -> Iterator[tuple[slice, Tensor]]:
    """:func:`probed_jacobian` piece by piece.

    Args:
        decode: as in :func:`probed_jacobian`, and so are the other arguments.
        z: latents, ``(N, d)``.
        labels: optional, ``(N, ...)``.
        num_probes: ``m``.
        index: global positions, ``(N,)``.
        seed: of the probes.
        data_std: unit of the data.
        chunk_size: samples at a time.
        memory_budget: bytes.
        check: whether to check that rows are decoded independently.

    Yields:
        The rows that a piece covers, and their projections ``(n, m, d)``.

    Raises:
        ValueError: as :func:`probed_jacobian`.
        RuntimeError: as :func:`probed_jacobian`.

    Example:
        >>> for rows, projection in probed_jacobian_chunks(torch.sin, torch.zeros(5, 2), num_probes=4, chunk_size=3):
        ...     print(rows, tuple(projection.shape))
        slice(0, 3, None) (3, 4, 2)
        slice(3, 5, None) (2, 4, 2)
    """
    probes = GaussianProbes(z, num_probes, index, seed, data_std)
    engine = JacobianEngine(decode, z, labels, chunk_size, memory_budget, mode="reverse", cotangents=probes)
    yield from engine.pieces(check)


def gaussian_probes(index: Tensor, probes: range, data_size: int, seed: int = 0) -> Tensor:
    """Probes of some samples: independent standard normal vectors, the same wherever and whenever they are asked for.

    Args:
        index: global positions of the samples, ``(N,)`` integers.
        probes: which of a sample's probes.
        data_size: ``D``.
        seed: another seed gives other probes.

    Returns:
        ``(N, len(probes), D)`` in float64.

    Example:
        >>> all_probes = gaussian_probes(torch.arange(10), range(4), 3)
        >>> torch.equal(gaussian_probes(torch.tensor([7]), range(1, 3), 3), all_probes[7:8, 1:3])
        True
    """
    return _noise(index, probes, data_size, seed)[:]


def _noise(index: Tensor, probes: range, data_size: int, seed: int) -> RowNoise:
    """Of all samples and probes, ``(N, m)``."""
    number = torch.arange(probes.start, probes.stop, device=index.device)
    return RowNoise(hash_index(index, seed)[:, None] ^ hash_index(number, seed + 1), data_size, seed)


class GaussianProbes:
    """Cotangents for :class:`~torchdisentangle.functional.manifold.engine.JacobianEngine`: a few random vectors each.

    Args:
        z: latents of the samples, ``(N, d)``.
        num_probes: ``m``.
        index: global positions of the samples, ``(N,)`` integers; ``None``: they are numbered from 0.
        seed: of the probes.
        data_std: the data's unit, ``(D,)``, a number or ``None``.

    Raises:
        ValueError: if there are fewer than two probes, or the index does not fit.
    """

    def __init__(
        self, z: Tensor, num_probes: int, index: Tensor | None, seed: int, data_std: Tensor | float | None
    ) -> None:
        if num_probes < MIN_PROBES:
            raise ValueError(f"at least {MIN_PROBES} probes are needed, got {num_probes}")
        device = float64_device(z.device)
        index = torch.arange(len(z), device=device) if index is None else index.to(device)
        if index.shape != (len(z),) or index.is_floating_point():
            raise ValueError(f"index must be integers of shape ({len(z)},), got {tuple(index.shape)} of {index.dtype}")
        self.num_probes = num_probes
        self.index = index
        self.seed = seed
        self._noise: RowNoise | None = None  # its size is that of the data
        unit = 1.0 if data_std is None else data_std
        if not isinstance(unit, Tensor):
            unit = torch.full((1,), unit, dtype=torch.float64, device=device)  # made there: nothing is sent
        self.unit: Tensor = unit.to(device, torch.float64).flatten()

    def number(self, data_size: int) -> int:
        """As many as were asked for."""
        if self.unit.numel() not in (1, data_size):
            raise ValueError(f"data_std must be a number or have {data_size} entries, got {self.unit.numel()}")
        return self.num_probes

    def of_rows(self, rows: slice, start: int, stop: int, like: Tensor) -> Tensor:
        """``(t, n, D)``."""
        if self._noise is None:
            self._noise = _noise(self.index, range(self.num_probes), like.shape[-1], self.seed)
        probes = self._noise[rows, start:stop]
        return (probes * self.unit).to(like.dtype).to(like.device).transpose(0, 1)
