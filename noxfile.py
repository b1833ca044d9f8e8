"""The tests, the linters and the type check over the supported versions.

``nox -s lowest newest core lint types``, or some of them; what follows ``--`` is passed on to pytest, as in
``nox -s lowest -- -n 2 --dist loadgroup``. ``nox`` itself comes from ``pip install nox``.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import nox
from packaging.requirements import Requirement

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = PYPROJECT["project"]
PYTHONS = nox.project.python_versions(PYPROJECT)
"""Read off the classifiers."""
TYPED = 0.98
"""The least share of public names with a known type."""

nox.options.sessions = ["lowest", "newest", "core"]


def lower_bounds() -> list[str]:
    """``name==version`` for every dependency, at the lowest version that pyproject.toml allows."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = set()
    for requirement in map(Requirement, (line for group in groups for line in group)):
        found |= {f"{requirement.name}=={bound.version}" for bound in requirement.specifier if bound.operator == ">="}
    return sorted(found)


def run_tests(session: nox.Session, *settings: str) -> None:
    session.run("python", "-m", "pip", "freeze")
    session.run("python", "-m", "pytest", *settings, *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The oldest Python, and every dependency at its lower bound."""
    constraints = Path(session.create_tmp(), "lowest.txt")
    constraints.write_text("\n".join(lower_bounds()))
    session.install("-c", str(constraints), "-e", ".[all]")
    run_tests(session)


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """The newest Python, and the newest version of everything."""
    session.install("--upgrade", "-e", ".[all]")
    run_tests(session)


@nox.session
def core(session: nox.Session) -> None:
    """No extra: the core's dependencies, and what runs the tests."""
    tools = [
        line for line in PROJECT["optional-dependencies"]["test"] if line.startswith(("pytest", "hypothesis", "tomli"))
    ]
    session.install("-c", "constraints.txt", "-e", ".", *tools)
    run_tests(session)


@nox.session(python=PYTHONS)
def lint(session: nox.Session) -> None:
    """Ruff and mypy on every supported Python."""
    session.install("-c", "constraints.txt", "-e", ".[all]")
    session.run("make", "lint", f"BIN={session.bin}", "STAMP=", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """How much of the public interface is typed, as a user's type checker sees it."""
    session.install("-c", "constraints.txt", ".[all]", "pyright[nodejs]")  # pyright cannot follow an editable install
    command = "pyright", "--verifytypes", "torchdisentangle", "--ignoreexternal", "--outputjson"
    output = session.run(*command, silent=True, stderr=subprocess.DEVNULL, success_codes=[0, 1])
    report = json.loads(output)["typeCompleteness"]
    for symbol in report["symbols"]:
        if symbol["isExported"] and not symbol["isTypeKnown"]:
            session.log(symbol["name"])
    session.log(f"{report['completenessScore']:.1%} of the public names have a known type")
    if report["completenessScore"] < TYPED:
        session.error(f"less than {TYPED:.0%}")
