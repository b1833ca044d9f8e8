"""Jacobians made into sums, block by block: everything that the manifold metrics need.

The work of a block is launched as if every sample were fine. Then the device is asked, once, for how many samples that
is not so: those with NaN or infinite entries, without which the block is done again, and those whose volume needs
more than a Cholesky factor. A device that has to be waited for is asked once for all blocks: samples about which
something is doubtful count as nothing, and at the end they are done by themselves.

Nothing here is compiled: beside the conversion to float64, the Gram product and the factor, what is element-wise takes
1 to 10 % of an update on a CPU; torch.compile halves that, and takes seconds to do so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.device import float64_device, sizes_of, to_float64
from torchdisentangle.functional.manifold.determinant import cholesky_log_det, floored_log_det, log_det_correlation
from torchdisentangle.functional.manifold.gram import (
    MAX_PAIRWISE,
    TangentVectors,
    pairwise_mutual_information,
    product_of_columns,
    rescale_jacobian,
    tangent_correlation,
)
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.statistics.classes import Classes

SumsByName = dict[str, Tensor]


@dataclass(frozen=True)
class JacobianSums:
    r"""The sums over Jacobians of a decoder.

    For every sample a vector of *readings* is formed: :math:`\log \lVert J_i \rVert` of each latent,
    :math:`\log |J|` of all, :math:`\log |J_S|` of further index sets, and the mean off-diagonal MPMI.

    Args:
        index_sets: sets of latents whose volume is followed beside the single latents and the whole.
        data_std: the data's unit, ``(D,)`` or ``(1,)``; ``None``: results are in the model's unit.
        num_probes: number of projections that are given in the Jacobians' place; ``None``: Jacobians are given.
        mean_jacobian: whether to sum the Jacobians themselves too.
    """

    index_sets: Sequence[tuple[int, ...]] = ()
    data_std: Tensor | None = None
    num_probes: int | None = None
    mean_jacobian: bool = False

    def on(self, device: torch.device) -> JacobianSums:
        """The same with the data's unit on a device, where it stays: a copy at each update would be a wait."""
        if self.data_std is None or self.data_std.device == device:
            return self
        return replace(self, data_std=self.data_std.to(device))

    def __call__(self, jacobian: Tensor, classes: Classes, log_det: Tensor | None = None) -> tuple[SumsByName, int]:
        """Sum over samples.

        Args:
            jacobian: ``(N, D, d)``, or with probes ``(N, m, d)``.
            classes: of the samples.
            log_det: the model's own log-determinant, ``(N,)``.

        Returns:
            For each class the sum of the readings ``(C, m)``, of their outer products, of the MPMI of all pairs
            ``i < j`` and of its square ``(C, P)``, of the columns' squared lengths and of their squares ``(C, d)``, and
            counts of samples that met a floor; and how many samples were left out because of NaN or infinite values. No
            sums if there are no samples.
        """
        samples = _Samples(jacobian, classes, log_det)
        sums, num_lost = _total(self._parts(samples, pairs_of(jacobian.shape[2], float64_device(jacobian.device))))
        if sums:
            moments = sums.pop("moments")
            sums |= {
                "num_samples": moments[:, 0, 0],
                "readings": moments[:, 0, 1:],
                "readings_outer": moments[:, 1:, 1:],
            }
        return sums, num_lost

    def _parts(self, samples: _Samples, pairs: Tensor) -> Iterator[tuple[SumsByName, int]]:
        """The sums of blocks that are looked at one by one, or of all without the doubtful samples, and of these."""
        blocks = samples.blocks()
        if len(blocks) == 1 or samples.jacobian.requires_grad or sizes_of(pairs.device).answers_at_once:
            yield from (self._of_block(samples.at(rows), pairs) for rows in blocks)
            return
        doubtful = []
        for rows in blocks:
            block = _Block(self, samples.at(rows), pairs)
            doubt = torch.stack(block.flags).any(0)
            yield self._sums(block, [False] * len(block.volumes), ~doubt), 0
            doubtful.append(doubt)
        again = torch.cat(doubtful).nonzero()[:, 0]  # the look
        for part in again.split(blocks[0].stop) if len(again) else ():
            yield self._of_block(samples.at(part), pairs)

    def _of_block(self, samples: _Samples, pairs: Tensor) -> tuple[SumsByName, int]:
        block = _Block(self, samples, pairs)
        lost, *suspects = torch.stack(block.flags).sum(1).tolist()  # the look
        if lost:
            return self._of_block(samples.at((~block.flags[0]).nonzero()[:, 0]), pairs)[0], lost
        return self._sums(block, [num > 0 for num in suspects]), 0

    def _sums(self, block: _Block, has_suspects: list[bool], counted: Tensor | None = None) -> SumsByName:
        """Sums over the samples of a block that are counted, by default all."""
        gram, vectors, pairwise, log_det = block.gram, block.vectors, block.pairwise, block.samples.log_det
        readings = [
            volume.reading(self.num_probes, has) for volume, has in zip(block.volumes, has_suspects, strict=True)
        ]
        if not block.knows_whole:
            readings.insert(0, gram.new_zeros(len(gram)) if log_det is None else log_det + self._log_unit(gram))
        columns = [*readings, pairwise.sum(1) / max(pairwise.shape[1], 1)]
        of_samples = torch.cat(
            [gram.new_ones(len(gram), 1), vectors.unbiased_log_norms(self.num_probes), *_columns(columns)], dim=1
        )
        squared_lengths = gram.diagonal(dim1=1, dim2=2) / (self.num_probes or 1)

        def kept(values: Tensor) -> Tensor:
            return values if counted is None else values.where(counted.view(-1, *[1] * (values.ndim - 1)), 0)

        classes, squared_lengths, pairwise = block.samples.classes, kept(squared_lengths), kept(pairwise)
        sums = _pairwise_sums(pairwise, classes) | {
            "num_dead": kept(vectors.dead).sum(0),
            "squared_lengths": classes.sums(squared_lengths),
            "squared_lengths_squared": classes.sums(squared_lengths.square()),
            "moments": classes.moments(kept(of_samples)),
        }
        if self.mean_jacobian:
            sums["jacobian_sum"] = classes.sums(kept(block.scaled))
        if block.knows_whole:
            sums["num_singular"] = kept(block.volumes[0].singular).sum()
        elif log_det is None:
            without = torch.ones_like(block.flags[0])
            sums["num_without_volume"] = kept(without).sum()
        return sums

    def _log_unit(self, gram: Tensor) -> Tensor | float:
        """What the data's unit adds to a flow's log-determinant."""
        return 0.0 if self.data_std is None else self.data_std.log().expand(gram.shape[-1]).sum()


