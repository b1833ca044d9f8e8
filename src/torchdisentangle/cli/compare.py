"""``torchdisentangle compare``: which channels of several runs carry the same information."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torchdisentangle.cli.comparison import Comparison
from torchdisentangle.cli.options import add_print_options, counted, say
from torchdisentangle.cli.runs import runs_of
from torchdisentangle.cli.spaces import describe_spaces, write_spaces
from torchdisentangle.functional.similarity.channels import INFORMATIVE, NATS_PER_BIT
from torchdisentangle.similarity.ensemble import compare_fingerprints
from torchdisentangle.similarity.fingerprint import Fingerprint, find_fingerprint
from torchdisentangle.similarity.hot_spots import find_hot_spots
from torchdisentangle.similarity.space_comparison import compare_spaces

_SHARE = 0.4  # of the runs that a hot spot takes: the paper's 20 channels of 50 runs


def add_command(commands: Any) -> None:
    """Add the parser of ``compare`` to those of the other commands."""
    parser = commands.add_parser(
        "compare",
        help="compare the latent channels of runs",
        description="Similarity of all latent channels of one or more runs, hot spots of information they share, and "
        "similarity of the runs' whole spaces. Prints the similarity matrix, and writes it with its figures.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="fingerprint file, or folder of a run: its latest; or study"
    )
    parser.add_argument("--measure", choices=("nmi", "vi"), default="nmi", help="normalised MI, or variation of inf.")
    parser.add_argument("--unit", choices=("nats", "bits"), default="nats", help="of information and VI")
    parser.add_argument("--threshold", type=float, help="leave out channels with no more information (0.01 bits)")
    parser.add_argument("--min-samples", type=int, help="channels that make a hot spot (0.4 of the runs, at least 2)")
    add_print_options(parser)
    parser.add_argument(
        "--out", "--output", type=Path, default=Path("similarity"), metavar="FOLDER", help="where files go"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Compare the runs that the arguments name."""
    files, loaded, faults = load_runs(arguments.runs)
    names = run_names(files)
    fingerprints = dict(zip(names, loaded, strict=True))
    compare(arguments, names, files, fingerprints)
    if faults:
        raise ValueError(f"{len(faults)} of {len(files) + len(faults)} runs are left out: {'; '.join(faults)}")


def compare(
    arguments: argparse.Namespace, names: Sequence[str], files: Sequence[Path], fingerprints: dict[str, Fingerprint]
) -> None:
    """Print and write the comparison of fingerprints."""
    tell = say if arguments.json or arguments.csv else print
    for name, file in zip(names, files, strict=True):
        tell(f"{name:16} {fingerprints[name]!r} from {file}")
    found = Comparison(compare_fingerprints(fingerprints), arguments.measure, arguments.unit)
    arguments.out.mkdir(parents=True, exist_ok=True)
    spaces = None
    if len(fingerprints) > 1 and found.ensemble.num_points >= 3:
        spaces = compare_spaces(fingerprints)
        write_spaces(arguments.out / "spaces.csv", spaces)
        tell(f"\n{describe_spaces(spaces)}")
    table = arguments.out / "similarity.csv"
    table.write_text(found.to_csv(), encoding="utf-8")
    threshold = INFORMATIVE
    if arguments.threshold is not None:
        threshold = arguments.threshold * (NATS_PER_BIT if arguments.unit == "bits" else 1)
    min_samples = arguments.min_samples
    if min_samples is None:
        min_samples = max(2, math.ceil(_SHARE * len(files)))
    spots = find_hot_spots(found.ensemble.comparison, arguments.measure, min_samples, threshold)
    if len(spots.order) == 0:
        tell(f"\nNo channel carries more information than the threshold.\n\n{table}")
    else:
        tell(f"\n{found.described_channels(spots.order, table)}\n\n{found.described_spots(spots)}\n\n{table}")
        for name, figure in found.figures(spots).items():
            figure.savefig(arguments.out / name)
            tell(str(arguments.out / name))
    if arguments.json:
        print(found.to_json(files, spots, spaces))
    elif arguments.csv:
        print(found.to_csv().rstrip())


def load_runs(runs: Sequence[str]) -> tuple[list[Path], list[Fingerprint], list[str]]:
    """The fingerprints of runs and studies with their files, and what is wrong with those that cannot be read.

    Raises:
        ValueError: if none can be read.
    """
    faults: list[str] = []
    found = list(readable_runs(runs, faults))
    if not found:
        raise ValueError("; ".join(faults))
    return [file for file, _ in found], [fingerprint for _, fingerprint in found], faults


def readable_runs(runs: Sequence[str], faults: list[str]) -> Iterator[tuple[Path, Fingerprint]]:
    """The file of each run, also of studies, with its fingerprint; those that cannot be read add to the faults."""
    for run in counted(runs_of(runs), "reading runs"):
        try:
            file = find_fingerprint(run)
            fingerprint = Fingerprint.load(file)
        except (ValueError, OSError) as error:
            faults.append(str(error))
        else:
            yield file, fingerprint


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
