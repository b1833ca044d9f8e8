"""What every metric promises, checked on every metric: see ``cases.py``."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchdisentangle as td
from tests.contract.cases import CASES, NUM_ROWS, OTHERWISE, Case
from torchdisentangle.similarity import Fingerprint
from torchdisentangle.statistics import Statistic

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* leaves out factors"),
    pytest.mark.filterwarnings("ignore:.*the fingerprint has"),
]

UNREAD = {"plot", "plot_living_times"}  # figures
COUNTS = {"sample_size"}  # read-outs that are 0 of an empty metric
ROUNDING = {"rtol": 1e-9, "atol": 1e-9}  # of float64 sums in another order


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def chosen(value: Any, rows: Any) -> Any:
    return value[rows] if isinstance(value, (Tensor, np.ndarray)) else value


def update(metric: Statistic, case: Case, rows: Any = slice(None), with_index: bool = True) -> Statistic:
    positional, keywords = case.inputs()
    given = {name: chosen(value, rows) for name, value in keywords.items() if with_index or name != "index"}
    metric.update(*(chosen(value, rows) for value in positional), **given)
    return metric


def assert_equal(found: Any, expected: Any, **tolerance: float) -> None:
    """Equality of whatever metrics return."""
    if isinstance(expected, Fingerprint):
        found, expected = (
            {"mean": x.mean, "log_variance": x.log_variance, "index": x.index} for x in (found, expected)
        )
    if isinstance(expected, Mapping):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_equal(found[name], expected[name], **tolerance)
    elif isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other, **tolerance)
    elif isinstance(expected, Tensor):
        torch.testing.assert_close(found, expected, equal_nan=True, **(tolerance or ROUNDING))
    else:
        assert found == expected


def readouts(metric: Statistic, case: Case) -> dict[str, Callable[[], Any]]:
    """All that a metric tells a user, by name: ``compute`` and every public read-out."""
    found: dict[str, Callable[[], Any]] = {"compute": metric.compute}
    for name in dir(type(metric)):
        method = getattr(type(metric), name)
        if not name.startswith("_") and name not in UNREAD | case.without and getattr(method, "is_readout", False):
            found[name] = getattr(metric, name)
    return found


def read(metric: Statistic, case: Case) -> dict[str, Any]:
    return {name: value() for name, value in readouts(metric, case).items()}


@cache
def whole(case: Case, with_index: bool = True) -> dict[str, Any]:
    """All read-outs of the metric of all rows, which many tests compare with."""
    return read(update(case.make(), case, with_index=with_index), case)


def test_every_metric_is_here() -> None:
    public = {
        name for name in td.__all__ if isinstance(getattr(td, name), type) and issubclass(getattr(td, name), Statistic)
    }
    assert public - OTHERWISE <= {type(case.make()).__name__ for case in CASES.values()}


def test_the_functional_form_agrees(case: Case) -> None:
    if case.functional is None:
        pytest.skip("no single function of the rows")
    positional, keywords = case.inputs()
    keywords.pop("index", None)
    assert_equal(update(case.make(), case).compute(), case.functional(*positional, **keywords), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("with_index", [True, False])
def test_any_split_of_rows(case: Case, with_index: bool) -> None:
    metric = case.make()
    order = torch.randperm(NUM_ROWS, generator=torch.Generator().manual_seed(3))
    if case.numbered and not with_index:
        order = order.sort().values
    for rows in order.split(7):
        update(metric, case, rows, with_index)
    assert_equal(read(metric, case), whole(case, with_index))


def test_forward_returns_the_value_of_the_batch(case: Case) -> None:
    metric, rows = case.make(), [torch.arange(NUM_ROWS // 2), torch.arange(NUM_ROWS // 2, NUM_ROWS)]
    for part in rows:
        positional, keywords = case.inputs()
        given = {name: chosen(value, part) for name, value in keywords.items()}
        value = metric(*(chosen(x, part) for x in positional), **given)
        assert_equal(value, update(case.make(), case, part).compute())
    assert_equal(metric.compute(), whole(case)["compute"])


def test_merging(case: Case) -> None:
    a, b = (update(case.make(), case, rows) for rows in (slice(None, 20), slice(20, None)))
    a.merge_state(b)
    assert_equal(read(a, case), whole(case))


def test_copies(case: Case) -> None:
    metric = update(case.make(), case)
    for twin in (pickle.loads(pickle.dumps(metric)), metric.clone()):  # a clone is a deep copy
        assert_equal(read(twin, case), whole(case), rtol=0, atol=0)
    assert type(metric).__name__ in repr(metric)


def test_reset_and_empty(case: Case) -> None:
    """A metric without rows says so, whatever was before; an empty update changes nothing."""
    metric = update(case.make(), case)
    expected = metric.compute()
    update(metric, case, slice(0, 0))
    assert_equal(metric.compute(), expected)
    metric.reset()
    update(metric, case, slice(0, 0))
    for name, value in readouts(metric, case).items():
        if name in COUNTS:
            assert value() == 0
            continue
        with pytest.raises(ValueError, match=type(metric).__name__):
            print(name, value())


def test_states_keep_their_precision(case: Case) -> None:
    metric = update(case.make().half().to(torch.bfloat16), case)
    assert_equal(metric.compute(), whole(case)["compute"])


def test_a_saved_state_goes_on(case: Case) -> None:
    metric = case.make()
    metric.persistent(True)
    update(metric, case, slice(None, 20))
    other = case.make()
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    update(other, case, slice(20, None))
    assert_equal(other.compute(), whole(case)["compute"])


@pytest.mark.parametrize("wrong", [None, "rows", [[1.0]], torch.tensor(1.0)])
def test_wrong_types_are_refused(case: Case, wrong: Any) -> None:
    positional, keywords = case.inputs()
    for place in range(len(positional)):
        arguments = [*positional[:place], wrong, *positional[place + 1 :]]
        with pytest.raises((TypeError, ValueError), match=r"must|needs"):
            case.make().update(*arguments, **keywords)


def test_a_refused_update_changes_nothing(case: Case) -> None:
    """Whichever argument is wrong, and whatever was checked before it."""
    positional, keywords = case.inputs()
    metric = update(case.make(), case)
    before = {name: getattr(metric, name).clone() for name in metric.state_names}
    for place, value in enumerate(positional):
        for wrong in (None, value[:-1], value[..., None]):
            arguments = [*positional[:place], wrong, *positional[place + 1 :]]
            if wrong is not None and len(wrong) < len(value) and len(positional) + len(keywords) == 1:
                continue  # fewer rows are no fault if nothing else says how many there are
            with pytest.raises((TypeError, ValueError)):
                metric.update(*arguments, **keywords)
            assert all(torch.equal(getattr(metric, name), tensor) for name, tensor in before.items())


def test_too_many_positional_arguments_are_refused(case: Case) -> None:
    positional, keywords = case.inputs()
    extra = next(iter(keywords.values()), torch.zeros(NUM_ROWS))
    with pytest.raises(TypeError, match="positional"):
        case.make().update(*positional, extra)


def test_integers_in_the_place_of_floats_are_refused(case: Case) -> None:
    positional, keywords = case.inputs()
    with pytest.raises(TypeError, match="floating point"):
        case.make().update(positional[0].long(), *positional[1:], **keywords)


def test_arrays_are_taken(case: Case) -> None:
    positional, keywords = case.inputs()
    metric = case.make()
    metric.update(*(x.numpy() for x in positional), **{name: x.numpy() for name, x in keywords.items()})
    assert_equal(metric.compute(), whole(case)["compute"])


def test_nonfinite_rows_are_counted_and_left_out(case: Case) -> None:
    positional, keywords = case.inputs()
    broken = positional[0].clone()
    broken[5] = torch.nan
    metric = case.make()
    with pytest.warns(UserWarning, match=r"num_nonfinite \(1 in this batch\)"):
        metric.update(broken, *positional[1:], **keywords)
    assert int(metric.num_nonfinite) == 1
    rest = torch.arange(NUM_ROWS) != 5
    assert_equal(metric.compute(), update(case.make(), case, rest).compute())


def test_an_unknown_setting_names_the_class(case: Case) -> None:
    metric = type(case.make())
    required = {"ManifoldMutualInformation": ([0], [1])}.get(metric.__name__, ())
    with pytest.raises(TypeError, match=rf"{metric.__name__} has no setting 'num_binz'"):
        metric(*required, num_binz=3)


def test_inheritance_is_shallow(case: Case) -> None:
    def depth(cls: type) -> int:
        return 0 if cls is Statistic.__mro__[1] else 1 + max(map(depth, cls.__bases__)) if cls is not object else -99

    assert depth(type(case.make())) <= 4


def test_nothing_public_is_local(case: Case) -> None:
    """A public method is a read-out, or one that returns no value of the data."""
    known = {*dir(Statistic), "compute", "update", *UNREAD}
    for name in dir(type(case.make())):
        method = getattr(type(case.make()), name)
        if name.startswith("_") or name in known or not inspect.isfunction(method):
            continue  # a class method or a property tells of settings alone
        assert getattr(method, "is_readout", False), f"{name} of {type(case.make()).__name__} is public and local"


def _read_on_process(rank: int, world_size: int, names: list[str]) -> dict[str, Any]:
    """Of two processes, each read-out reduces by itself; of three, the first of which has no rows, all do together.

    Without a package that a metric needs there is its error instead, the same on every process.
    """
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = _read_one(rank, world_size, CASES[name])
        except ImportError as error:
            found[name] = str(error)
    return found


def _read_one(rank: int, world_size: int, case: Case) -> dict[str, Any]:
    metric = case.make()
    if world_size == 2:
        update(metric, case, slice(rank, None, 2))
    elif rank > 0:
        update(metric, case, slice(rank - 1, None, 2))
    with nullcontext() if world_size == 2 else metric.reduced():
        return read(metric, case)


@pytest.fixture(scope="module")
def several(run_processes: Callable[..., list[Any]]) -> dict[int, list[dict[str, Any]]]:
    return {world_size: run_processes(world_size, _read_on_process, world_size, list(CASES)) for world_size in (2, 3)}


@pytest.mark.xdist_group("processes of the contract")  # which run once
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_give_the_values_of_one(several: Any, name: str, world_size: int) -> None:
    """Every public read-out; of three processes the first has no rows."""
    for found in several[world_size]:
        if isinstance(found[name], str):
            raise ImportError(found[name])
        assert_equal(found[name], whole(CASES[name]))
