"""Rules of the source code that no type checker or linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from torch import nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.aggregation import SumMetric

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("src", "callbacks", "models") for path in (ROOT / folder).rglob("*.py"))
MAX_LINES = 300
REASON = "Long because "
COMMUNICATES = {"reduced", "compute", "all_reduce", "all_gather", "barrier", "broadcast"}

PRIVATE_OF_TORCHMETRICS = {
    "statistics/base.py": {
        "_computed",
        "_defaults",
        "_device",
        "_forward_cache",
        "_is_synced",
        "_reduce_states",
        "_should_unsync",
        "_sync_dist",
        "_to_sync",
        "_update_count",
    },
    "statistics/collection.py": {
        "_compute_groups_create_state_ref",
        "_enable_compute_groups",
        "_groups",
        "_groups_checked",
        "_init_compute_groups",
        "_state_is_copy",
        "_to_sync",
    },
}
"""What could break with a new version of torchmetrics; nothing else uses its private names."""


LOOKED_UP = {"Kumar": "Section 3", "Ridgeway": "Section 3"}
"""Numbers that may be cited, by author."""

NUMBERED = re.compile(
    r"\b(?:Section|Chapter|Appendix|Theorem|Lemma|Proposition|Algorithm|[Ee]quation) (?:\d[\d.]*\d|\d|[A-Z]\b)"
)

Rule = Callable[[Path], Iterator[str]]


def place(path: Path) -> str:
    return str(path.relative_to(ROOT)).removeprefix("src/torchdisentangle/")


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def decorators(function: ast.FunctionDef) -> set[str]:
    return {last_name(d.func if isinstance(d, ast.Call) else d) for d in function.decorator_list}


@cache
def private_of_torchmetrics() -> set[str]:
    """Private names that torchmetrics adds to those of PyTorch's modules."""
    metric, collection, module = SumMetric(), MetricCollection([SumMetric()]), nn.ModuleDict()
    names = {*dir(Metric), *vars(metric), *dir(MetricCollection), *vars(collection)} - {*dir(module), *vars(module)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def private_names(path: Path) -> set[str]:
    """Which of them a file uses: as attributes, methods that it overrides, or strings."""
    used: set[object] = set()
    for node in nodes(path):
        used |= {getattr(node, "attr", None), getattr(node, "name", None), getattr(node, "value", None)}
    return private_of_torchmetrics() & used


def long_without_a_reason(path: Path) -> Iterator[str]:
    """The reason is a line of the file's docstring that begins with "Long because"."""
    text = path.read_text()
    if len(text.splitlines()) > MAX_LINES:
        lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
        if not any(line.startswith(REASON) for line in lines):
            yield f"over {MAX_LINES} lines; cut it, or write '{REASON}...' into its docstring"


def casts(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module == "typing" and "cast" in {n.name for n in node.names}:
            yield "imports cast"
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "typing.cast":
            yield "casts"


def metrics_by_string(path: Path) -> Iterator[str]:
    """In callbacks; only what a checkpoint holds has names there, and ``Literal["..."]`` is a type."""
    if path.parent.name != "callbacks":
        return
    for node in nodes(path):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            if isinstance(node.slice.value, str) and ast.unparse(node.value) not in ("Literal", "state_dict"):
                yield ast.unparse(node)
        elif (
            isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and "metric" in ast.unparse(node.args[0])
        ):
            yield ast.unparse(node)


def reduced_by_hand(path: Path) -> Iterator[str]:
    """A metric decorates with ``@readout``; an evaluation reads a collection, inside ``collection.reduced()``."""
    if path.parent.name == "statistics":
        return
    for node in nodes(path):
        for item in node.items if isinstance(node, ast.With) else ():
            if ast.unparse(item.context_expr) == "self.reduced()":
                yield f"line {node.lineno}: use @readout"


def properties_that_communicate(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef) and decorators(node) & {"property", "cached_property"}:
            calls = {last_name(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
            if "readout" in decorators(node) or calls & COMMUNICATES:
                yield f"line {node.lineno}: make {node.name} a method"


def private_names_of_torchmetrics(path: Path) -> Iterator[str]:
    yield from private_names(path) - PRIVATE_OF_TORCHMETRICS.get(place(path), set())


def sections_not_looked_up(path: Path) -> Iterator[str]:
    """Numbers of sections, equations and theorems are easy to get wrong, and differ between versions of a paper."""
    text = path.read_text()
    for match in NUMBERED.finditer(text):
        before = text[max(0, match.start() - 200) : match.start()].rpartition(";")[2]
        if not any(author in before and match[0] == number for author, number in LOOKED_UP.items()):
            yield f"{match[0]}: look it up and add it to LOOKED_UP, or leave it out"


RULES: list[Rule] = [
    long_without_a_reason,
    casts,
    metrics_by_string,
    reduced_by_hand,
    properties_that_communicate,
    private_names_of_torchmetrics,
    sections_not_looked_up,
]


@pytest.mark.parametrize("rule", RULES)
def test_no_source_breaks_the_rule(rule: Rule) -> None:
    problems = [f"{place(path)}: {problem}" for path in SOURCES for problem in rule(path)]
    assert not problems, "\n".join(problems)


def test_the_list_of_private_names_is_up_to_date() -> None:
    assert {name: private_names(ROOT / "src/torchdisentangle" / name) for name in PRIVATE_OF_TORCHMETRICS} == (
        PRIVATE_OF_TORCHMETRICS
    )


BAD = """
# Kumar et al., ICLR 2018, Section 4
from typing import cast
class Metric:
    @property
    @readout
    def value(self):
        with self.reduced():
            return self.metrics["mig"]._to_sync
"""


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_finds_what_it_forbids(rule: Rule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "callbacks" / "bad.py"
    path.parent.mkdir()
    path.write_text(BAD + "\n" * MAX_LINES)
    assert len(list(rule(path))) == 1