class _Samples(NamedTuple):
    """Jacobians with their classes and the model's log-determinants."""

    jacobian: Tensor
    classes: Classes
    log_det: Tensor | None

    def at(self, rows: slice | Tensor) -> _Samples:
        return _Samples(self.jacobian[rows], self.classes[rows], None if self.log_det is None else self.log_det[rows])

    def blocks(self) -> list[slice]:
        """Samples that are done at once."""
        numbers, device = self.jacobian.shape[2] * max(self.jacobian.shape[1:]), float64_device(self.jacobian.device)
        return list(row_blocks(len(self.jacobian), numbers, device=device))


class _Block:
    """What is computed of samples before they are looked at: ``flags`` tell which are lost, and suspect volumes."""

    def __init__(self, settings: JacobianSums, samples: _Samples, pairs: Tensor) -> None:
        jacobian, classes, log_det = samples
        self.scaled = rescale_jacobian(jacobian, None if settings.num_probes else settings.data_std)
        self.gram = product_of_columns(self.scaled)
        finite = _finite(self.gram)
        if log_det is not None:
            log_det = to_float64(log_det)
            finite = finite & log_det.isfinite()
        self.samples = _Samples(jacobian, classes, log_det)
        self.vectors = TangentVectors.of(self.gram)
        of_pairs = self.vectors.correlation.flatten(1).gather(1, pairs.expand(len(jacobian), -1))
        self.pairwise = pairwise_mutual_information(of_pairs, settings.num_probes)
        self.knows_whole = log_det is None and (
            settings.num_probes is None or self.gram.shape[-1] <= settings.num_probes
        )
        followed = ([None] if self.knows_whole else []) + list(settings.index_sets)
        self.volumes = [_Volume(self.vectors, index_set) for index_set in followed]
        self.flags = [~finite, *(volume.suspect for volume in self.volumes)]


