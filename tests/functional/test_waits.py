"""However many blocks the rows are cut into, a CPU waits for the device equally often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from tests.launches import Launches
from torchdisentangle import (
    Informativeness,
    MutualInformationGap,
    PairwiseMutualInformation,
    Separability,
    TotalCorrelation,
    manifold_metrics,
)
from torchdisentangle import functional as F
from torchdisentangle.functional.device import CPU_SIZES, Answer, Sizes, use_sizes
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.similarity import monte_carlo
from torchdisentangle.functional.supervised import joint_counts
from torchdisentangle.statistics import Statistic

MANY_BLOCKS = CPU_SIZES._replace(numbers_at_once=8192)
NUM_ROWS, LATENTS = 400, 3


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_counts, "counted", joint_counts._scattered)


def posteriors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, NUM_ROWS, LATENTS, generator=generator).double()
    return mean, log_variance - 2


def factors() -> Tensor:
    return torch.stack([torch.arange(NUM_ROWS) % 4, torch.arange(NUM_ROWS) // 150], dim=1)


def updated(make: Callable[[], Statistic]) -> object:
    metric = make()
    metric.update(*posteriors())
    return metric.compute()


def counted(**settings: object) -> object:
    metric = MutualInformationGap(**settings)  # type: ignore[arg-type]
    mean, log_variance = posteriors()
    given = {"log_variance": log_variance} if "binning" in settings else {}
    metric.update(mean, factors(), **given)
    return metric.compute()


def matched(rows: slice = slice(None), scale: float = 0.0) -> object:
    mean, log_variance = posteriors()
    settings = {"factors": factors()[rows], "query_factors": factors()[:50], "leave_one_out": True}
    return F.aggregate_log_sums(mean[:50], mean[rows], log_variance[rows] + scale, **settings)


def pairs(scale: float) -> object:
    mean, log_variance = posteriors()
    return F.pairwise_information(mean[:50], mean[50:], log_variance[50:] + scale)


FAMILIES: dict[str, Callable[[], object]] = {
    "counts in bins of a range": partial(counted, edges=(-2.0, 2.0), intervals=False),
    "counts in bins of the data": counted,
    "counts in quantiles": partial(counted, edges="prior", intervals=False),
    "soft counts": partial(counted, edges=(-2.0, 2.0), binning="soft"),
    "soft counts of the data": partial(counted, binning="soft"),
    "soft counts in quantiles": partial(counted, edges="prior", binning="soft"),
    "soft counts by densities": partial(counted, edges=(-2.0, 2.0), binning="soft", mode="reference"),
    "soft bins": partial(updated, Informativeness),
    "soft bins by densities": partial(updated, partial(Informativeness, mode="reference")),
    "pairs of soft bins": partial(updated, PairwiseMutualInformation),
    "aggregate posterior": partial(updated, TotalCorrelation),
    "matching rows": matched,
    "separability": partial(updated, partial(Separability, num_queries=50)),
    "pairs of latents": partial(updated, partial(PairwiseMutualInformation, "sampling", num_queries=50)),
    "Bhattacharyya products": lambda: F.compare_posteriors(*posteriors()),
    "sampled similarity": lambda: F.space_similarity(*posteriors(), *posteriors(), num_samples=50),
}


def test_what_is_counted() -> None:
    x = torch.arange(6.0).view(2, 3)
    for wait in (
        lambda: bool((x > 0).any()),
        lambda: x[x > 0],
        lambda: x.sum().item(),
        lambda: x[0].tolist(),
        lambda: x.nonzero(),
        lambda: torch.equal(x, x),
        lambda: torch.bincount(x[0].long()),
        lambda: int(x[0, 0]),
    ):
        with Launches() as launches:
            wait()
        assert launches.waits.total() == 1
    with Launches() as launches:
        (x[:, None].mT + 1)[..., 0].clamp(min=0)[torch.tensor([0, 1])]
    assert launches.waits.total() == 0
    assert +launches.operations == Counter(add=1, clamp=1, index=1)


@pytest.mark.parametrize(("waits_between", "waits"), [(0, 1), (1, 1), (2, 2)])
def test_an_answer_that_was_sent_ahead_is_there_after_any_other_wait(waits_between: int, waits: int) -> None:
    x = torch.arange(3)
    with Launches() as launches:
        x.sum().item()  # too early
        early = launches.waits.total()
        answer = Answer(x)
        for _ in range(waits_between):
            x.sum().item()
        assert answer.read() == [0, 1, 2]
    assert launches.waits.total() - early == waits


def launches_of(work: Callable[[], object], sizes: Sizes) -> Launches:
    with use_sizes(sizes), mock.patch.object(monte_carlo, "_BLOCK", sizes.numbers_at_once), Launches() as launches:
        work()
    return launches


@pytest.mark.parametrize("family", FAMILIES)
def test_waits_do_not_grow_with_the_number_of_blocks(family: str) -> None:
    one_block, many_blocks = (launches_of(FAMILIES[family], sizes) for sizes in (CPU_SIZES, MANY_BLOCKS))
    assert many_blocks.operations.total() > one_block.operations.total()
    assert +many_blocks.waits == +one_block.waits


@pytest.mark.parametrize(
    ("work", "kinds"),
    [(partial(matched, slice(50, None), -14.0), 2), (partial(pairs, -14.0), 1)],
    ids=["matching rows and all latents but one", "pairs"],
)
def test_sums_that_underflow_cost_as_many_waits_in_any_number_of_blocks(work: Callable[[], object], kinds: int) -> None:
    """Posteriors so narrow that the queries are out of reach of most of them: a wait for each kind of sums."""
    one_block, many_blocks = (launches_of(work, sizes) for sizes in (CPU_SIZES, MANY_BLOCKS))
    assert one_block.operations["index_put"] > 0
    assert +many_blocks.waits == +one_block.waits == Counter(nonzero=kinds)


WAITING = MANY_BLOCKS._replace(answers_at_once=False)


def some_jacobians() -> Tensor:
    return torch.randn(4000, 5, LATENTS, generator=torch.Generator().manual_seed(0))


def test_jacobians_are_looked_at_once_in_an_update() -> None:
    """In any number of blocks, where a device has to be waited for; a CPU looks at each block while it is in cache."""
    metrics, jacobian = manifold_metrics(), some_jacobians()
    blocks = list(row_blocks(len(jacobian), 5 * LATENTS, MANY_BLOCKS.numbers_at_once))
    assert launches_of(partial(metrics.update, jacobian), CPU_SIZES).waits.total() == 1
    assert launches_of(partial(metrics.update, jacobian), WAITING).waits.total() == 1
    assert launches_of(partial(metrics.update, jacobian), MANY_BLOCKS).waits.total() == len(blocks) > 4


@pytest.mark.filterwarnings("ignore:Jacobians with NaN")
@pytest.mark.parametrize("settings", [{}, {"num_classes": 3}, {"partition": [[0, 1], [2]]}])
def test_doubtful_jacobians_are_done_at_the_end(settings: dict[str, Any]) -> None:
    """Some that are not finite, dead, or linearly dependent: the sums are those of blocks that are looked at."""
    jacobian = some_jacobians().double()  # so that dependent columns are singular to rounding
    jacobian[1::50, :, 0] = 0.0
    jacobian[2::40, :, 1] = jacobian[2::40, :, 0]
    jacobian[3::40, :, 2] = jacobian[3::40, :, 0] - jacobian[3::40, :, 1]
    jacobian[::7, 0, 0] = torch.nan
    given = {"labels": torch.arange(4000) % 3} if "num_classes" in settings else {}
    looked, waiting = manifold_metrics(**settings), manifold_metrics(**settings)
    with use_sizes(MANY_BLOCKS):
        looked.update(jacobian, **given)
    launches = launches_of(partial(waiting.update, jacobian, **given), WAITING)
    assert launches.waits["nonzero"] < 30
    expected, found = looked["spectrum"], waiting["spectrum"]  # all share their states
    for state in expected.state_names:
        # sums of 3,400 samples in another order; a sample that is missing would change 1 in 3,400
        torch.testing.assert_close(getattr(found, state), getattr(expected, state), rtol=1e-9, atol=1e-9)
    assert found.num_nonfinite == len(range(0, 4000, 7))
    assert found.num_singular > 0


def test_counts_of_a_gpu_are_those_of_a_cpu() -> None:
    """The form that does not wait, and the one that is fast on a CPU."""
    cells = torch.randint(50, (1000,), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    assert torch.equal(joint_counts._scattered(cells, 60), torch.bincount(cells, minlength=60))
