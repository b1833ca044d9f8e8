"""The benchmarks, which the suite does not run, at least still know the names that they use."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import RunProcesses

FOLDER = Path(__file__).parent / "benchmarks"
NAMES = [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if module.name != "__main__"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_loads_and_takes_a_device(name: str) -> None:
    module = import_module(f"tests.benchmarks.{name}")
    assert signature(module.tables).parameters["device"].default == "cpu"
    assert module.tables.__doc__


def test_a_small_run_prints_tables() -> None:
    benchmarks = import_module("tests.benchmarks")
    try:
        benchmarks.set_scale(0.001)
        tables = list(import_module("tests.benchmarks.similarity").tables("cpu"))
    finally:
        benchmarks.set_scale(1.0)
    assert all(" | " in table for table in tables)
    assert benchmarks.scaled(1000) == 1000


def messages(rank: int, world_size: int, setting: Any) -> Any:
    return import_module("tests.benchmarks.scale_processes").messages_of(rank, world_size, setting)


def test_the_model_of_messages_is_exact(run_processes: RunProcesses) -> None:
    """What each of two and three processes receives, from the messages of two; samples are smaller than the data."""
    model = import_module("tests.benchmarks.scale_processes")
    setting = model.Setting(num_rows=600, max_rows=100)
    of_two = run_processes(2, messages, 2, setting)
    assert of_two[0] == of_two[1]
    for world_size, found in ((2, of_two), (3, run_processes(3, messages, 3, setting))):
        for name, (_, capacity) in setting.evaluations().items():
            predicted = model.predicted(of_two[0][name], setting, capacity, world_size, setting.num_rows)
            assert predicted == model.measured(found[-1][name], world_size)


def test_processes_are_sent_samples_that_do_not_grow_with_them() -> None:
    """Of 1,000 rows that are kept, 64 processes receive less than three times as many, not 64 times."""
    model = import_module("tests.benchmarks.scale_processes")
    setting = model.Setting(num_rows=200_000, max_rows=1000)
    for world_size in (2, 8, 64):
        share = model.longest_share(setting, 1000, world_size)
        assert 1000 <= share * world_size < 3000


def test_a_law_is_found_and_extended() -> None:
    scale = import_module("tests.benchmarks.scale")
    sizes = [10, 20, 40, 80]
    fitted = scale.law(sizes, [3.0 + 0.5 * n**2 for n in sizes], (0, 1, 2))
    assert fitted.at(1000) == pytest.approx(500_003)
    assert fitted.error == pytest.approx(0, abs=1e-9)
    assert scale.law(sizes, [3.0, 3.0, 3.0, 6.0], (0, 1)).error == pytest.approx(-0.5)


def test_the_numbers_of_the_documentation_are_read(tmp_path: Path) -> None:
    """Every direction has its lines in the file that the figure and the page are made of."""
    scale = import_module("tests.benchmarks.scale")
    points = scale.read(Path(__file__).parents[1] / "docs" / "scale.csv")
    assert {point.direction for point in points} == set(scale.DIRECTIONS)
    assert scale.read(tmp_path / "none.csv") == []
