"""Every registered score on data at the edge: a finite value, or a reason that names what is wrong.

A score that registers itself is covered here without another line.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from torchdisentangle.supervised import registered_scores

NUM_ROWS = 48
NAMES = sorted(registered_scores())
_GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.cartesian_prod(torch.arange(4), torch.arange(3)).repeat(4, 1)
CODES = FACTORS + 0.5 * torch.randn(NUM_ROWS, 2, generator=_GENERATOR)
NOISE = torch.randn(NUM_ROWS, 5, generator=_GENERATOR)
ONES = torch.ones(NUM_ROWS, 1)
BROKEN = torch.where(torch.arange(NUM_ROWS)[:, None] % 9 == 5, torch.nan, CODES)

EDGES: dict[str, tuple[Tensor, Tensor]] = {
    "a constant code": (torch.cat([CODES, ONES], 1), FACTORS),
    "constant codes": (ONES.expand(-1, 2), FACTORS),
    "one code": (CODES[:, :1], FACTORS),
    "one factor": (CODES, FACTORS[:, :1]),
    "one code and one factor": (CODES[:, :1], FACTORS[:, :1]),
    "a factor of one value": (CODES, torch.cat([FACTORS, ONES.long()], 1)),
    "factors of one value": (CODES, ONES.long().expand(-1, 2)),
    "ties": ((CODES > 1).float(), FACTORS),
    "perfect codes": (FACTORS.float(), FACTORS),
    "NaN rows": (BROKEN, FACTORS),
    "rows of NaN alone": (torch.nan * CODES, FACTORS),
    "duplicated codes": (CODES[:, [0, 1, 0, 1]], FACTORS),
    "fewer codes than factors": (CODES, torch.cat([FACTORS, (NOISE[:, :2] > 0).long()], 1)),
    "more codes than factors": (torch.cat([CODES, NOISE], 1), FACTORS),
    "a value of each row": (CODES[:12], torch.arange(12)[:, None]),
    "two rows": (CODES[:2], FACTORS[:2]),
    "one row": (CODES[:1], FACTORS[:1]),
    "no rows": (CODES[:0], FACTORS[:0]),
}
REFUSED = {"factors of one value", "rows of NaN alone", "one row", "no rows"}
"""Where no score can have a value."""

A_REASON = re.compile(r"\b(codes?|factors?|rows?|values?|log_variance|index)\b")


def filled(name: str, codes: Tensor, factors: Tensor) -> Any:
    score, settings = registered_scores()[name]
    metric = score(**settings)
    metric.update(codes, factors, log_variance=torch.full_like(codes, -2.0), index=torch.arange(len(codes)))
    return metric


def numbers(value: Any) -> list[float]:
    """All numbers of a value, which is a tensor or a dictionary of tensors."""
    values = value.values() if isinstance(value, dict) else [value]
    return [number for one in values for number in one.double().flatten().tolist()]


def result(work: Callable[[], Any], why: str) -> tuple[list[float], str]:
    """The numbers of a value, or the error's message; what is said besides must be a known warning, with a reason."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found, error = numbers(work()), ""
        except ValueError as refusal:
            found, error = [], str(refusal)
    for warning in caught:
        assert issubclass(warning.category, UserWarning), f"{warning.category.__name__}: {warning.message}"
    messages = [str(warning.message) for warning in caught]
    if any(map(math.isnan, found)):
        assert any(why in message for message in messages), f"NaN without a reason, of {messages}"
    return found, error


@pytest.mark.filterwarnings("ignore:rows with NaN")
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_value_or_a_reason(name: str, edge: str) -> None:
    metric = filled(name, *EDGES[edge])
    found, error = result(metric.compute, metric.why_unscored)
    assert bool(found) != bool(error)
    assert not any(map(math.isinf, found))
    assert not error or A_REASON.search(error), error
    assert error or edge not in REFUSED


def both_ends(metric: Any) -> Tensor:
    return torch.tensor([numbers(end) for end in metric.interval()])


@pytest.mark.parametrize("name", [name for name in NAMES if registered_scores()[name].cost == "quick"])
def test_an_interval_or_a_reason(name: str) -> None:
    for edge in ("a constant code", "a factor of one value", "one code and one factor", "two rows"):
        metric = filled(name, *EDGES[edge])
        found, error = result(partial(both_ends, metric), metric.why_unscored)
        assert bool(found) != bool(error)
        assert not any(map(math.isinf, found))
        assert not error or A_REASON.search(error), error


def on_a_process(rank: int) -> dict[str, Any]:
    """All rows are on the second process."""
    codes, factors = EDGES["more codes than factors"]
    rows = slice(None) if rank else slice(0)
    return {name: numbers(filled(name, codes[rows], factors[rows]).compute()) for name in NAMES}


def test_a_process_without_rows(run_processes: Callable[..., list[Any]]) -> None:
    expected = on_a_process(1)
    for found in run_processes(2, on_a_process):
        for name in NAMES:
            # sums over processes, in another order
            assert found[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


def test_silent_failures_are_found() -> None:
    def divides() -> Tensor:
        warnings.warn("divide by zero", RuntimeWarning, stacklevel=2)
        return torch.ones(())

    with pytest.raises(AssertionError, match="NaN without a reason"):
        result(lambda: torch.tensor([0.5, math.nan]), "too few values")
    with pytest.raises(AssertionError, match="divide by zero"):
        result(divides, "too few values")
