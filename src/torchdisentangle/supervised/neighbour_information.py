"""Information of codes about factors from distances to nearest neighbours, without bins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.ksg import informational_correlation, ksg_mutual_information
from torchdisentangle.functional.supervised.ross import ross_mutual_information
from torchdisentangle.statistics.checks import Continuous, continuous_columns
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.information_estimator import Information, InformationEstimator

_ROUNDING = 1e-12  # nats


class NeighbourInformation(InformationEstimator):
    r"""Information of codes by nearest neighbours: Ross's estimator for labels, that of KSG for real numbers.

    There are no bins that cap it, and it does not depend on the scale of a code. What no code knows is found to be
    known a little, a few hundredths of a nat, for some estimates of 0 are above it and none is below.

    A continuous factor has no entropy to divide by. Its information is put on a scale from 0 to 1,
    :math:`\sqrt{1 - e^{-2I}}`, the correlation of normal variables with this information, and counts as if the
    factor's entropy were 1.

    Args:
        rows: which rows are kept.
        num_neighbours: ``k`` of both estimators.
        continuous: columns of the factors that are real numbers; ``True``: all.
        discrete_codes: whether codes are labels, whose values are counted.

    Raises:
        ValueError: if ``num_neighbours`` is not positive.
    """

    def __init__(
        self,
        rows: CodeFactorRows,
        num_neighbours: int = 3,
        continuous: Continuous = False,
        discrete_codes: bool = False,
    ) -> None:
        if num_neighbours < 1:
            raise ValueError(f"num_neighbours must be at least 1, got {num_neighbours}")
        self.rows: CodeFactorRows = rows
        self.state: CodeFactorRows = rows
        self.num_neighbours: int = num_neighbours
        self.continuous: Continuous = continuous
        self.discrete_codes: bool = discrete_codes

    def information(self, score: Any) -> Information:
        """Information about all factors, of continuous ones on a scale from 0 to 1."""
        score.require_samples(self.rows.num_rows(score), "rows", self.num_neighbours + 1)
        rows = self.rows.read(score)
        how = ("neighbours", self.num_neighbours, self.discrete_codes)
        if how not in rows.derived:
            rows.derived[how] = self._estimate(rows["codes"], rows["factors"])
        estimate = rows.derived[how]
        entropies = torch.stack([entropy(column.unique(return_counts=True)[1]) for column in rows["factors"].mT])
        real = torch.tensor(continuous_columns(self.continuous, len(entropies)), device=estimate.device)
        of_labels = torch.minimum(estimate, entropies)  # an estimate may exceed what there is to know
        mutual = torch.where(real, informational_correlation(estimate), of_labels)
        entropies = torch.where(real, (entropies > 0).double(), entropies)
        return Information(mutual, entropies, mutual.new_full(mutual.shape[:1], torch.inf), estimate=estimate)

    def _estimate(self, codes: Tensor, factors: Tensor) -> Tensor:
        columns = []
        for factor, real in zip(factors.unbind(1), continuous_columns(self.continuous, factors.shape[1]), strict=True):
            if self.discrete_codes:
                columns.append(torch.stack([self._of_labels(code, factor, real) for code in codes.unbind(1)]))
            elif real:
                columns.append(ksg_mutual_information(codes, factor[:, None], self.num_neighbours)[:, 0])
            else:
                columns.append(ross_mutual_information(codes, factor, self.num_neighbours))
        return torch.stack(columns, dim=1)

    def _of_labels(self, code: Tensor, factor: Tensor, real: bool) -> Tensor:
        if real:
            return ross_mutual_information(factor[:, None], code, self.num_neighbours)[0]
        together = torch.stack([code, factor], dim=1)
        of_code, of_factor, of_both = (
            entropy(values.unique(dim=0, return_counts=True)[1]) for values in (code, factor, together)
        )
        value = of_code + of_factor - of_both
        return torch.where(value > _ROUNDING, value, 0.0)
