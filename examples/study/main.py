"""Which scores to report? Many models of many kinds, each scored by every score there is.

Run ``python examples/study/main.py``, which takes hours and goes on where it was stopped, or with ``--fast``; with
``--results examples/study/results`` what was found is analysed again, and nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from run import FITTED, TRAINED, add_intervals, run
from settings import DATASETS, configurations, fast_configurations

from torchdisentangle.study import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/study"), help="where everything is written")
    parser.add_argument("--fast", action="store_true", help="eight models on one data set, trained for a moment")
    parser.add_argument("--data", choices=DATASETS, help="only the runs on this data set, if others do the rest")
    parser.add_argument("--workers", type=int, help="how many runs at once; 0: in this process")
    options = parser.parse_args()
    wanted = fast_configurations() if options.fast else configurations()
    wanted = [config for config in wanted if options.data in (None, config["data"])]
    execute(options.folder.resolve(), wanted, options.workers)


def execute(folder: Path, wanted: list[dict[str, Any]], workers: int | None) -> None:
    """Do the runs that are not done, and after them the intervals that take fits."""
    runs = Study(folder / TRAINED, run, wanted).execute(workers)
    again = {one.name: {**one.config, "run": one.name} for one in runs}
    Study(folder / FITTED, add_intervals, again).execute(workers)


if __name__ == "__main__":
    main()
