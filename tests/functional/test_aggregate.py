"""Log-sums of the aggregate posterior against brute force, however rows and queries are cut."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor

from tests.launches import Launches
from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.manifold.decoder_memory import PeakMemory

GENERATOR = torch.Generator().manual_seed(0)
MEAN = torch.randn(61, 3, generator=GENERATOR).double()
LOG_VARIANCE = torch.randn(61, 3, generator=GENERATOR).double() - 2
FACTORS = torch.stack([torch.arange(61) % 4, torch.arange(61) // 31], dim=1)
CHOSEN = torch.tensor([0, 3, 3, 17, 60])
Z = MEAN[CHOSEN] + 0.1 * torch.randn(5, 3, generator=GENERATOR)
WEIGHTS = torch.rand(61, generator=GENERATOR).double()

# sums of at most 61 terms of moderate size in float64, and then a logarithm
CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


def log_sums(rows: Any = slice(None), scale: float = 0.0, **settings: Any) -> AggregateLogSums:
    return aggregate_log_sums(
        Z,
        MEAN[rows],
        LOG_VARIANCE[rows] + scale,
        leave_one_out=True,
        factors=FACTORS[rows],
        query_factors=FACTORS[CHOSEN],
        **settings,
    )


def brute_force(scale: float = 0.0, log_weights: Tensor | None = None) -> AggregateLogSums:
    """The same from the whole ``(S, N, d)`` tensor of SciPy's log-densities."""
    single = torch.from_numpy(norm.logpdf(Z[:, None], MEAN, ((LOG_VARIANCE + scale) / 2).exp()))
    log_weights = torch.zeros(61).double() if log_weights is None else log_weights
    same = FACTORS[CHOSEN][:, None] == FACTORS  # (S, N, F)
    weighted = single + log_weights[:, None]
    return AggregateLogSums(
        log_weights.logsumexp(0),
        (single.sum(-1) + log_weights).logsumexp(1),
        weighted.logsumexp(1),
        torch.stack([(single.sum(-1) - single[..., i] + log_weights).logsumexp(1) for i in range(3)], dim=1),
        weighted[:, :, None].masked_fill(~same[..., None], -torch.inf).logsumexp(1),
        log_weights[None, :, None].masked_fill(~same, -torch.inf).logsumexp(1),
    )


def assert_same(found: AggregateLogSums, expected: AggregateLogSums, **tolerance: Any) -> None:
    for name, a, b in zip(expected._fields, found, expected, strict=True):
        torch.testing.assert_close(a, b, **(tolerance or CLOSE), msg=lambda message, name=name: f"{name}: {message}")


@pytest.mark.parametrize("block_bytes", [None, 1, 300, 5000])
@pytest.mark.parametrize("log_weights", [None, WEIGHTS.log()])
def test_brute_force(block_bytes: int | None, log_weights: Tensor | None) -> None:
    assert_same(log_sums(block_bytes=block_bytes, log_weights=log_weights), brute_force(log_weights=log_weights))


@pytest.mark.parametrize("scale", [-8.0, -16.0, -30.0])
def test_narrow_posteriors_lose_nothing(scale: float) -> None:
    """Where nearly all densities underflow, also among the rows that match; values reach -1e14."""
    assert_same(log_sums(scale=scale, block_bytes=2000), brute_force(scale), rtol=1e-11, atol=1e-9)


