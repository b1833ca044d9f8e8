"""How cost grows: with latents, data dimensions, rows, processes and runs. Writes the numbers of ``docs/scale.csv``.

``python -m tests.benchmarks.scale --out docs/scale.csv`` measures all directions, or those that are named, and replaces
their lines in the file.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tests.benchmarks import Work, markdown, peak_bytes, scaled, set_scale, timed
from tests.benchmarks.scale_processes import compared, setting_of_this_run
from torchdisentangle import (
    SAP,
    ChannelSimilarity,
    ELBODecomposition,
    Fingerprint,
    MutualInformationGap,
    Report,
    StatisticCollection,
    TotalCorrelation,
    compare_fingerprints,
    compare_spaces,
    manifold_metrics,
    run_stability,
    unsupervised_disentanglement_ranking,
)
from torchdisentangle.cli.table import read_run
from torchdisentangle.functional import decoder_jacobian
from torchdisentangle.similarity import FingerprintFiles

FACTORS = (3, 6, 10, 8, 8)


class Point(NamedTuple):
    """A number that was measured, or that a model says."""

    direction: str
    series: str
    size: int
    quantity: str
    value: float


def generator() -> torch.Generator:
    """The same random numbers for each measurement."""
    return torch.Generator().manual_seed(0)


def state_bytes(metrics: Any) -> int:
    """Bytes of the states of a metric, or of a collection, those that are shared once."""
    members = metrics.values(copy_state=False) if isinstance(metrics, StatisticCollection) else [metrics]
    states = {id(state): state for one in members for state in one.metric_state.values()}
    return sum(state.nbytes for state in states.values())


def costs(direction: str, series: str, size: int, work: Work, runs: int = 2) -> Iterator[Point]:
    """CPU seconds of a call, the least of some, and the peak of its memory."""
    yield Point(direction, series, size, "seconds", timed(work, runs=runs)[0])
    yield Point(direction, series, size, "peak", peak_bytes(work))


def latents() -> Iterator[Point]:
    """One Jacobian of 4,096 data dimensions, 1,000 rows, 300 fingerprinted points."""
    measure = partial(costs, "latents")
    rows, data = scaled(1000), scaled(4096, 100)
    factors = torch.stack([torch.randint(values, (rows,), generator=generator()) for values in FACTORS], dim=1)
    for size in (10, 32, 100, 316, 1000, 4096):
        if size > data:
            continue
        runs = 1 if size > 1000 else 2
        manifold, jacobian = manifold_metrics(), torch.randn(1, data, size, generator=generator())
        yield from measure("manifold: update, a Jacobian", size, partial(manifold.update, jacobian), runs)
        yield from measure("manifold: read-out", size, partial(fresh_value, manifold), runs)
        yield Point("latents", "manifold", size, "state", state_bytes(manifold))
        mean = torch.randn(rows, size, generator=generator())
        yield from measure("ELBO: update and read-out", size, partial(elbo_of, mean), runs)
        yield Point("latents", "ELBO, 1,000 rows kept", size, "state", state_bytes(elbo_of(mean)))
        for name, score in {
            "MIG": MutualInformationGap(edges=(-3.0, 3.0)),
            "SAP without intervals": SAP(intervals=False),
            **({"SAP": SAP()} if size <= 1000 else {}),
        }.items():
            yield from measure(f"{name}: update, 1,000 rows", size, partial(score.update, mean, factors), runs)
            yield from measure(f"{name}: read-out", size, partial(fresh_value, score), runs)
            yield Point("latents", name, size, "state", state_bytes(score))
        if size <= 1000:
            points = mean[:300].double()
            similarity = ChannelSimilarity(num_points=300)
            similarity.update(points, torch.full_like(points, -2.0))
            yield from measure("similarity of channels: read-out", size, partial(fresh_value, similarity), 1)


def elbo_of(mean: Tensor) -> ELBODecomposition:
    """A metric that has been updated and read: what it computes from rows is kept as long as the rows are."""
    elbo = ELBODecomposition(num_queries=100, max_rows=len(mean))
    elbo.update(mean, torch.full_like(mean, -2.0), index=torch.arange(len(mean)))
    elbo.compute()
    return elbo


def fresh_value(metrics: Any) -> Any:
    """The value, computed anew."""
    for one in metrics.values(copy_state=False) if isinstance(metrics, StatisticCollection) else [metrics]:
        one._computed = None
    return metrics.compute()


def data_dimensions() -> Iterator[Point]:
    """Exact Jacobians of a decoder with one hidden layer of 32 units, of four samples with ten latents."""
    z = torch.randn(4, 10, generator=generator())
    for size in (784, 3072, 12_288, 49_152, 196_608):
        if size > scaled(196_608, 4096):
            continue
        torch.manual_seed(0)
        decoder = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, size)).requires_grad_(False)
        jacobian = decoder_jacobian(decoder, z)
        for name, metrics in {
            "update": manifold_metrics(),
            "update without the average Jacobian": manifold_metrics(mean_jacobian=False),
        }.items():
            yield from costs("data", name, size, partial(metrics.update, jacobian))
            yield Point("data", name, size, "state", state_bytes(metrics))
        yield from costs("data", "Jacobians", size, partial(decoder_jacobian, decoder, z))


def rows() -> Iterator[Point]:
    """All rows of a pass in batches of 4,096: counts, moments, and a sample of 10,000 rows."""
    batch = 4096
    codes = torch.randn(batch, 10, generator=generator())
    factors = torch.stack([torch.randint(values, (batch,), generator=generator()) for values in FACTORS], dim=1)
    log_variance = torch.full_like(codes, -2.0)

    def passed(build: Callable[[], Any], size: int, given: Sequence[Tensor]) -> Any:
        metric = build()
        for start in range(0, size, batch):
            number = min(batch, size - start)
            metric.update(*(part[:number] for part in given), index=torch.arange(start, start + number))
        return metric

    for name, build, given in (
        ("counts (MIG)", partial(MutualInformationGap, edges=(-3.0, 3.0)), (codes, factors)),
        ("moments (SAP)", SAP, (codes, factors)),
        ("sample of 10,000 (total correlation)", partial(TotalCorrelation, max_rows=10_000), (codes, log_variance)),
    ):
        for size in map(scaled, (10_000, 100_000, 1_000_000, 10_000_000)):
            work = partial(passed, build, size, given)
            spent, metric = timed(work, runs=2 if size <= 100_000 else 1)
            yield Point("rows", name, size, "seconds", spent)
            yield Point("rows", name, size, "state", state_bytes(metric))
            if size <= 100_000:
                yield Point("rows", name, size, "peak", peak_bytes(work))


def processes() -> Iterator[Point]:
    """Bytes that a process receives in the reduction of an evaluation, and messages."""
    for one in compared(setting_of_this_run()):
        if one.found is not None:
            yield Point("processes", one.name, one.world_size, "received", one.found.received)
        series = one.name if one.found else f"{one.name}, 1,000,000 rows"
        yield Point("processes", series, one.world_size, "model", one.model.received)
        yield Point("processes", series, one.world_size, "messages", one.model.messages)


def runs() -> Iterator[Point]:
    """All pairs of runs of ten latents at 1,000 points, in memory and from files in blocks of 8."""
    points = scaled(1000, 50)
    random = generator()
    common = torch.randn(points, 10, generator=random)

    def a_run() -> Fingerprint:
        mean = common @ torch.linalg.qr(torch.randn(10, 10, generator=random))[0]
        return Fingerprint(mean + 0.3 * torch.randn(points, 10, generator=random), torch.full_like(mean, -3.0), order)

    order = torch.arange(points)
    kinds: dict[str, tuple[Callable[..., Any], int]] = {
        "UDR, lasso": (unsupervised_disentanglement_ranking, 128),
        "UDR, rank correlations": (partial(unsupervised_disentanglement_ranking, method="spearman"), 512),
        "stability": (run_stability, 512),
        "whole spaces": (compare_spaces, 128),
        "channels": (compare_fingerprints, 64),
    }
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for size in (8, 16, 32, 64, 128, 256, 512):
            if size > scaled(512, 8):
                continue
            files |= {str(i): a_run().save(f"{folder}/{i}") for i in range(len(files), size)}
            held = {name: Fingerprint.load(file) for name, file in files.items()}
            for name, (compare, most) in kinds.items():
                if size <= most:
                    spent, _ = timed(partial(compare, held), runs=2 if size <= 16 else 1)
                    yield Point("runs", name, size, "seconds", spent)
            streamed = partial(run_stability, FingerprintFiles(files), runs_at_once=8)
            yield Point("runs", "stability, from files in blocks of 8", size, "seconds", timed(streamed)[0])
            if size <= 64:
                yield Point("runs", "stability, from files in blocks of 8", size, "peak", peak_bytes(streamed))
                yield Point("runs", "stability", size, "peak", peak_bytes(partial(run_stability, held)))
            spent, _ = timed(partial(table_of, Path(folder), size))
            yield Point("runs", "table of reports", size, "seconds", spent)


def table_of(folder: Path, size: int) -> list[Report]:
    """Reports of 50 values and a matrix, read as the table of runs reads them."""
    for number in range(size):
        if not (folder / f"report {number}.npz").exists():
            report = Report({f"value {i}": float(i) for i in range(50)}, {"joint": torch.eye(50)})
            report.save(folder / f"report {number}.npz")
    return [read_run(folder / f"report {number}.npz") for number in range(size)]


DIRECTIONS: dict[str, Callable[[], Iterator[Point]]] = {
    "latents": latents,
    "data": data_dimensions,
    "rows": rows,
    "processes": processes,
    "runs": runs,
}


class Law(NamedTuple):
    """A sum of powers of the size, fitted to all measurements but the one of the largest size."""

    powers: tuple[int, ...]
    coefficients: np.ndarray
    error: float
    """Of the largest size, relative to what was measured."""

    def at(self, size: float) -> float:
        """What the law says."""
        return float(sum(c * size**power for c, power in zip(self.coefficients, self.powers, strict=True)))


def law(sizes: Sequence[int], values: Sequence[float], powers: tuple[int, ...]) -> Law:
    """Fit by least squares of relative errors, with coefficients that are not negative.

    Example:
        >>> fitted = law([1, 2, 4, 8], [3.0, 5.0, 9.0, 17.0], (0, 1))
        >>> [round(float(c), 6) for c in fitted.coefficients], round(fitted.error, 6)
        ([1.0, 2.0], 0.0)
    """
    from scipy.optimize import nnls

    x, y = np.array(sizes[:-1], float), np.array(values[:-1])
    coefficients, _ = nnls(np.stack([x**power / y for power in powers], axis=1), np.ones(len(x)))
    fitted = Law(powers, coefficients, 0.0)
    return fitted._replace(error=fitted.at(sizes[-1]) / values[-1] - 1)


LAWS = {"rows": ((0, 1), 100_000_000), "runs": ((1, 2), 10_000)}
"""Powers, and the size to which the measurements are extended."""


def laws(points: Sequence[Point]) -> dict[str, tuple[int, Law]]:
    """Laws of seconds by series, with the largest size that was measured, for directions that have one."""
    found = {}
    for series in dict.fromkeys(one.series for one in points):
        known = [one for one in points if one.series == series and one.quantity == "seconds"]
        powers, _ = LAWS.get(points[0].direction, ((), 0))
        if powers and len(known) > len(powers):
            found[series] = known[-1].size, law([one.size for one in known], [one.value for one in known], powers)
    return found


def extended(points: Sequence[Point]) -> Iterator[Point]:
    """What the laws say, from the largest size that was measured to the far one."""
    for series, (largest, fitted) in laws(points).items():
        direction = points[0].direction
        for size in np.geomspace(largest, LAWS[direction][1], 5).round().astype(int).tolist():
            yield Point(direction, series, size, "seconds by the law", fitted.at(size))


def described(direction: str, points: Sequence[Point]) -> Iterator[str]:
    """Tables of measurements, and of what laws say of larger sizes."""
    series = list(dict.fromkeys((one.series, one.quantity) for one in points))
    sizes = sorted({one.size for one in points})
    values = {(one.series, one.quantity, one.size): f"{one.value:.3g}" for one in points}
    rows = [[*key, *(values.get((*key, size), "") for size in sizes)] for key in series]
    yield markdown(f"{direction}; seconds of CPU time, bytes", ["series", "quantity", *map("{:,}".format, sizes)], rows)
    if direction in LAWS:
        powers, far = LAWS[direction]
        yield markdown(
            f"Sums of the powers {powers}, fitted to all but the largest size",
            ["series", "largest", "error there", f"seconds for {far:,}"],
            (
                [name, f"{largest:,}", f"{100 * fitted.error:+.0f} %", f"{fitted.at(far):.3g}"]
                for name, (largest, fitted) in laws(points).items()
            ),
        )


def tables(device: str = "cpu") -> Iterator[str]:
    """Measurements in every direction; always on the CPU."""
    for direction, measure in DIRECTIONS.items():
        yield from described(direction, list(measure()))


def read(path: Path) -> list[Point]:
    """The points of a file; none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [Point(d, s, int(n), q, float(v)) for d, s, n, q, v in list(csv.reader(file))[1:]]


def main() -> None:
    """Measure some directions, print their tables, and replace their lines in the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("directions", nargs="*", default=list(DIRECTIONS), help=f"of {', '.join(DIRECTIONS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes, to see whether the benchmark runs")
    parser.add_argument("--out", type=Path, help="CSV file (none)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    set_scale(arguments.scale)
    for direction in arguments.directions:
        points = list(DIRECTIONS[direction]())
        print("\n".join(described(direction, points)), flush=True)
        if arguments.out is not None:
            kept = [one for one in read(arguments.out) if one.direction != direction]
            with arguments.out.open("w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(Point._fields)
                table.writerows([*one[:4], f"{one.value:.4g}"] for one in [*kept, *points, *extended(points)])


if __name__ == "__main__":
    main()
