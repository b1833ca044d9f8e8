"""Bytes of states in closed form, by latents, factors, bins and rows: what a large study has to hold."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import Metric

from torchdisentangle import SAP, ELBODecomposition, MutualInformationGap

GENERATOR = torch.Generator().manual_seed(0)


def state_bytes(metric: Metric) -> int:
    return sum(state.nbytes for name, state in metric.metric_state.items() if name != "configuration")


def rows(number: int, num_codes: int, num_factors: int, num_values: int) -> tuple[torch.Tensor, torch.Tensor]:
    factors = torch.randint(num_values, (number, num_factors), generator=GENERATOR)
    factors[0] = num_values - 1
    return torch.randn(number, num_codes, generator=GENERATOR), factors


@pytest.mark.parametrize("intervals", [True, False])
@pytest.mark.parametrize(("d", "num_factors", "num_values", "num_bins"), [(3, 2, 4, 5), (20, 3, 7, 10)])
@pytest.mark.parametrize("number", [50, 500])
def test_counts(number: int, d: int, num_factors: int, num_values: int, num_bins: int, intervals: bool) -> None:
    """One for each group, value, factor, code and bin, whatever the number of rows."""
    metric = MutualInformationGap(edges=(-3.0, 3.0), num_bins=num_bins, intervals=intervals)
    metric.update(*rows(number, d, num_factors, num_values), index=torch.arange(number))
    groups = 20 if intervals else 1
    totals = groups + 2  # rows of each group; rows without an index, and that were not finite
    assert state_bytes(metric) == 8 * (groups * num_values * num_factors * d * num_bins + totals)


@pytest.mark.parametrize("intervals", [True, False])
@pytest.mark.parametrize(("d", "num_factors"), [(3, 2), (40, 5)])
@pytest.mark.parametrize("number", [50, 500])
def test_moments(number: int, d: int, num_factors: int, intervals: bool) -> None:
    """A count, a mean and a square of products for each group."""
    metric = SAP(intervals=intervals)
    metric.update(*rows(number, d, num_factors, 3), index=torch.arange(number))
    groups, width = 20 if intervals else 1, d + num_factors
    totals = 2 + 2  # both widths; rows without an index, and that were not finite
    assert state_bytes(metric) == 8 * (groups * (1 + width + width**2) + totals)


@pytest.mark.parametrize("number", [50, 500])
def test_samples(number: int) -> None:
    """A key, a mean and a log-variance of each row, up to the most; four sums for each latent, and four counts."""
    d, most = 6, 100
    metric = ELBODecomposition(max_rows=most)
    metric.update(torch.randn(number, d, generator=GENERATOR), torch.zeros(number, d), index=torch.arange(number))
    kept = min(number, most)
    assert state_bytes(metric) - 8 * kept * (1 + 2 * d) == 8 * (4 * d + 4)
