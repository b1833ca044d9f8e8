"""Results as text, as JSON, as CSV, and as a folder with figures and a page to read."""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

import torchdisentangle
from torchdisentangle.cli.options import say
from torchdisentangle.evaluation.report import Report

_PAGE = Path(__file__).with_name("page.html")
_DPI = 200  # dots per inch of the figures
_PIXELS = 120  # per inch on the page: letters of 8 points are as high there as its own


@dataclass(frozen=True)
class Result:
    """What a command has found.

    Args:
        title: of the page.
        report: the values.
        facts: what they are of: files, settings.
        warnings: what was said while they were computed.
        sentences: what a value asks, by its name.
    """

    title: str
    report: Report
    facts: Mapping[str, Any]
    warnings: Sequence[str] = ()
    sentences: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """JSON with ``scores``, ``rows``, ``ceilings``, ``matrices``, what they are of, and ``warnings``.

        A number that cannot be known is ``null``.
        """
        report = self.report
        scores = {
            name: {"value": value, **dict(zip(("low", "high"), report.intervals.get(name, ()), strict=False))}
            for name, value in report.scalars.items()
        }
        content = {
            "scores": scores,
            "rows": report.num_rows,
            "ceilings": report.ceilings,
            **self.facts,
            "matrices": {name: matrix.tolist() for name, matrix in report.matrices.items()},
            "warnings": list(self.warnings),
            "version": torchdisentangle.__version__,
        }
        return json.dumps(without_nan(content), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """CSV with one row for each value."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", "value", "low", "high", "ceiling"])
        for name, value in self.report.scalars.items():
            low, high = self.report.intervals.get(name, ("", ""))
            writer.writerow([name, value, low, high, self.report.ceilings.get(name, "")])
        return text.getvalue()

    def to_text(self) -> str:
        """A table to read."""
        report = self.report
        header = ["", "value", *(["interval"] if report.intervals else []), *(["ceiling"] if report.ceilings else [])]
        rows = [header]
        for name, value in report.scalars.items():
            row = [name, number(value)]
            if report.intervals:
                row.append("[{}, {}]".format(*map(number, report.intervals[name])) if name in report.intervals else "")
            if report.ceilings:
                row.append(number(report.ceilings[name]) if name in report.ceilings else "")
            rows.append(row)
        return in_columns(rows)

    def to_html(self, figures: Mapping[str, bytes], pages: Sequence[str] = ()) -> str:
        """A page that holds all but the interactive pages.

        Args:
            figures: PNG files by title.
            pages: names of the interactive pages beside it.
        """
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        filters: dict[str, Any] = {"number": number, "width": _width, "png": lambda png: base64.b64encode(png).decode()}
        environment.filters |= filters
        template = environment.from_string(_PAGE.read_text(encoding="utf-8"))
        return template.render(
            title=self.title,
            report=self.report,
            facts=self.facts,
            warnings=self.warnings,
            sentences=self.sentences,
            figures=figures,
            pages=pages,
            version=torchdisentangle.__version__,
        )


def _width(png: bytes) -> int:
    """Pixels on the page, so that letters have one size in all figures."""
    return round(int.from_bytes(png[16:20], "big") * _PIXELS / _DPI)


def write_result(result: Result, arguments: argparse.Namespace) -> None:
    """Print a result, as the options ask."""
    print(result.to_json() if arguments.json else result.to_csv().rstrip() if arguments.csv else result.to_text())


def write_out(result: Result, folder: Path) -> None:
    """Write ``report.npz``, ``report.json``, ``report.html``, figures as PNG, and interactive pages.

    Args:
        result: what was found.
        folder: is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result.report.save(folder / "report.npz")
    (folder / "report.json").write_text(result.to_json() + "\n", encoding="utf-8")
    figures = {}
    for name, draw in result.report.figures.items():
        picture = io.BytesIO()
        draw().savefig(picture, format="png", dpi=_DPI, bbox_inches="tight")
        figures[name] = picture.getvalue()
        (folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}.png").write_bytes(figures[name])
    pages = [result.report.save_page(folder / "latents.html").name] if result.report.pages else []
    (folder / "report.html").write_text(result.to_html(figures, pages), encoding="utf-8")
    say(f"wrote {folder / 'report.html'}")


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as text whose columns line up.

    Example:
        >>> print(in_columns([["run", "udr"], ["long name", "0.9"]]))
        run        udr
        long name  0.9
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def number(value: float) -> str:
    """A number to read.

    Example:
        >>> number(0.12345), number(1234.5678), number(math.nan)
        ('0.123', '1235', '–')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def without_nan(value: Any) -> Any:
    """A value whose numbers that are not finite are ``None``, as JSON needs it.

    Example:
        >>> without_nan({"a": [1.0, math.inf]})
        {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
