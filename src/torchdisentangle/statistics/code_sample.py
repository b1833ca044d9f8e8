"""A bounded uniform sample of codes."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import check_codes, check_index, finite_rows
from torchdisentangle.statistics.readout import readout
from torchdisentangle.statistics.sample import RowSample


class CodeSampleStatistic(Statistic):
    """Codes of at most ``max_rows`` rows, shared by all metrics with equal settings.

    Args:
        max_rows: how many rows to keep at most, a uniform sample.
        seed: of the choice of rows, and of what is drawn.
        settings: as for :class:`torchmetrics.Metric`.
    """

    is_differentiable: bool | None = False
    keys: Tensor
    codes: Tensor

    def __init__(self, max_rows: int = 10_000, seed: int = 0, **settings: Unpack[MetricSettings]) -> None:
        super().__init__(("codes alone", max_rows, seed), **settings)
        self.sample: RowSample = RowSample(["codes"], max_rows, seed)
        self.add_state_of(self.sample)
        self.max_rows: int = max_rows
        self.seed: int = seed

    def update(self, codes: Tensor, *, index: Tensor | None = None) -> None:
        """Add codes.

        Args:
            codes: ``(n, d)``: posterior means, or samples. Rows with NaN or infinite entries, or any beyond 1e150, are
                left out, counted in ``num_nonfinite``, and warned of.
            index: global positions of the rows in the data set, ``(n,)`` integers; decides which rows are kept beyond
                ``max_rows``.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if the shapes do not fit.
        """
        codes = check_codes(codes, width=self.codes.shape[1] if len(self.keys) else None)
        index = check_index(index, len(codes))
        kept = finite_rows(codes, squared=True)
        self.sample.add(self, {"codes": codes}, index, kept)
        self.leave_out(int((~kept).sum()), "codes")

    @readout
    def sample_size(self) -> int:
        """Number of rows that the value stands on."""
        return len(self.keys)

    def _codes(self) -> Tensor:
        """The kept codes, in a random order that depends on them alone, on the CPU."""
        self.require_samples(len(self.keys), "codes")
        return self.sample.read(self)["codes"].cpu()

    def _generator(self) -> torch.Generator:
        """Random numbers for one computation."""
        return torch.Generator().manual_seed(self.seed)
