"""``torchdisentangle compare``: which channels of several runs carry the same information."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from torchdisentangle.cli.spaces import describe_spaces, write_spaces
from torchdisentangle.functional.similarity.channels import INFORMATIVE, NATS_PER_BIT
from torchdisentangle.plots import plot_similarity
from torchdisentangle.similarity.ensemble import EnsembleComparison, compare_fingerprints
from torchdisentangle.similarity.fingerprint import Fingerprint, find_fingerprint
from torchdisentangle.similarity.hot_spots import HotSpots, find_hot_spots
from torchdisentangle.similarity.measure import Measure, Unit, in_unit, measure_label, similarity_matrix
from torchdisentangle.similarity.space_comparison import compare_spaces

_SHARE = 0.4  # of the runs that a hot spot takes: the paper's 20 channels of 50 runs
_WIDEST = 20  # columns that are printed


def add_command(commands: Any) -> None:
    """Add the parser of ``compare`` to those of the other commands."""
    parser = commands.add_parser(
        "compare",
        help="compare the latent channels of runs",
        description="Similarity of all latent channels of one or more runs, hot spots of information they share, and "
        "similarity of the runs' whole spaces. Prints the similarity matrix, and writes it with its figures.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="fingerprint file, or folder of a run: its latest one")
    parser.add_argument("--measure", choices=("nmi", "vi"), default="nmi", help="normalised MI, or variation of inf.")
    parser.add_argument("--unit", choices=("nats", "bits"), default="nats", help="of information and VI")
    parser.add_argument("--threshold", type=float, help="leave out channels with no more information (0.01 bits)")
    parser.add_argument("--min-samples", type=int, help="channels that make a hot spot (0.4 of the runs, at least 2)")
    parser.add_argument("--output", type=Path, default=Path("similarity"), metavar="FOLDER", help="where files go")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Compare the runs that the arguments name."""
    files, loaded, faults = load_runs(arguments.runs)
    names = run_names(files)
    fingerprints = dict(zip(names, loaded, strict=True))
    compare(arguments, names, files, fingerprints)
    if faults:
        raise ValueError(f"{len(faults)} of {len(arguments.runs)} runs are left out: {'; '.join(faults)}")


def compare(
    arguments: argparse.Namespace, names: Sequence[str], files: Sequence[Path], fingerprints: dict[str, Fingerprint]
) -> None:
    """Print and write the comparison of fingerprints."""
    ensemble = compare_fingerprints(fingerprints)
    unit, measure = arguments.unit, arguments.measure
    threshold = INFORMATIVE
    if arguments.threshold is not None:
        threshold = arguments.threshold * (NATS_PER_BIT if unit == "bits" else 1)
    least = max(2, math.ceil(_SHARE * len(files)))
    min_samples = least if arguments.min_samples is None else arguments.min_samples
    matrix = similarity_matrix(ensemble.comparison, measure, unit)
    for name, file in zip(names, files, strict=True):
        print(f"{name:16} {fingerprints[name]!r} from {file}")
    information = in_unit(ensemble.comparison.information_a, unit)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if len(fingerprints) > 1 and ensemble.num_points >= 3:
        spaces = compare_spaces(fingerprints)
        write_spaces(arguments.output / "spaces.csv", spaces)
        print(f"\n{describe_spaces(spaces)}")
    table = arguments.output / "similarity.csv"
    _write(table, ensemble.names, matrix, information)
    spots = find_hot_spots(ensemble.comparison, measure, min_samples, threshold)
    if len(spots.order) == 0:
        print(f"\nNo channel carries more information than the threshold.\n\n{table}")
        return
    ordered = [ensemble.names[i] for i in spots.order]
    shown = spots.order[:_WIDEST].tolist()
    print(f"\n{measure_label(measure, unit)} of {len(ordered)} informative channels at {ensemble.num_points} points\n")
    print(format_matrix([ensemble.names[i] for i in shown], matrix[shown][:, shown]))
    if len(shown) < len(ordered):
        print(f"... and {len(ordered) - len(shown)} more, see {table}")
    print(f"\n{describe(ensemble, spots, matrix, information, measure, unit)}")
    figure, _ = plot_similarity(
        matrix[spots.order][:, spots.order],
        reachability=spots.reachability,
        hot_spots=spots.labels[spots.order],
        row_labels=ordered,
        label=measure_label(measure, unit),
    )
    picture = arguments.output / "similarity.png"
    figure.savefig(picture)
    print(f"\n{table}\n{picture}")
    if ensemble.with_labels is not None:
        with_labels = similarity_matrix(ensemble.with_labels, measure, unit)[spots.order]
        labels = [f"label {k}" for k in range(with_labels.shape[1])]
        figure, _ = plot_similarity(
            with_labels, row_labels=ordered, column_labels=labels, label=measure_label(measure, unit)
        )
        figure.savefig(arguments.output / "labels.png")
        print(arguments.output / "labels.png")


