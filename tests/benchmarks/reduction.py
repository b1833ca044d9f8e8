"""What crosses the network when metrics are reduced: one packed reduction against torchmetrics' own synchronisation."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from tests.benchmarks import scaled
from torchdisentangle import StatisticCollection, manifold_metrics
from torchdisentangle.statistics import RowSample, Statistic

LATENTS, DATA, CAPACITY = 10, 64, 512
PROCESSES, SAMPLES = (1, 2, 4), (4000, 40_000)
_COLLECTIVES = ("all_reduce", "all_gather", "broadcast", "barrier")


class KeptRows(Statistic):
    """A metric of rows, here only their mean, from a bounded sample."""

    def __init__(self) -> None:
        super().__init__(("kept rows", CAPACITY))
        self.sample = RowSample(["codes"], CAPACITY)
        self.add_state_of(self.sample)

    def update(self, codes: Tensor) -> None:
        self.sample.add(self, {"codes": codes})

    def compute(self) -> Tensor:
        return self.sample.read(self)["codes"].mean(0)


class AllRows(Metric):
    """The same with all rows, in a list as torchmetrics offers it."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("codes", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor) -> None:
        self.codes.append(codes.double())  # type: ignore[union-attr,operator]

    def compute(self) -> Tensor:
        codes: Any = self.codes
        return (torch.cat(codes) if isinstance(codes, list) else codes).mean(0)


def packed() -> tuple[MetricCollection, MetricCollection]:
    """Metrics of Jacobians and of rows, as this library reduces them."""
    return manifold_metrics(), StatisticCollection([KeptRows()])


def plain() -> tuple[MetricCollection, MetricCollection]:
    """The same in a plain collection, each metric with torchmetrics' own synchronisation of its states."""
    members: dict[str, Any] = dict(manifold_metrics().items())
    for metric in members.values():
        metric._sync_dist = Metric._sync_dist.__get__(metric)
    return MetricCollection(members), MetricCollection([AllRows()])


class Traffic:
    """Counts the collectives that are called, and the bytes that a process gives to them and gets from them."""

    def __init__(self) -> None:
        self.calls = self.bytes = 0
        for name in _COLLECTIVES:
            setattr(dist, name, self._counted(getattr(dist, name)))

    def _counted(self, collective: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            received = args[0] if args and isinstance(args[0], list) else args[:1]  # a gather fills a list
            self.bytes += sum(tensor.nbytes for tensor in received)
            return collective(*args, **kwargs)

        return call

    def of(self, compute: Callable) -> tuple[int, int, Any]:
        """Collectives and bytes of a call, and what it returned."""
        before = self.calls, self.bytes
        value = compute()
        return self.calls - before[0], self.bytes - before[1], value


def reduce(rank: int, world_size: int, build: Callable, num_samples: int) -> list[tuple[int, int, list[float]]]:
    """Collectives, bytes and a value of one ``compute`` of each collection, of samples shared out over processes."""
    jacobian_metrics, row_metrics = build()
    generator = torch.Generator().manual_seed(rank)
    for _ in range(4):
        jacobians = torch.randn(num_samples // world_size // 4, DATA, LATENTS, generator=generator)
        jacobian_metrics.update(jacobians)
        row_metrics.update(jacobians[:, :, 0])
    traffic = Traffic()
    of_jacobians, of_rows = traffic.of(jacobian_metrics.compute), traffic.of(row_metrics.compute)
    return [(*of_jacobians[:2], of_jacobians[2]["spectrum"].tolist()), (*of_rows[:2], [])]


def in_processes(world_size: int, function: Callable, *args: Any) -> Any:
    """What ``function(rank, world_size, *args)`` returns in the first of several joined processes."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def work(rank: int, rendezvous: str) -> None:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
        result = function(rank, world_size, *args)
        if rank == 0:
            results.put(result)
        dist.barrier()

    with tempfile.TemporaryDirectory() as folder:
        workers = [context.Process(target=work, args=(rank, str(Path(folder) / "r"))) for rank in range(world_size)]
        for worker in workers:
            worker.start()
        result = results.get()
        for worker in workers:
            worker.join()
    return result


def tables(device: str = "cpu") -> Iterator[str]:
    """Collectives and kilobytes of a process, for both, as processes and samples become more; always on the CPU."""
    rows = [
        "| metrics of | processes | samples | collectives | torchmetrics' | kB a process | torchmetrics' |",
        "|--|--:|--:|--:|--:|--:|--:|",
    ]
    for world_size in PROCESSES:
        for num_samples in map(scaled, SAMPLES):
            ours, theirs = (in_processes(world_size, reduce, build, num_samples) for build in (packed, plain))
            torch.testing.assert_close(ours[0][2], theirs[0][2])
            for name, mine, other in zip(("Jacobians", "rows"), ours, theirs, strict=True):
                rows.append(
                    f"| {name} | {world_size} | {num_samples} | {mine[0]} | {other[0]} "
                    f"| {mine[1] / 1000:.1f} | {other[1] / 1000:.1f} |"
                )
    yield (
        f"### Reduction over processes\n\nThe manifold metrics of {LATENTS} latents in {DATA} dimensions, and a metric "
        f"of rows of {DATA} numbers (ours keeps {CAPACITY} rows, torchmetrics' list all of them).\n\n" + "\n".join(rows)
    )


if __name__ == "__main__":
    print("\n\n".join(tables()))
