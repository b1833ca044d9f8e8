"""Tests are skipped for a package of an extra that is missing, and for nothing else."""

from __future__ import annotations

import importlib.util

import pytest

from tests import missing_extras


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> missing_extras.SkipWithoutExtras:
    """As if scikit-learn and jsonargparse were not installed, and nothing else were missing."""
    gone = {"sklearn", "jsonargparse"}
    monkeypatch.setattr(missing_extras, "find_spec", lambda name: None if name in gone else importlib.util)
    return missing_extras.SkipWithoutExtras()


def test_missing_packages_are_known_by_both_names(plugin: missing_extras.SkipWithoutExtras) -> None:
    both = "supervised or topology"
    assert plugin.missing == {"sklearn": both, "scikit-learn": both, "jsonargparse": "test"}


@pytest.mark.parametrize(
    ("message", "package"),
    [
        ("No module named 'sklearn'", "sklearn"),
        ("DCI needs scikit-learn: pip install 'torchdisentangle[supervised]'", "scikit-learn"),
        ("Requirement 'jsonargparse[signatures]>=4.27.7' not met.", "jsonargparse"),
    ],
)
def test_the_reason_names_package_and_extra(
    plugin: missing_extras.SkipWithoutExtras, message: str, package: str
) -> None:
    reason = plugin.reason(ImportError(message))
    assert reason == f"needs {package}, of the extra {plugin.missing[package]}"
    with pytest.raises(pytest.skip.Exception, match=package), plugin._skipping():
        raise RuntimeError("outside") from ImportError(message)


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'scipy'"), ValueError("sklearn"), ImportError("cannot import name 'x'")]
)
def test_other_errors_are_errors(plugin: missing_extras.SkipWithoutExtras, error: Exception) -> None:
    with pytest.raises(type(error)), plugin._skipping():
        raise error
