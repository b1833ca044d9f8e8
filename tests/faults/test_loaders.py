"""Over every kind of loader and one to three processes: the values of one process, or a refusal; nothing between."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from torchdisentangle import evaluate
from torchdisentangle.evaluation import (
    DisentanglementEvaluation,
    ELBOEvaluation,
    Evaluation,
    InformativenessEvaluation,
    ManifoldEvaluation,
    RowPositions,
    SimilarityEvaluation,
)

FACTORS = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(4, 1)
DATA = torch.cat([FACTORS.double(), FACTORS.double().sum(1, keepdim=True), torch.zeros(48, 1)], dim=1)
DATA = DATA + 0.3 * torch.randn(DATA.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
EXACT = {"rel": 1e-9, "abs": 1e-9}  # rounding of float64 sums in another order


class Splitting(nn.Module):
    """The first two numbers of a row are the means, the others the log-variances, in float64 and for each row alone."""

    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 4)).double()

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :2], 0.1 * x[:, 2:] - 2

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class Chunks(Dataset):
    """Stored chunks of rows as items."""

    def __init__(self, *sizes: int) -> None:
        rows = sum(sizes)
        self.parts = list(zip(DATA[:rows].split(list(sizes)), FACTORS[:rows].split(list(sizes)), strict=True))

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.parts[index]


class Stream(IterableDataset):
    """Rows one after the other; with a shard, every other one of them."""

    def __init__(self, shard: slice = slice(None)) -> None:
        self.shard = shard

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(DATA[self.shard], FACTORS[self.shard], strict=True))


class Reversing(BatchSampler):
    """Deals rows out in an order of its own."""

    def __iter__(self) -> Iterator[list[int]]:
        return (batch[::-1] for batch in super().__iter__())


def joined(items: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    rows, factors = zip(*items, strict=True)
    return torch.cat(rows), torch.cat(factors)


def two_views(items: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Each row and a second look at it, all first views first."""
    rows, factors = (torch.stack(part) for part in zip(*items, strict=True))
    return torch.cat([rows, rows + 0.01]), torch.cat([factors, factors])


def without_first(items: list[tuple[Tensor, Tensor]]) -> Any:
    return torch.utils.data.default_collate([item for item in items if item[1].any()])


def table(num_rows: int = 48) -> TensorDataset:
    return TensorDataset(DATA[:num_rows], FACTORS[:num_rows])


def weighted() -> WeightedRandomSampler:
    return WeightedRandomSampler(torch.arange(1.0, 49).tolist(), 40)


PLAIN: dict[str, Callable[[], DataLoader]] = {
    "default": lambda: DataLoader(table(), 7),
    "shuffled": lambda: DataLoader(table(), 7, shuffle=True),
    "subset": lambda: DataLoader(Subset(table(), range(0, 48, 2)), 5),
    "weighted": lambda: DataLoader(table(), 7, sampler=weighted()),
    "random subset": lambda: DataLoader(table(), 7, sampler=SubsetRandomSampler(range(40))),
    "batch sampler": lambda: DataLoader(table(), batch_sampler=Reversing(range(48), 7, False)),
    "iterable": lambda: DataLoader(Stream(), 7),
    "chunks": lambda: DataLoader(Chunks(*[6] * 8), batch_size=None),
    "collated chunks": lambda: DataLoader(Chunks(*[6] * 8), 1, collate_fn=joined),
    "chunks of all sizes": lambda: DataLoader(Chunks(5, 9, 20, 14), 1, collate_fn=joined),
    "two views": lambda: DataLoader(table(), 7, collate_fn=two_views),
    "rows left out": lambda: DataLoader(table(), 7, collate_fn=without_first),
    "uneven": lambda: DataLoader(table(47), 7),
    "an empty rank": lambda: DataLoader(table(14), 7),
    "one batch": lambda: DataLoader(table(7), 7),
    "drop_last": lambda: DataLoader(table(47), 7, drop_last=True),
}

