"""A test that needs a package of an extra is skipped where that package is missing, with the extra's name as reason."""

from __future__ import annotations

import doctest
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from importlib.util import find_spec

import pytest
from packaging.requirements import Requirement


def import_name(package: str) -> str:
    """The name under which a package is imported."""
    return "sklearn" if package == "scikit-learn" else package.replace("-", "_")


def missing_packages() -> dict[str, str]:
    """Names, as installed and as imported, of the packages of extras that are not there, and the extra of each."""
    found: dict[str, str] = {}
    for requirement in map(Requirement, requires("torchdisentangle") or ()):
        extra = str(requirement.marker or "").partition("extra == ")[2].strip("\"'")
        module = import_name(requirement.name)
        if extra not in ("", "all") and find_spec(module) is None:
            extra = f"{found[module]} or {extra}" if module in found else extra
            found[requirement.name] = found[module] = extra
    return found


class SkipWithoutExtras:
    """Plugin: an ImportError of a missing package of an extra skips the test, or the whole file that imports it."""

    def __init__(self) -> None:
        self.missing = missing_packages()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        with self._skipping():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        with self._skipping():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, pytest.CollectReport, object]:
        report = yield
        error = report.call.excinfo.value if report.failed and getattr(report, "call", None) else None
        reason = self.reason(error)
        if reason is not None:
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 1, f"Skipped: {reason}")
        return report

    def reason(self, error: BaseException | None) -> str | None:
        """Why a test that ends in this error is skipped; ``None`` if it is not."""
        while error is not None:
            if isinstance(error, ImportError):
                for word in [error.name, *re.findall(r"[\w-]+", str(error))]:
                    if word in self.missing:
                        return f"needs {word}, of the extra {self.missing[word]}"
            inner = error.exc_info[1] if isinstance(error, doctest.UnexpectedException) else None
            error = inner or error.__cause__
        return None

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            reason = self.reason(error)
            if reason is None:
                raise
            pytest.skip(reason)
