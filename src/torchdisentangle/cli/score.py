"""``torchdisentangle score``: codes against known factors, from two files."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchdisentangle.cli.arrays import CODES, FACTORS, Arrays, as_numbers, column_numbers, read_arrays, real_columns
from torchdisentangle.cli.options import add_output_options, collected_warnings, flat, say, words
from torchdisentangle.cli.output import Result, write_out, write_result
from torchdisentangle.evaluation.scores import default_names, score
from torchdisentangle.statistics.checks import Continuous, check_codes, check_factors, continuous_columns
from torchdisentangle.supervised import registered_scores

FORMATS = ".npy, .npz, .pt, .csv, .tsv or .parquet; PATH:ARRAY chooses one array of several"


def add_command(commands: Any) -> None:
    """Add the parser of ``score`` to those of the other commands."""
    parser = commands.add_parser(
        "score",
        help="score codes against known factors",
        description="Score codes against known factors: two files, no model. Row i of both files is of the same data "
        "point. Prints one line for each score, with a confidence interval, and the best value that the data allow "
        "where it is known.",
    )
    parser.add_argument("codes", metavar="CODES", help=f"codes or posterior means, (n, d): {FORMATS}")
    parser.add_argument("factors", metavar="FACTORS", help="known factors, (n, F), in a file of the same kinds")
    parser.add_argument(
        "--log-variance",
        metavar="FILE",
        help="log-variances of the posteriors, (n, d): adds the scores of posteriors (none)",
    )
    parser.add_argument(
        "--names", type=words, nargs="+", metavar="NAME", help="which scores, by short names (all quick ones)"
    )
    parser.add_argument("--all", action="store_true", help="also the slow scores, which take seconds to minutes")
    parser.add_argument(
        "--continuous",
        type=words,
        nargs="+",
        metavar="FACTOR",
        help="factors that are real numbers, by name or number from 0; 'all': all (none)",
    )
    parser.add_argument(
        "--factor-names", type=words, nargs="+", metavar="NAME", help="names of the factors (the table's, or numbers)"
    )
    parser.add_argument("--max-rows", type=int, default=10_000, help="rows that scores keep that need rows")
    parser.add_argument("--seed", type=int, default=0, help="of the sample of rows, and of what is drawn or fitted")
    parser.add_argument("--level", type=float, default=0.95, help="of the confidence intervals; 0: no intervals")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Score the codes that the arguments name."""
    start = time.perf_counter()
    if not 0 <= arguments.level < 1:
        raise ValueError(f"--level must be at least 0 and below 1, got {arguments.level}")
    codes = read_codes(arguments.codes)
    file = read_arrays(arguments.factors)
    factors = as_numbers(file.choose(*FACTORS), file.path, text=True)
    names = factor_names(flat(arguments.factor_names), file, factors)
    continuous = column_numbers(flat(arguments.continuous) or [], names or [])
    factors = checked_factors(factors, arguments, len(codes), continuous, names)
    log_variance = None
    if arguments.log_variance is not None:
        log_variance = read_codes(arguments.log_variance, "log_variance", "logvar", "log_var")
        if log_variance.shape != codes.shape:
            shapes = f"{tuple(log_variance.shape)}, not {tuple(codes.shape)} as {arguments.codes}"
            raise ValueError(f"{arguments.log_variance} has shape {shapes}")
    with collected_warnings() as said:
        report = score(
            codes,
            factors,
            flat(arguments.names) or default_names(log_variance is not None, slow=arguments.all),
            log_variance=log_variance,
            continuous=continuous,
            factor_names=names,
            max_rows=arguments.max_rows,
            seed=arguments.seed,
            level=arguments.level or None,
            say=say,
        )
    if not report.scalars and not report.matrices:
        raise ValueError(f"no score of {arguments.codes} against {arguments.factors} could be computed")
    facts = {
        "codes": arguments.codes,
        "factors": arguments.factors,
        "num_codes": codes.shape[1],
        "factor_names": names or [str(i) for i in range(factors.shape[1])],
        "continuous": [i for i, real in enumerate(continuous_columns(continuous, factors.shape[1])) if real],
        "max_rows": arguments.max_rows,
        "seed": arguments.seed,
        "level": arguments.level,
    }
    result = Result(f"Scores of {arguments.codes}", report, facts, said, sentences(report))
    write_result(result, arguments)
    if arguments.out is not None:
        write_out(result, arguments.out)
    say(f"{report.num_rows} rows in {time.perf_counter() - start:.1f} s")


def read_codes(name: str, *names: str) -> Tensor:
    """Floats ``(n, d)`` from a file.

    Args:
        name: of the file.
        names: what the array may be called in it; by default as codes mostly are.
    """
    file = read_arrays(name)
    values = as_numbers(file.choose(*(names or CODES)), file.path)
    return check_codes(values if values.is_floating_point() else values.double(), name=str(file.path))


def factor_names(given: Sequence[str] | None, file: Arrays, factors: Tensor) -> list[str] | None:
    """Names of the factors: those given, or those of a table's columns.

    Raises:
        ValueError: if there is not one for each factor.
    """
    names = list(given or file.columns)
    width = 1 if factors.ndim == 1 else factors.shape[1]
    if names and len(names) != width:
        raise ValueError(f"{file.path} has {width} factors, but {len(names)} names are given: {', '.join(names)}")
    return names or None


def checked_factors(
    factors: Tensor,
    arguments: argparse.Namespace,
    num_codes: int,
    continuous: Continuous,
    names: Sequence[str] | None,
) -> Tensor:
    """The factors ``(n, F)``, or an error that names the files and the option that helps."""
    factors = factors[:, None] if factors.ndim == 1 else factors
    if len(factors) != num_codes:
        raise ValueError(f"{arguments.factors} has {len(factors)} rows, but {arguments.codes} has {num_codes}")
    if factors.ndim == 2:
        real = continuous_columns(continuous, factors.shape[1])
        odd = [names[i] if names else str(i) for i in real_columns(factors) if not real[i]]
        if odd:
            raise ValueError(f"{arguments.factors} holds real numbers: add --continuous {' '.join(odd)}")
    return check_factors(factors, num_codes, continuous, name=arguments.factors)


def sentences(names: Sequence[str] | Any) -> dict[str, str]:
    """What scores ask, by their names: the first line of each class's documentation.

    Args:
        names: of scores.

    Example:
        >>> sentences(["mig", "dci_completeness"])["mig"]
        'Mutual information gap (MIG): is every factor in one code only?'
    """
    scores = registered_scores()
    found = {}
    for name in names:
        entry = scores.get(name) or next((scores[key] for key in scores if name.startswith(f"{key}_")), None)
        if entry is not None and entry.score.__doc__:
            found[name] = entry.score.__doc__.strip().splitlines()[0]
    return found