Split = Callable[[Any, int, int], DistributedSampler]


def plain(data: Any, rank: int, world_size: int) -> DistributedSampler:
    return DistributedSampler(data, world_size, rank, shuffle=False)


def shuffling(data: Any, rank: int, world_size: int) -> DistributedSampler:
    return DistributedSampler(data, world_size, rank, shuffle=True, seed=3)


DEALT: dict[str, tuple[Any, dict[str, Any], Split]] = {
    "default": (table(), {"batch_size": 7}, plain),
    "shuffled": (table(), {"batch_size": 7}, shuffling),
    "shuffled uneven": (table(47), {"batch_size": 7}, shuffling),
    "subset": (Subset(table(), range(0, 48, 2)), {"batch_size": 5}, plain),
    "chunks": (Chunks(*[6] * 8), {"batch_size": None}, plain),
    "uneven chunks": (Chunks(*[6] * 7), {"batch_size": None}, plain),
    "shuffled chunks": (Chunks(16, 16, 16), {"batch_size": None}, shuffling),
    "collated chunks": (Chunks(16, 16, 16), {"batch_size": 1, "collate_fn": joined}, plain),
    "uneven": (table(47), {"batch_size": 7}, plain),
    "an empty rank": (table(2), {"batch_size": 7}, plain),
    "one row": (table(1), {"batch_size": 7}, plain),
    "drop_last": (table(42), {"batch_size": 7, "drop_last": True}, plain),
}
"""Data sets, settings of loaders and samplers, of which several processes give the values of one."""

REFUSED: dict[str, tuple[Callable[[int, int], DataLoader], str]] = {
    "weighted": (
        lambda rank, size: DataLoader(
            table(), 7, sampler=DistributedSamplerWrapper(weighted(), num_replicas=size, rank=rank, shuffle=False)
        ),
        "draw rows of its own through a WeightedRandomSampler",
    ),
    "batch sampler": (
        lambda rank, size: DataLoader(table(), batch_sampler=Reversing(plain(table(), rank, size), 7, False)),
        "which rows a Reversing puts into a batch",
    ),
    "two views": (
        lambda rank, size: DataLoader(table(), 7, sampler=plain(table(), rank, size), collate_fn=two_views),
        "2 rows for each of 7 items",
    ),
    "rows left out": (
        lambda rank, size: DataLoader(table(), 7, sampler=plain(table(), rank, size), collate_fn=without_first),
        "must hold equally many rows",
    ),
    "chunks of all sizes": (
        lambda rank, size: DataLoader(Chunks(5, 9, 20, 14), 1, sampler=plain(range(4), rank, size), collate_fn=joined),
        "must hold equally many rows",
    ),
    "chunks that differ between processes": (
        lambda rank, size: DataLoader(
            Chunks(*([5, 9, 6] if size == 3 else [5, 9] * 2)),
            1,
            sampler=plain(range(4 if size == 2 else 3), rank, size),
            collate_fn=joined,
        ),
        "hold other numbers of rows",
    ),
    "drop_last": (
        lambda rank, size: DataLoader(table(), 9, sampler=plain(table(), rank, size), drop_last=True),
        "with drop_last=True",
    ),
    "another number of processes": (
        lambda rank, size: DataLoader(table(), 7, sampler=plain(table(), rank, size + 1)),
        "deals rows to process",
    ),
    "a sharded stream": (
        lambda rank, size: DataLoader(Stream(slice(rank, None, size)), 7),
        "gives the processes different batches",
    ),
    "streams of other lengths": (
        lambda rank, size: DataLoader(Stream(slice(14 * (rank + 1))), 7),
        "gives the processes different batches",
    ),
    "generators of their own": (
        lambda rank, size: DataLoader(table(), 7, shuffle=True, generator=torch.Generator().manual_seed(rank)),
        "gives the processes different batches",
    ),
}


