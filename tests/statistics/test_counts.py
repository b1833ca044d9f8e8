"""Joint counts: the same for any split of the rows into batches, objects and processes."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchdisentangle import SAP, StatisticCollection, supervised_metrics
from torchdisentangle.functional.row_hash import hash_content
from torchdisentangle.statistics import DataRange, Statistic, groups
from torchdisentangle.statistics.counts import JointCounts
from torchdisentangle.supervised import (
    DCIMIG,
    JEMMIG,
    DependencyAwareGap,
    MIGSup,
    Modularity,
    MutualInformationGap,
    MutualInformationMatrix,
    RobustMIG,
)

N, D = 61, 3
GENERATOR = torch.Generator().manual_seed(0)
CODES = torch.randn(N, D, generator=GENERATOR)
LOG_VARIANCE = torch.randn(N, D, generator=GENERATOR) - 1
FACTORS = torch.stack([torch.arange(N) % 3, torch.randint(5, (N,), generator=GENERATOR)], 1)
FACTORS[-1, 1] = 7  # a value that only the last process sees
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # float64 sums in another order

SETTINGS: dict[str, dict[str, Any]] = {
    "data": {},
    "prior": {"edges": "prior"},
    "range": {"edges": (-2.0, 2.5), "num_bins": 7},
    "soft": {"edges": (-4.0, 4.0), "num_bins": 30, "binning": "soft"},
    "density": {"edges": (-4.0, 4.0), "num_bins": 30, "binning": "soft", "mode": "reference"},
    "soft data": {"binning": "soft", "num_bins": 6},
}


class Counts(MutualInformationGap):
    """A score that is the counts it is read from."""

    def compute(self) -> Tensor:
        return self.joint_counts()


class BareCounts(Statistic):
    """The part by itself, in a statistic without any checks."""

    def __init__(self, **settings: Any) -> None:
        self.part = JointCounts(**settings)
        super().__init__(configuration=self.part.configuration)
        self.part.add_states_to(self)

    def update(self, codes: Tensor, factors: Tensor, index: Tensor | None = None) -> None:
        self.part.add_codes(self, codes, factors, index=index)

    def compute(self) -> Tensor:
        return self.part.read(self)


def add(metric: Any, rows: Tensor) -> Any:
    metric.update(CODES[rows], FACTORS[rows], log_variance=LOG_VARIANCE[rows], index=rows)
    return metric


@pytest.mark.parametrize("name", SETTINGS)
def test_batches_objects_and_order_do_not_matter(name: str) -> None:
    whole = add(Counts(**SETTINGS[name]), torch.arange(N))
    expected = whole.compute()
    assert expected.shape == (2, D, whole.num_bins, 8)
    torch.testing.assert_close(expected.sum((2, 3)).double(), torch.full((2, D), float(N)).double(), **EXACT)

    @settings(max_examples=8)
    @given(st.permutations(range(N)), st.sampled_from([1, 7, 60, N]), st.integers(0, N))
    def check(order: list[int], size: int, cut: int) -> None:
        rows = torch.tensor(order)
        first, second = Counts(**SETTINGS[name]), Counts(**SETTINGS[name])
        for part in rows[:cut].split(size):
            add(first, part)
        for part in rows[cut:].split(size):
            add(second, part)
        add(second, rows[:0])  # an empty batch
        first.merge_state(second)
        assert first.sample_size() == N
        torch.testing.assert_close(first.compute(), expected, **EXACT)

    check()


def work(rank: int, cuts: list[int], batch_size: int) -> dict[str, Tensor]:
    """Scores in compute groups of every kind, and a statistic by itself."""
    metrics = {f"{name} mig": MutualInformationGap(**SETTINGS[name]) for name in SETTINGS}
    metrics |= {f"{name} jemmig": JEMMIG(**{"binning": "hard", "edges": "data", **SETTINGS[name]}) for name in SETTINGS}
    collection, alone = StatisticCollection(metrics), Counts(edges="prior")
    for part in torch.arange(cuts[rank], cuts[rank + 1]).split(batch_size):
        if len(part):
            add(collection, part)
            add(alone, part)
    values = collection.compute() | {"alone": alone.compute(), "ceiling": collection["prior mig"].ceiling()}
    seen = int(alone.num_counted.sum())
    assert seen == cuts[rank + 1] - cuts[rank]  # the process's own counts are back
    assert alone.sample_size() == N
    return values


@pytest.mark.parametrize(
    ("cuts", "batch_size"),
    [([0, 31, N], 9), ([0, N, N], 20), ([0, 1, N], 1), ([0, 20, 20, N], 7)],
)
def test_processes_have_the_counts_of_one(run_processes: Callable, cuts: list[int], batch_size: int) -> None:
    expected = work(0, [0, N], N)
    for values in run_processes(len(cuts) - 1, work, cuts, batch_size):
        for name, value in values.items():
            torch.testing.assert_close(value, expected[name], **EXACT)


def test_rows_beyond_the_bound_are_a_sample(recwarn: pytest.WarningsRecorder) -> None:
    metric = add(Counts(max_rows=20), torch.arange(N))
    assert metric.sample_size() == 20
    assert metric.compute()[0, 0].sum() == 20
    sample = Counts()
    sample.update(metric.codes, metric.factors)
    assert torch.equal(sample.compute(), metric.compute())


def test_all_scores_of_codes_are_one_compute_group() -> None:
    scores = [MutualInformationMatrix, MutualInformationGap, MIGSup, DCIMIG, Modularity]
    hard = StatisticCollection({score.__name__: score() for score in scores})
    assert len(hard.compute_groups) == 1
    both = StatisticCollection([RobustMIG(), JEMMIG(normalize=True), MutualInformationGap(), MIGSup(threshold=0.1)])
    assert len(both.compute_groups) == 2
    add(both, torch.arange(N))
    alone = add(RobustMIG(), torch.arange(N))
    assert float(both.compute()["RobustMIG"]) == float(alone.compute())


def test_two_passes_equal_one_that_keeps_rows(run_processes: Callable) -> None:
    expected = add(Counts(), torch.arange(N)).compute()
    for table in run_processes(2, two_passes):
        assert torch.equal(table, expected)


def two_passes(rank: int) -> Tensor:
    rows, data_range = torch.arange(rank, N, 2), DataRange()
    for part in rows.split(10):
        data_range.update(CODES[part])
    metric = Counts(edges=data_range.compute())
    for part in rows.split(10):
        add(metric, part)
    assert not hasattr(metric, "keys")  # no rows are kept
    return metric.compute()


def range_without_data(rank: int) -> tuple[Tensor, Tensor]:
    data_range = DataRange()
    if rank == 1:
        data_range.update(CODES)
    return data_range.compute()


def test_range(run_processes: Callable) -> None:
    expected = CODES.double().amin(0), CODES.double().amax(0)
    for low, high in run_processes(2, range_without_data):
        assert torch.equal(low, expected[0])
        assert torch.equal(high, expected[1])
    a, b = DataRange(), DataRange()
    a.update(CODES[:9])
    b.update(torch.cat([CODES[9:], torch.full((1, D), torch.nan)]))
    a.merge_state(b)
    assert torch.equal(torch.stack(a.compute()), torch.stack(expected))
    with pytest.raises(ValueError, match="updates so far had 3 columns of values, this one has 2"):
        a.update(CODES[:, :2])
    with pytest.raises(ValueError, match="no rows"):
        DataRange().compute()


@pytest.mark.parametrize("name", ["data", "prior", "soft"])
def test_rows_that_are_no_numbers_are_left_out_and_counted(name: str) -> None:
    codes, variances, factors = CODES.clone(), LOG_VARIANCE.clone(), FACTORS.double()
    codes[3, 1], codes[8, 0], factors[20, 0], variances[30, 2] = torch.nan, torch.inf, torch.nan, -torch.inf
    bad = torch.tensor([3, 8, 20, 30] if name == "soft" else [3, 8, 20])
    good = torch.tensor([i for i in range(N) if i not in bad])
    metric = Counts(**SETTINGS[name])
    with pytest.warns(UserWarning, match=f"left out.*{len(bad)} in this batch"):
        metric.update(codes, factors, log_variance=variances)
    assert int(metric.num_nonfinite) == len(bad)
    assert metric.sample_size() == N - len(bad)
    torch.testing.assert_close(metric.compute(), add(Counts(**SETTINGS[name]), good).compute(), **EXACT)
    nothing = Counts(**SETTINGS[name])
    with pytest.warns(UserWarning, match="left out"):
        nothing.update(codes[bad[:2]], factors[bad[:2]], log_variance=variances[bad[:2]])
    with pytest.raises(ValueError, match=r"Counts has no rows \(2 were NaN or infinite\)"):
        nothing.compute()


def test_continuous_factors_are_binned() -> None:
    real = torch.rand(N, 1, generator=GENERATOR)
    factors = torch.cat([FACTORS[:, :1].float(), real], 1)
    before = factors.clone()
    by_range = Counts(edges="prior", continuous=[-1], factor_edges=(0.0, 1.0), num_factor_bins=4)
    by_range.update(CODES, factors)
    assert torch.equal(factors, before)
    by_hand = Counts(edges="prior")
    by_hand.update(CODES, torch.cat([FACTORS[:, :1], (4 * real).long()], 1))
    assert torch.equal(by_range.compute(), by_hand.compute())
    by_data = Counts(continuous=True, num_factor_bins=5)
    by_data.update(CODES, real.double())
    edges = torch.linspace(float(real.min()), float(real.max()), 6, dtype=torch.float64)[1:-1]
    expected = torch.bucketize(real.double()[:, 0], edges, right=True).bincount()
    assert torch.equal(by_data.compute()[0, 0].sum(0), expected)


def test_codes_on_another_scale_are_warned_of() -> None:
    metric = Counts(edges="prior")
    metric.update(torch.cat([CODES, 100 * CODES[:, :1]], 1), FACTORS)
    with pytest.warns(UserWarning, match=r"codes \[3\] lie in the outermost"):
        metric.compute()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add(Counts(edges="prior"), torch.arange(N)).compute()


def test_state_survives_copies_and_forward() -> None:
    for name in ("data", "prior", "soft"):
        metric, forwarded = add(Counts(**SETTINGS[name]), torch.arange(N)), Counts(**SETTINGS[name])
        for part in torch.arange(N).split(25):
            value = forwarded(CODES[part], FACTORS[part], log_variance=LOG_VARIANCE[part], index=part)
            assert round(float(value[0, 0].sum())) == len(part)  # of this batch alone
        for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.to(torch.float16), forwarded):
            torch.testing.assert_close(twin.joint_counts(), metric.joint_counts(), **EXACT)


def test_bad_settings_are_refused() -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"num_bins": 0}, "num_bins and num_factor_bins must be at least 1"),
        ({"edges": "quantiles"}, "edges must be 'data', 'prior'"),
        ({"edges": (1.0, 0.0)}, "edges must be a finite ascending range"),
        ({"binning": "fuzzy"}, "binning must be"),
        ({"binning": "soft", "mode": "reference"}, "mode='reference' needs binning='soft' and edges"),
        ({"edges": "prior", "continuous": [0]}, "continuous factors need factor_edges"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            Counts(**arguments)
    with pytest.raises(ValueError, match="differently configured"):
        add(Counts(edges="prior"), torch.arange(3)).merge_state(
            add(Counts(edges="prior", num_bins=21), torch.arange(3))
        )
    with pytest.raises(ValueError, match="differently configured"):
        Counts().merge_state(Counts(max_rows=21))


@pytest.mark.parametrize("edges", ["data", "prior"])
def test_bad_rows_are_refused(edges: Any) -> None:
    metric = add(Counts(edges=edges), torch.arange(9))
    refused: list[tuple[tuple[Tensor, ...], dict[str, Any], str]] = [
        ((CODES, FACTORS[:5]), {}, r"factors must have shape \(61, F\), one row for each code, got \(5, 2\)"),
        ((CODES[:, 0], FACTORS), {}, r"codes must have shape \(n, d\)"),
        ((CODES, FACTORS + 0.5), {}, "whole numbers"),
        ((CODES, FACTORS), {"index": torch.zeros(3, dtype=torch.int64)}, r"index must be integers of shape \(61,\)"),
        ((CODES[:, :2], FACTORS), {}, "updates so far had 3 columns of codes, this one has 2"),
    ]
    for rows, arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            metric.update(*rows, **arguments)
    assert metric.sample_size() == 9
    with pytest.raises(
        ValueError, match=r"Counts\(binning='soft'\) is a score of posteriors: it needs log_variance of shape \(61, 3\)"
    ):
        Counts(binning="soft").update(CODES, FACTORS)
    with pytest.raises(ValueError, match="one for each of 3 codes"):
        Counts(edges=([0.0, 0.0], [1.0, 1.0])).update(CODES, FACTORS)
    with pytest.raises(ValueError, match="continuous names the columns"):
        Counts(continuous=[2]).update(CODES, FACTORS)


def test_values_that_cannot_be_counted() -> None:
    """A table needs numbers from 0; where rows are kept, values are numbered first, whatever they are."""
    for factors, message in ((FACTORS - 1, "large gaps, got -1 to 6"), (FACTORS * 10**9, "large gaps")):
        metric = Counts(edges="prior")
        with pytest.raises(ValueError, match=f"numbered from 0 without {message}"):
            metric.update(CODES, factors)
        assert metric.counts.ndim == 0
        counted = Counts()
        counted.update(CODES, factors)
        expected = add(Counts(), torch.arange(N)).compute()
        assert torch.equal(counted.compute(), expected[..., expected.sum((0, 1, 2)) > 0])
    many = torch.zeros(2, 2000)
    with pytest.raises(ValueError, match=r"0 to 39, a table of 160,000,000 counts; .* intervals=False"):
        Counts(edges=(-3.0, 3.0)).update(many, torch.tensor([[0, 0, 0, 0, 0], [39, 1, 1, 1, 1]]))
    mixed = Counts(continuous=[0])
    mixed.update(CODES, torch.stack([FACTORS[:, 0] - 1.5, 10**9 * FACTORS[:, 1].double()], 1))
    assert mixed.compute().sum() == 2 * D * N
    identity = Counts(num_bins=10_000)
    identity.update(torch.randn(3000, 5), torch.arange(3000))
    with pytest.raises(ValueError, match="large gaps, got 0 to 2999"):
        identity.compute()


def test_the_part_by_itself() -> None:
    """Any statistic can count; metrics that keep the same rows count them once."""
    for setting in ({}, {"edges": "prior"}):
        bare = BareCounts(**setting)
        for rows in torch.arange(N).split(20):
            bare.update(CODES[rows], FACTORS[rows], index=rows)
        assert torch.equal(bare.compute(), add(Counts(**setting), torch.arange(N)).compute())
    collection = StatisticCollection({"a": MutualInformationGap(), "b": MIGSup(), "c": MIGSup(num_bins=5)})
    add(collection, torch.arange(N))
    scores: dict[Any, Any] = dict(collection.items(copy_state=False))
    assert scores["a"].joint_counts() is scores["b"].joint_counts()
    assert scores["c"].joint_counts().shape[2] == 5


@pytest.mark.parametrize("extreme", [1e-300, 1.0, 1e300, 1.7e308])
def test_edges_of_extreme_codes(extreme: float) -> None:
    """Nothing overflows where the width of the range does."""
    bare = BareCounts(num_bins=3)
    bare.update(extreme * torch.tensor([[-1.0], [-1.0], [0.0], [1.0]]).double(), torch.zeros(4, 1, dtype=torch.int64))
    assert bare.compute()[0, 0, :, 0].tolist() == [2, 1, 1]


class LargestMade(TorchDispatchMode):
    """The most numbers in a tensor that an operation made, and not only changed or viewed."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and all(value.alias_info is None for value in func._schema.returns):
            self.numbers = max(self.numbers, made.numel())
        return made


