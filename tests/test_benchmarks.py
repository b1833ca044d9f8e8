"""The benchmarks, which the suite does not run, at least still know the names that they use."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

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
