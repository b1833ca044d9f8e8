"""Batches that several processes read alike, each taking its turn."""

from __future__ import annotations

import math
import zlib
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.rows import Key, take


class SharedBatches:
    """Lets several processes take the batches of one data loader in turn, and checks that they read the same ones.

    All processes begin with the first one's random numbers, so that a loader that shuffles gives all the same order.

    Args:
        place: where this process stands.
        input_key: where the data are in a batch.
    """

    def __init__(self, place: Place, input_key: Key = None) -> None:
        self.place = place
        self.input_key = input_key
        self.exhausted = False
        self._digests = [0]

    def share_random_state(self) -> None:
        """Set the state of torch's generator to the first process's; a collective."""
        state = torch.get_rng_state().to(self.place.device)
        dist.broadcast(state, 0)
        torch.set_rng_state(state.cpu())

    def is_own(self, batch: Any) -> bool:
        """Note the next batch; whether it is this process's turn."""
        try:
            digest = _digest(take(batch, self.input_key), self._digests[-1])
        except TypeError:  # what is evaluated will say so
            digest = self._digests[-1]
        self._digests.append(digest)
        return (len(self._digests) - 2) % self.place.world_size == self.place.rank

    def check(self) -> None:
        """Raise an error on all processes unless they have read the same batches; a collective.

        Raises:
            ValueError: if they have not.
        """
        count = len(self._digests) - 1
        fewest, most = -int(self.place.largest(-count)), self.place.largest(count)
        complete = -self.place.largest(-count if self.exhausted else -math.inf)
        if not self.place.same(self._digests[fewest]) or most > complete:
            raise ValueError(
                "the data loader gives the processes different batches: give all of them the same, or read the data "
                "through a DistributedSampler"
            )


def _digest(rows: Tensor, start: int) -> int:
    rows = rows.detach().cpu().contiguous()
    return zlib.crc32(rows.view(torch.uint8).numpy().tobytes(), start) if rows.numel() else start