def load_runs(runs: Sequence[str]) -> tuple[list[Path], list[Fingerprint], list[str]]:
    """The fingerprints of runs with their files, and what is wrong with those that cannot be read.

    Raises:
        ValueError: if none can be read.
    """
    files, fingerprints, faults = [], [], []
    for run in runs:
        try:
            file = find_fingerprint(run)
            fingerprints.append(Fingerprint.load(file))
            files.append(file)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    if not files:
        raise ValueError("; ".join(faults))
    return files, fingerprints, faults


def run_names(files: Sequence[Path]) -> list[str]:
    """Short names of runs: what is different about their paths.

    Args:
        files: fingerprint files.

    Returns:
        One distinct name for each.

    Raises:
        ValueError: if a file is given twice.

    Example:
        >>> run_names([Path("runs/a/fingerprints/val/10.npz"), Path("runs/b/fingerprints/val/10.npz")])
        ['a', 'b']
        >>> run_names([Path("a/10.npz"), Path("b/10.npz"), Path("b/20.npz")])
        ['a/10', 'b/10', 'b/20']
    """
    paths = [file.resolve().with_suffix("").parts for file in files]
    if len(set(paths)) < len(paths):
        raise ValueError("a run is given twice")
    if len(paths) == 1:
        return [paths[0][-1]]
    common = set.intersection(*map(set, paths))
    names = ["/".join(part for part in path if part not in common) for path in paths]
    return names if all(names) and len(set(names)) == len(names) else ["/".join(path) for path in paths]


def format_matrix(names: Sequence[str], matrix: Tensor) -> str:
    """A matrix as text, with names of rows and numbers of columns.

    Args:
        names: of the rows, which are the columns too.
        matrix: ``(M, M)``.

    Example:
        >>> import torch
        >>> print(format_matrix(["a:0", "b:0"], torch.tensor([[1.0, 0.25], [0.25, 1.0]])))
                 1    2
        1 a:0 1.00 0.25
        2 b:0 0.25 1.00
    """
    width, digits = max(map(len, names)), len(str(len(names)))
    head = " " * (digits + width + 1) + "".join(f" {i + 1:4d}" for i in range(len(names)))
    lines = [
        f"{i + 1:{digits}d} {name:{width}}" + "".join(f" {value:4.2f}" for value in row)
        for i, (name, row) in enumerate(zip(names, matrix.tolist(), strict=True))
    ]
    return "\n".join([head, *lines])


def describe(
    ensemble: EnsembleComparison, spots: HotSpots, matrix: Tensor, information: Tensor, measure: Measure, unit: Unit
) -> str:
    """Hot spots in words: their members, how similar those of different runs are, and how much they tell."""
    runs = [name.rpartition(":")[0] for name in ensemble.names]
    lines = []
    for label in range(int(spots.labels.max()) + 1):
        members = (spots.labels == label).nonzero()[:, 0].tolist()
        across = [float(matrix[i, j]) for i in members for j in members if runs[i] != runs[j]]
        similarity = (
            f"mean {measure_label(measure, unit)} across runs {sum(across) / len(across):.2f}, " if across else ""
        )
        lines.append(
            f"hot spot {label}: {len(members)} channels of {len({runs[i] for i in members})} runs, {similarity}"
            f"information {information[members].mean():.2f} {unit}: {' '.join(ensemble.names[i] for i in members)}"
        )
    return "\n".join(lines) if lines else "no hot spots"


def _write(path: Path, names: Sequence[str], matrix: Tensor, information: Tensor) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["channel", "information", *names])
        for name, value, row in zip(names, information.tolist(), matrix.tolist(), strict=True):
            table.writerow([name, *(f"{x:.6g}" for x in (value, *row))])