def evaluations(fixed_order: bool = True) -> list[Evaluation]:
    return [
        ManifoldEvaluation(20, source="posterior"),
        ELBOEvaluation(num_queries=10, max_rows=30),
        DisentanglementEvaluation(["mig", "sap"], factors=1, max_rows=30),
        InformativenessEvaluation(num_queries=10),
        *([SimilarityEvaluation(num_points=10)] if fixed_order else []),
    ]


def values(loader: DataLoader, fixed_order: bool = True) -> dict[str, float] | str:
    torch.manual_seed(11)
    try:
        return evaluate(Splitting(), loader, evaluations(fixed_order)).to_dict()
    except (ValueError, RuntimeError) as error:
        return str(error)


def fixed_order(name: str) -> bool:
    return not any(word in name for word in ("shuffled", "weighted", "random"))


def _all_loaders(rank: int, world_size: int) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    for name, make in PLAIN.items():
        found[f"plain {name}"] = values(make(), fixed_order(name))
        torch.manual_seed(rank)  # random numbers of other processes must not matter
    for name, (data, settings, split) in DEALT.items():
        found[f"dealt {name}"] = values(
            DataLoader(data, sampler=split(data, rank, world_size), **settings), fixed_order(name)
        )
    for name, (make_refused, _) in REFUSED.items():
        found[f"refused {name}"] = values(make_refused(rank, world_size), fixed_order=False)
    return found


ONCE = pytest.mark.xdist_group("processes of the loaders")  # on one worker, which starts the processes once


@pytest.fixture(scope="module")
def found(run_processes: Callable[..., list[Any]]) -> dict[int, list[dict[str, Any]]]:
    return {size: run_processes(size, _all_loaders, size) for size in (2, 3)}


@ONCE
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.filterwarnings("ignore:.*the fingerprint has")
def test_batches_that_all_processes_read(found: Any, name: str, world_size: int) -> None:
    expected = values(PLAIN[name](), fixed_order(name))
    assert isinstance(expected, dict)
    for one in found[world_size]:
        assert one[f"plain {name}"] == pytest.approx(expected, **EXACT, nan_ok=True)


@ONCE
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("name", DEALT)
@pytest.mark.filterwarnings("ignore:.*the fingerprint has")
def test_items_that_a_sampler_deals_out(found: Any, name: str, world_size: int) -> None:
    data, settings, split = DEALT[name]
    order = list(split(data, 0, 1))
    expected = values(DataLoader(data, sampler=order, **settings), fixed_order(name))
    assert isinstance(expected, dict)
    for one in found[world_size]:
        assert one[f"dealt {name}"] == pytest.approx(expected, **EXACT, nan_ok=True)


@ONCE
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_apart_is_refused(found: Any, name: str, world_size: int) -> None:
    refusals = [one[f"refused {name}"] for one in found[world_size]]
    assert all(isinstance(refusal, str) for refusal in refusals), refusals
    assert any(REFUSED[name][1] in refusal for refusal in refusals), refusals


@pytest.mark.parametrize("rows_per_item", [1, 4])
@pytest.mark.parametrize("num_items", [7, 8, 2])
def test_positions_of_the_rows_of_items(rows_per_item: int, num_items: int) -> None:
    data = torch.arange(num_items * rows_per_item).view(num_items, rows_per_item)
    seen = []
    for rank in range(3):
        sampler = DistributedSampler(data, 3, rank, shuffle=False)  # type: ignore[arg-type,var-annotated]
        loader = DataLoader(data, batch_size=None, sampler=sampler)  # type: ignore[arg-type,var-annotated]
        positions = RowPositions(loader, rank, 3)
        for chunk in loader:
            found = positions.next(len(chunk))
            assert torch.equal(found[found >= 0], chunk[found >= 0])
            seen += found[found >= 0].tolist()
    assert sorted(seen) == data.flatten().tolist()
