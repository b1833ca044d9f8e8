"""Which scores to report? Many models of many kinds, each scored by every score there is.

Run ``python examples/study/main.py``, which takes hours and goes on where it was stopped, or with ``--fast``; with
``--results examples/study/results`` what was found is analysed again, and nothing is trained.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from analysis import scored
from common import print_made
from figures import draw_agreement, draw_predictors, draw_shares
from results import SETTING, SEVERAL, Results, collect
from rules import judge, table_of_rules, table_of_three
from run import FITTED, TRAINED, add_intervals, run
from scores import kind_of
from scoring import new_score
from settings import DATASETS, configurations, fast_configurations
from verdicts import Verdict, conclude

from torchdisentangle.study import Study
from torchdisentangle.supervised import registered_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/study"), help="where everything is written")
    parser.add_argument("--fast", action="store_true", help="two models, trained for a moment")
    parser.add_argument("--data", choices=DATASETS, help="only do the runs on this data set, if others do the rest")
    parser.add_argument("--results", type=Path, help="folder of tables that were found before, to analyse again")
    parser.add_argument("--engine", choices=("processes", "ray"), default="processes", help="what does the runs")
    parser.add_argument("--workers", type=int, help="how many runs at once; 0: in this process")
    options = parser.parse_args()
    start, folder = time.time(), options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.results is None:
        wanted = fast_configurations() if options.fast else configurations()
        wanted = [config for config in wanted if options.data in (None, config["data"])]
        execute(folder, wanted, options.workers, options.engine)
        if options.data is not None:
            return
        collect(folder).save(folder / "results")
    results = Results.load(options.results or folder / "results")
    verdicts = checks(results) if options.fast else report(results, folder)
    print_made(start)
    conclude(verdicts)


def execute(folder: Path, wanted: list[dict[str, Any]], workers: int | None, engine: Any) -> None:
    """Do the runs that are not done, and after them the intervals that take fits."""
    runs = Study(folder / TRAINED, run, wanted).execute(workers, engine)
    again = {one.name: {**one.config, "run": one.name} for one in runs if not one.config.get("fast")}
    Study(folder / FITTED, add_intervals, again).execute(workers, engine)


def report(results: Results, folder: Path) -> dict[str, Verdict | bool]:
    """Draw the figures, print what was found, and return what the rules say."""
    tables = scored(results)
    found = judge(tables)
    for name, draw in {"agreement": draw_agreement, "predictors": draw_predictors, "shares": draw_shares}.items():
        draw(tables, found).savefig(folder / f"{name}.png", dpi=110)
    numbers = ", ".join(f"{len(table.rows)} models on {table.name}" for table in tables)
    print(f"{numbers}; {tables[0].scores.shape[1]} scores with factors.\n\n{table_of_rules(tables, found)}\n")
    print(f"{table_of_three(tables, found)}")
    return {rule.claim: rule.verdict for rule in found.rules}


def checks(results: Results) -> dict[str, Verdict | bool]:
    """What a short run can tell: every score was computed, and every setting has all its seeds."""
    row, intervals = results.scores[0], results.intervals[0]
    kinds = {kind_of(name) for name in row} - {None}
    quick = [name for name in registered_scores() if new_score(name).has_quick_interval and f"{name}_low" in intervals]
    settings = {tuple(row[name] for name in SETTING[:-1]) for row in results.scores}
    return {
        "every entry of the registry has a value": kinds | {"mutual_information"} == set(registered_scores()),
        "so have scores of several seeds": all(math.isfinite(row[name]) for name in SEVERAL),
        f"scores of counts and moments have intervals ({len(quick)})": len(quick) > 10,
        "every setting has two runs": len(results.scores) == 2 * len(settings),
    }


if __name__ == "__main__":
    main()
