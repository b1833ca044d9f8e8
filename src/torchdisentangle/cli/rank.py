"""``torchdisentangle rank``: which of several runs has the latents that the others find, too."""

from __future__ import annotations

import argparse
import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.cli.compare import readable_runs, run_names
from torchdisentangle.cli.options import add_output_options, collected_warnings, say
from torchdisentangle.cli.output import Result, in_columns, number, without_nan, write_out, write_result
from torchdisentangle.evaluation.report import Report, draws
from torchdisentangle.plots import plot_similarity
from torchdisentangle.similarity.ranking import RunRanking, unsupervised_disentanglement_ranking
from torchdisentangle.similarity.run_pairs import FingerprintFiles
from torchdisentangle.similarity.stability import RunStability, run_stability

_SENTENCES = {
    "stability/mcc": "Mean correlation of the latents of two runs, matched one to one; mean over pairs of runs.",
    "stability/r2": "Share of the variance of a run's latents that a linear function of another's explains.",
}
_TITLES = {"udr": "UDR of pairs", "mcc": "MCC of pairs", "r2": "R2 of pairs"}


def add_command(commands: Any) -> None:
    """Add the parser of ``rank`` to those of the other commands."""
    parser = commands.add_parser(
        "rank",
        help="rank runs without labels",
        description="Rank runs by unsupervised disentanglement ranking (UDR): whether their latents are those of the "
        "other runs, up to order and signs. Prints one line for each run, the best first, with the mean agreement with "
        "the other runs (MCC up to order and scale, R2 up to a linear map), and the stability of all.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="fingerprint file, or folder of a run: its latest; or study"
    )
    parser.add_argument("--method", choices=("lasso", "spearman"), default="lasso", help="what relates latents in UDR")
    parser.add_argument("--strength", type=float, default=0.1, help="of the lasso's penalty")
    parser.add_argument(
        "--threshold", type=float, default=0.01, help="leave out latents with no more nats of KL divergence"
    )
    parser.add_argument(
        "--significance",
        type=float,
        help="with --method spearman: count correlations as 0 that could be chance with this probability, such as 0.05 "
        "(all count)",
    )
    parser.add_argument(
        "--level", type=float, default=0.95, help="of the confidence intervals over runs; 0: no intervals"
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Ranked(Result):
    """A result with one row of values for each run, the best first.

    Args:
        runs: values of the runs by name.
    """

    runs: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> str:
        """JSON as of every result, and ``runs``."""
        content = {"runs": without_nan(list(self.runs)), **json.loads(super().to_json())}
        return json.dumps(content, indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """CSV with one row for each run."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [*self.runs[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.runs)
        return text.getvalue()

    def to_text(self) -> str:
        """A table of the runs, and what they have in common."""
        cells = [
            [number(value) if isinstance(value, float) else str(value) for value in run.values()] for run in self.runs
        ]
        lines = [in_columns([[*self.runs[0]], *cells]), ""]
        for name in ("mcc", "r2"):
            ends = self.report.intervals.get(f"stability/{name}")
            interval = "" if ends is None else " [{}, {}]".format(*map(number, ends))
            lines.append(f"mean {name} of all pairs: {number(self.report[f'stability/{name}'])}{interval}")
        return "\n".join(lines)


def run(arguments: argparse.Namespace) -> None:
    """Rank the runs that the arguments name."""
    start = time.perf_counter()
    if not 0 <= arguments.level < 1:
        raise ValueError(f"--level must be at least 0 and below 1, got {arguments.level}")
    faults: list[str] = []
    found = [(file, fingerprint.index) for file, fingerprint in readable_runs(arguments.runs, faults)]
    num_runs = len(found) + len(faults)
    shared = sharing_points([index for _, index in found]) if found else []
    faults += [f"{file} is of other data points" for (file, _), shares in zip(found, shared, strict=True) if not shares]
    files = [file for (file, _), shares in zip(found, shared, strict=True) if shares]
    left_out = f"{len(faults)} of {num_runs} runs are left out: {'; '.join(faults)}"
    if len(files) < 2:
        raise ValueError(left_out if faults else "a ranking needs at least two runs")
    fingerprints = FingerprintFiles(dict(zip(run_names(files), files, strict=True)))
    say(f"comparing {len(files)} runs, {len(files) * (len(files) - 1)} ordered pairs")
    with collected_warnings() as said:
        ranking = unsupervised_disentanglement_ranking(
            fingerprints,
            arguments.method,
            strength=arguments.strength,
            threshold=arguments.threshold,
            significance=arguments.significance,
        )
        stability = run_stability(fingerprints, threshold=arguments.threshold)
    report = report_of(ranking, stability, arguments.level)
    facts = {
        "files": [str(file) for file in files],
        "method": arguments.method,
        "strength": arguments.strength,
        "threshold": arguments.threshold,
        "significance": arguments.significance,
        "level": arguments.level,
    }
    rows = rows_of(ranking, stability)
    result = Ranked("Ranking of runs", report, facts, [*said, *([left_out] if faults else [])], _SENTENCES, rows)
    write_result(result, arguments)
    if arguments.out is not None:
        write_out(result, Path(arguments.out))
    say(f"{ranking.num_points} data points in {time.perf_counter() - start:.1f} s")
    if faults:
        raise ValueError(left_out)


def sharing_points(points: Sequence[Tensor]) -> list[bool]:
    """Which runs share data points with the one that shares some with the most of them.

    Args:
        points: indices of the data points of each run.

    Example:
        >>> sharing_points([torch.arange(9), torch.arange(100, 109), torch.arange(5, 9)])
        [True, False, True]
    """
    kinds: dict[bytes, int] = {}  # runs mostly have the same points
    kind_of = [kinds.setdefault(index.sort().values.numpy().tobytes(), len(kinds)) for index in points]
    sets = [points[kind_of.index(kind)] for kind in kinds.values()]
    shares = torch.tensor([[int(torch.isin(one, other).sum()) > 1 for other in sets] for one in sets])
    number = torch.bincount(torch.tensor(kind_of))
    return shares[(shares * number).sum(1).argmax()][kind_of].tolist()


def rows_of(ranking: RunRanking, stability: RunStability) -> list[dict[str, Any]]:
    """Values of the runs, the best first."""
    columns: dict[str, Tensor] = {"udr": ranking.udr, "informative": ranking.num_informative, **stability.per_run()}
    places = {name: place for place, name in enumerate(ranking.names)}
    return [
        {"run": name, **{key: values[places[name]].item() for key, values in columns.items()}}
        for name in ranking.order()
    ]


def report_of(ranking: RunRanking, stability: RunStability, level: float) -> Report:
    """Values of the runs and of their stability, with intervals where there are runs enough."""
    scalars = {f"stability/{name}": value for name, value in stability.mean().items()}
    for row in rows_of(ranking, stability):
        scalars |= {f"{row['run']}/{name}": row[name] for name in ("udr", "mcc", "r2")}
    with_intervals = level > 0 and len(ranking.names) > 2
    intervals = stability.interval(level) if with_intervals else {}
    matrices = {"udr": ranking.pairs, "mcc": stability.mcc, "r2": stability.r2}
    figures = {
        _TITLES[name]: lambda name=name: plot_similarity(matrices[name], row_labels=ranking.names, label=name.upper())
        for name in matrices
    }
    return Report(
        scalars,
        matrices,
        draws(figures),
        ranking.num_points,
        intervals={f"stability/{name}": (float(low), float(high)) for name, (low, high) in intervals.items()},
    )
