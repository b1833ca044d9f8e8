"""Formulas that work in blocks of rows: their values do not depend on the sizes, nor their memory on the rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from torchdisentangle import functional as F
from torchdisentangle.functional.device import CPU_SIZES, GPU_SIZES, Sizes, use_sizes
from torchdisentangle.functional.informativeness.quantization import quantized_blocks
from torchdisentangle.functional.manifold.decoder_memory import PeakMemory
from torchdisentangle.supervised import RobustMIG

TINY_SIZES = CPU_SIZES._replace(numbers_at_once=4096)


def posteriors(num_rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(num_rows, 3, generator=generator, dtype=torch.float64)
    return mean, torch.randn(num_rows, 3, generator=generator, dtype=torch.float64) - 2.0


def aggregate(mean: Tensor, log_variance: Tensor) -> Tensor:
    return F.aggregate_log_sums(mean[:8], mean, log_variance).marginal


def pairs(mean: Tensor, log_variance: Tensor) -> Tensor:
    return F.pairwise_information(mean[:8], mean, log_variance)


def channels(mean: Tensor, log_variance: Tensor) -> Tensor:
    return F.compare_posteriors(mean[:120], log_variance[:120]).variation_of_information


def sampled(mean: Tensor, log_variance: Tensor) -> Tensor:
    return F.space_information(mean[:120], log_variance[:120], num_samples=50).value


def bins(mean: Tensor, log_variance: Tensor) -> Tensor:
    blocks = quantized_blocks(mean, log_variance, (-4.0, 4.0), 20, "exact")
    return torch.stack([block.sum(0) for block in blocks]).sum(0)


def counts(mean: Tensor, log_variance: Tensor) -> Tensor:
    metric = RobustMIG()
    metric.update(mean, torch.arange(len(mean))[:, None] % 4, log_variance=log_variance)
    return metric.joint_counts()


FORMULAS = [aggregate, pairs, channels, sampled, bins, counts]


@pytest.mark.parametrize("sizes", [TINY_SIZES, GPU_SIZES], ids=["tiny", "GPU"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_values_do_not_depend_on_the_sizes(formula: Callable[..., Tensor], sizes: Sizes) -> None:
    expected = formula(*posteriors(900))
    with use_sizes(sizes):
        found = formula(*posteriors(900))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)  # float64 sums in another order


@pytest.mark.parametrize("formula", [aggregate, pairs, bins, counts])
def test_memory_does_not_grow_with_the_rows(formula: Callable[..., Tensor]) -> None:
    """Beyond a few numbers for each row."""
    peaks = []
    with use_sizes(TINY_SIZES):
        for num_rows in (2_000, 8_000):
            rows = posteriors(num_rows)
            with PeakMemory() as memory:
                formula(*rows)
            peaks.append(memory.peak)
    assert peaks[1] - peaks[0] <= 6_000 * 8 * 3 * 6  # six copies of the means, where a block would be 60 or 300
