"""What all runs found, as tables: collected from their folders, written and read as CSV."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from common import write_csv
from run import FITTED, TRAINED

from torchdisentangle import Report
from torchdisentangle.functional import compare_posteriors, informative_latents
from torchdisentangle.similarity import Fingerprint, run_stability, unsupervised_disentanglement_ranking
from torchdisentangle.similarity.measure import best_match, similarity_matrix
from torchdisentangle.study import Run, finished_runs

SETTING = ("data", "model", "strength", "seed")
COST = "cost/"
ENDS = ("low", "high")
CHANNEL_POINTS = 300
Row = dict[str, Any]


class Results(NamedTuple):
    """Tables of rows by column."""

    scores: list[Row]
    """Of each run: its setting, and all scores by name."""
    intervals: list[Row]
    """Of each run: its setting, and ``<name>_low`` and ``<name>_high``, NaN for an interval that was not computed."""
    costs: list[Row]
    """Of each data set and entry of the registry or evaluation: median seconds of processor time of the value
    (``seconds``; NaN if it comes with its interval) and of both (``with_interval``; NaN if it has none)."""

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read what :meth:`save` has written."""
        return cls(*(_read(folder / f"{name}.csv") for name in cls._fields))

    def save(self, folder: Path) -> None:
        """Write the tables."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self._asdict().items():
            write_csv(folder / f"{name}.csv", rows)


def collect(folder: Path) -> Results:
    """The tables of all runs whose seed is done in all settings."""
    runs = _of_whole_seeds(finished_runs(folder / TRAINED))
    reports = {run.name: run.report for run in runs}
    fitted = {run.name: run.report for run in finished_runs(folder / FITTED) if run.name in reports}
    together, shared_cost = _over_seeds(runs)
    scores, intervals = [], []
    for run in runs:
        setting = {name: run.config[name] for name in SETTING}
        values = {name: value for name, value in reports[run.name].scalars.items() if not name.startswith(COST)}
        known = {**reports[run.name].intervals, **(fitted[run.name].intervals if run.name in fitted else {})}
        ends = {f"{name}_{end}": value for name, pair in known.items() for end, value in zip(ENDS, pair, strict=True)}
        scores.append(setting | values | together[run.name])
        intervals.append(setting | ends)
    return Results(_filled(scores), _filled(intervals), _costs(runs, reports, fitted) + shared_cost)


def _of_whole_seeds(runs: list[Run]) -> list[Run]:
    settings = {_setting(run) for run in runs}
    done: dict[int, set[Any]] = {}
    for run in runs:
        done.setdefault(run.config["seed"], set()).add(_setting(run))
    return [run for run in runs if done[run.config["seed"]] == settings]


def _setting(run: Run) -> tuple[Any, ...]:
    return tuple(run.config[name] for name in SETTING[:-1])


def _filled(rows: list[Row]) -> list[Row]:
    """The same rows with all columns that one of them has, NaN where there is nothing."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name, math.nan) for name in names} for row in rows]


def _over_seeds(runs: list[Run]) -> tuple[dict[str, Row], list[Row]]:
    """Scores that compare the runs of a setting, by run, and what they cost for each."""
    found: dict[str, Row] = {run.name: {} for run in runs}
    costs = []
    for data in dict.fromkeys(run.config["data"] for run in runs):
        seconds = dict.fromkeys(SEVERAL, 0.0)
        of_data = [run for run in runs if run.config["data"] == data]
        for setting in dict.fromkeys(map(_setting, of_data)):
            fingerprints = {run.name: run.fingerprint for run in of_data if _setting(run) == setting}
            if len(fingerprints) < 2:
                continue
            for name, score in SEVERAL.items():
                start = time.process_time()
                for run, value in zip(fingerprints, score(fingerprints), strict=True):
                    found[run][name] = float(value)
                seconds[name] += time.process_time() - start
        costs += [_cost(data, name, total / len(of_data), math.nan, len(of_data)) for name, total in seconds.items()]
    return found, costs


def _channels(fingerprints: Mapping[str, Fingerprint]) -> list[float]:
    """How well the informative channels of each run are found again in the others: NMI with the best, averaged."""
    found = []
    for name, one in fingerprints.items():
        matches = [_match(one, other) for key, other in fingerprints.items() if key != name]
        found.append(sum(matches) / len(matches))
    return found


def _match(one: Fingerprint, other: Fingerprint) -> float:
    posteriors = [part[:CHANNEL_POINTS] for run in (one, other) for part in (run.mean, run.log_variance)]
    there, found = informative_latents(*posteriors[:2]), informative_latents(*posteriors[2:])
    match = best_match(similarity_matrix(compare_posteriors(*posteriors)), there, found)
    return float(match.nan_to_num(0.0))  # a model that knows nothing agrees with none


SEVERAL: Mapping[str, Callable[[Mapping[str, Fingerprint]], Any]] = {
    "udr": lambda runs: unsupervised_disentanglement_ranking(runs).udr,
    "stability": lambda runs: run_stability(runs).per_run()["mcc"],
    "channels": _channels,
}
"""Scores of the runs of one setting, which differ in their seed: one value for each."""


def _costs(runs: list[Run], reports: Mapping[str, Report], fitted: Mapping[str, Report]) -> list[Row]:
    """Medians over the runs of each data set."""
    rows = []
    for data in dict.fromkeys(run.config["data"] for run in runs):
        names = [run.name for run in runs if run.config["data"] == data]
        for key in reports[names[0]]:
            if not key.startswith(COST):
                continue
            first = median(reports[name][key] for name in names)
            again = [fitted[name][key] for name in names if name in fitted and key in fitted[name].scalars]
            name = key.removeprefix(COST)
            if again:  # first alone, then with its interval
                rows.append(_cost(data, name, first, median(again), len(again)))
            elif any(end.startswith(name) for end in reports[names[0]].intervals):
                rows.append(_cost(data, name, math.nan, first, len(names)))
            else:
                rows.append(_cost(data, name, first, math.nan, len(names)))
    return rows


def _cost(data: str, name: str, seconds: float, with_interval: float, runs: int) -> Row:
    return {"data": data, "name": name, "seconds": seconds, "with_interval": with_interval, "runs": runs}


def _read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