def cross_jacobian_sums(
    jacobian_a: Tensor,
    jacobian_b: Tensor,
    classes: Classes,
    data_std: Tensor | None = None,
    num_probes: int | None = None,
) -> tuple[SumsByName, int]:
    """Sums of the pairwise mutual information between the tangent vectors of two decoders at the same data points.

    Args:
        jacobian_a: ``(N, D, d_a)``, or with probes ``(N, m, d_a)``.
        jacobian_b: ``(N, D, d_b)``.
        classes: of the data points.
        data_std: as in :class:`JacobianSums`, and so is ``num_probes``.
        num_probes: number of projections.

    Returns:
        For each class the sum of the MPMI ``(C, d_a, d_b)``, of its square, and counts; and how many points were left
        out.
    """
    width = jacobian_a.shape[2] + jacobian_b.shape[2]
    unit = None if num_probes else data_std

    def of_block(jacobian: tuple[Tensor, Tensor], classes: Classes) -> tuple[SumsByName, int]:
        both = torch.cat([rescale_jacobian(part, unit) for part in jacobian], dim=-1)
        gram = product_of_columns(both)
        finite = _finite(gram)
        split = jacobian[0].shape[-1]
        pairwise = pairwise_mutual_information(tangent_correlation(gram)[:, :split, split:], num_probes)
        samples = classes.sums(gram.new_ones(len(gram)))
        sums = _pairwise_sums(pairwise, classes) | {"num_samples": samples}
        lost = int((~finite).sum())
        if lost:
            kept = finite.nonzero()[:, 0]
            return of_block((jacobian[0][kept], jacobian[1][kept]), classes[kept])[0], lost
        return sums, 0

    blocks = row_blocks(
        len(jacobian_a), width * max(width, jacobian_a.shape[1]), device=float64_device(jacobian_a.device)
    )
    return _total(of_block((jacobian_a[rows], jacobian_b[rows]), classes[rows]) for rows in blocks)


class _Volume:
    """Log-volumes of an index set, whose doubtful samples are looked at only if there are any."""

    def __init__(self, vectors: TangentVectors, index_set: tuple[int, ...] | None) -> None:
        self.vectors = vectors
        if index_set is not None:
            self.vectors = vectors.of_latents(_index(index_set, vectors.correlation.device))
        self.first = cholesky_log_det(self.vectors.correlation)
        self.suspect = self.singular = self.first.suspect

    def reading(self, num_probes: int | None, has_suspects: bool) -> Tensor:
        """The log-volumes, ``(n,)``; then ``singular`` tells where they are only a floor."""
        log_det, correlation = self.first.log_det, self.vectors.correlation
        if correlation.requires_grad:
            log_det, self.singular = log_det_correlation(correlation)
        elif has_suspects:
            log_det, self.singular = floored_log_det(correlation, self.first)
        return self.vectors.log_volume(log_det, num_probes)


def pairs_of(num_latents: int, device: torch.device) -> Tensor:
    """Where the pairs ``i < j`` are in a flattened ``(d, d)`` matrix."""
    rows, columns = torch.triu_indices(num_latents, num_latents, 1, device=device)
    return rows * num_latents + columns


@lru_cache
def _index(index_set: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(index_set, device=device)


def _finite(gram: Tensor) -> Tensor:
    """Samples without NaN and infinity: a column that has one has such a length too."""
    return gram.diagonal(dim1=1, dim2=2).isfinite().all(1)


def _pairwise_sums(pairwise: Tensor, classes: Classes) -> SumsByName:
    return {
        "pairwise": classes.sums(pairwise),
        "pairwise_squared": classes.sums(pairwise.square()),
        "num_saturated": (pairwise >= MAX_PAIRWISE).sum(),
    }


def _columns(vectors: Iterable[Tensor]) -> list[Tensor]:
    return [vector[:, None] for vector in vectors]


def _total(blocks: Iterable[tuple[SumsByName, int]]) -> tuple[SumsByName, int]:
    total: SumsByName = {}
    num_lost = 0
    for sums, lost in blocks:
        num_lost += lost
        for name, value in sums.items():
            total[name] = total[name].add_(value) if name in total else value
    return total, num_lost