@given(st.lists(st.integers(0, 61), max_size=3).map(sorted))
def test_any_split_merges_to_the_whole(cuts: list[int]) -> None:
    edges = [0, *cuts, 61]
    parts = [log_sums(slice(start, stop)) for start, stop in pairwise(edges)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    assert_same(whole, log_sums())


def test_no_rows_no_queries_and_zero_weights() -> None:
    empty = log_sums(slice(0))
    assert all((value == -torch.inf).all() for value in empty if value is not None)
    assert_same(empty.merge(log_sums()), log_sums())
    assert aggregate_log_sums(Z[:0], MEAN, LOG_VARIANCE).marginal.shape == (0, 3)
    half = torch.where(torch.arange(61) < 30, 0.0, -torch.inf)
    assert_same(log_sums(log_weights=half), log_sums(slice(30)))


def test_values_without_a_match_are_minus_infinity() -> None:
    sums = aggregate_log_sums(Z[:1], MEAN, LOG_VARIANCE, factors=FACTORS, query_factors=torch.tensor([[9, 1]]))
    assert sums.matched is not None
    assert (sums.matched[0, 0] == -torch.inf).all()
    assert sums.matched[0, 1].isfinite().all()
    assert sums.matched_weight is not None
    assert sums.matched_weight.exp()[0].tolist() == pytest.approx([0, 30], abs=1e-12)


def test_one_far_row_by_hand() -> None:
    """One standard normal row, a query ten units away: log-density -50 - log sqrt(2 pi) in each dimension."""
    sums = aggregate_log_sums(torch.full((1, 2), 10.0), torch.zeros(1, 2), torch.zeros(1, 2), leave_one_out=True)
    single = -50 - 0.5 * math.log(2 * math.pi)
    assert sums.marginal[0].tolist() == pytest.approx([single, single])
    assert sums.leave_one_out is not None
    assert sums.leave_one_out[0].tolist() == pytest.approx([single, single])
    assert float(sums.joint) == pytest.approx(2 * single)


def test_gradients() -> None:
    z, mean, log_variance = (x[:6].clone().requires_grad_() for x in (Z, MEAN, LOG_VARIANCE))
    assert torch.autograd.gradcheck(
        lambda *x: aggregate_log_sums(*x, block_bytes=100, leave_one_out=True)[1:4], (z, mean, log_variance)
    )


@pytest.mark.parametrize("log_weights", [None, WEIGHTS.log()])
def test_all_dimensions_but_one_take_no_more_exponentials(log_weights: Tensor | None) -> None:
    """Each costs as much as a dozen additions; with weights, the densities without them are needed too."""

    def exponentials(leave_one_out: bool) -> int:
        with Launches() as launches:
            aggregate_log_sums(Z, MEAN, LOG_VARIANCE, leave_one_out=leave_one_out, log_weights=log_weights)
        return sum(launches.operations[name] for name in ("exp", "exp_", "logsumexp"))

    assert exponentials(True) <= exponentials(False) + (0 if log_weights is None else 2)


def test_many_dimensions_of_which_one_is_narrow() -> None:
    """The product of all is tiny, that without the narrow one moderate; 600 dimensions underflow and are done again."""
    for width in (40, 600):
        generator = torch.Generator().manual_seed(width)
        z, mean = torch.randn(2, 8, width, generator=generator).double()
        log_variance = torch.zeros(8, width).double()
        log_variance[:, 1] = -20
        single = torch.from_numpy(norm.logpdf(z[:, None], mean, (log_variance / 2).exp()))
        expected = torch.stack(
            [torch.cat([single[..., :i], single[..., i + 1 :]], -1).sum(-1).logsumexp(1) for i in range(width)], dim=1
        )
        found = aggregate_log_sums(z, mean, log_variance, leave_one_out=True).leave_one_out
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_memory_is_flat_in_rows_and_queries() -> None:
    peaks = []
    for num_rows, num_queries in ((2000, 50), (8000, 200)):
        rows = torch.randn(num_rows, 4)
        with PeakMemory() as memory:
            aggregate_log_sums(rows[:num_queries], rows, rows, block_bytes=2**16)
        peaks.append(memory.peak - 8 * num_queries * 2 * 5)  # not the result and the piece that is merged with it
    assert peaks[1] < 1.1 * peaks[0] + 50_000
    assert peaks[1] < 8 * 8000 * 200  # one float64 for each pair of a row and a query would be more


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((Z[:, :2], MEAN, LOG_VARIANCE), {}, "queries"),
        ((Z, MEAN, LOG_VARIANCE[:3]), {}, "queries"),
        ((Z, MEAN.long(), LOG_VARIANCE), {}, "floating point"),
        ((Z, MEAN, LOG_VARIANCE), {"log_weights": torch.zeros(3)}, r"log_weights must have shape \(61,\)"),
        ((Z, MEAN, LOG_VARIANCE), {"factors": FACTORS}, "belong together"),
        ((Z, MEAN, LOG_VARIANCE), {"factors": FACTORS, "query_factors": FACTORS}, r"\(61, F\) and \(5, F\)"),
        ((Z, MEAN, LOG_VARIANCE), {"factors": FACTORS.double(), "query_factors": FACTORS[:5]}, "integers"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[Tensor, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate_log_sums(*arguments, **settings)
    with pytest.raises(ValueError, match="do not belong together"):
        log_sums().merge(aggregate_log_sums(Z, MEAN, LOG_VARIANCE))