@pytest.mark.parametrize("make", [MutualInformationGap, DependencyAwareGap, lambda **kw: RobustMIG(num_bins=20, **kw)])
def test_an_update_makes_nothing_of_the_size_of_its_table(make: Callable[..., Any]) -> None:
    """A batch of few rows is counted into the table; making and adding tables would take longer than counting."""
    metric, factors = make(edges=(-2.0, 2.0)), torch.randint(30, (100, 4), generator=GENERATOR)
    factors[0] = 29
    codes = torch.randn(100, 5, generator=GENERATOR)
    metric.update(codes, factors, log_variance=torch.zeros_like(codes))
    with LargestMade() as largest:
        metric.update(codes[:10], factors[:10], log_variance=torch.zeros(10, 5))
    soft = metric.binning == "soft"  # weights are added as a table, which is made without groups for fewer values
    assert largest.numbers < (2 * metric.counts.numel() if soft else metric.counts.numel() / 10)
    again = make(edges=(-2.0, 2.0))
    again.update(torch.cat([codes, codes[:10]]), torch.cat([factors, factors[:10]]), log_variance=torch.zeros(110, 5))
    torch.testing.assert_close(metric.compute(), again.compute(), **EXACT)


def test_counts_begun_in_inference_mode_go_on_outside_and_copies_stay() -> None:
    metric, whole = (MutualInformationGap(edges=(-2.0, 2.0)) for _ in range(2))
    with torch.inference_mode():
        metric.update(CODES[:20], FACTORS[:20])
    held = copy.deepcopy(metric)
    metric.update(CODES[20:], FACTORS[20:])
    whole.update(CODES, FACTORS)
    assert torch.equal(metric.counts, whole.counts)
    assert held.counts.sum() == 20 * D * 2
    metric.update(CODES, FACTORS)
    held.merge_state(whole)
    assert whole.counts.sum() == N * D * 2
    metric.reset()
    metric.update(CODES, FACTORS)
    assert torch.equal(metric.counts, whole.counts)


def test_rows_without_an_index_are_hashed_once_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(groups, "hash_content", lambda *given: hashed.append(given) or hash_content(*given))
    metrics = supervised_metrics(
        ["sap", "linear_r2", *(MutualInformationGap(edges="prior"), MIGSup(edges=(-2.0, 2.0)))], max_rows=N
    )
    for part in torch.arange(N).split(25):
        metrics.update(CODES[part], FACTORS[part])
    assert len(hashed) == 3
    alone = SAP()
    for part in torch.arange(N).split(25):
        alone.update(CODES[part], FACTORS[part])
    assert metrics["sap"].interval() == alone.interval()
    changed = CODES.clone()
    for _ in range(2):  # the same memory, other rows
        metrics.update(changed, FACTORS)
        changed += 1
    assert len(hashed) == 8
