"""What crosses the network in one evaluation: measured on 2 to 8 processes, and by a model for up to 1,024.

The model takes the messages of two processes, and counts for ``P``

- as many messages;
- for each all-reduce and broadcast of ``n`` bytes, that a process receives ``n`` (and a ring of processes moves
  ``2 n (P - 1) / P`` through each);
- for each gather of the keys by which samples are cut, that it receives ``P n``;
- for each gather of rows, that it receives ``P`` times the rows of the process with the most. Which rows these are
  follows from the hashes of their positions, so they are counted without processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks import markdown, scaled
from tests.benchmarks.reduction import in_processes
from tests.evaluation.test_collectives import Message, recorded
from torchdisentangle import evaluate
from torchdisentangle.evaluation import (
    DisentanglementEvaluation,
    ELBOEvaluation,
    Evaluation,
    ManifoldEvaluation,
    SimilarityEvaluation,
)
from torchdisentangle.functional.row_hash import hash_index
from torchdisentangle.statistics.sample import key_marks, last_wanted

LATENTS, DATA, FACTORS, BATCH = 10, 64, (3, 6, 10, 8, 8), 50
MEASURED, EXTRAPOLATED = (2, 4, 8), (8, 16, 32, 64, 128, 256, 512, 1024)
MANY_ROWS = 1_000_000  # that many processes share, so that each has some


class Setting(NamedTuple):
    """Rows that are evaluated, and how many of them are kept."""

    num_rows: int
    max_rows: int

    def evaluations(self) -> dict[str, tuple[Evaluation, int]]:
        """Evaluations by name, with the capacity of their samples."""
        kept = self.max_rows
        points = max(kept // 10, 2)
        return {
            "manifold": (ManifoldEvaluation(2 * LATENTS), 0),
            "ELBO": (ELBOEvaluation(num_queries=16, max_rows=kept), kept),
            "disentanglement": (DisentanglementEvaluation(["mig", "sap"], factors=1, max_rows=kept), kept),
            "similarity": (SimilarityEvaluation(num_points=points), points),
        }


class Traffic(NamedTuple):
    """Messages of an evaluation, bytes that a process receives, and bytes that a ring moves through each."""

    messages: int
    received: int
    moved: int


class SmallVAE(nn.Module):
    """A linear encoder and decoder: what crosses the network depends on the widths alone."""

    latent_dim = LATENTS

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(DATA, 2 * LATENTS), nn.Linear(LATENTS, DATA)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


def messages_of(rank: int, world_size: int, setting: Setting) -> dict[str, list[Message]]:
    """The messages of each evaluation, on one of several processes."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack([torch.randint(values, (setting.num_rows,), generator=generator) for values in FACTORS], 1)
    data = torch.randn(setting.num_rows, DATA, generator=generator)
    found = {}
    for name, (evaluation, _) in setting.evaluations().items():
        loader = DataLoader(TensorDataset(data, factors), BATCH)
        with recorded() as messages:
            evaluate(SmallVAE(), loader, [evaluation], device="cpu")
        found[name] = list(messages)
    return found


@cache
def longest_share(setting: Setting, capacity: int, world_size: int) -> int:
    """How many rows of a sample the process gives that gives most, of batches that processes take turns at."""
    keys = hash_index(torch.arange(setting.num_rows))
    owner = torch.arange(setting.num_rows) // BATCH % world_size
    held = [own.sort().values[:capacity] for own in keys[owner.argsort(stable=True)].split(owner.bincount().tolist())]
    last = last_wanted(torch.cat([key_marks(own, capacity) for own in held]), capacity + world_size)
    return max(int((own <= last).sum()) for own in held)


def measured(messages: list[Message], world_size: int) -> Traffic:
    """What recorded messages are for each of several processes."""
    gathered = [message.what.startswith("all_gather") for message in messages]
    sizes = [message.num_bytes for message in messages]
    received = sum(size * (world_size if gather else 1) for size, gather in zip(sizes, gathered, strict=True))
    moved = sum(size * (1 if gather else 2 / world_size) for size, gather in zip(sizes, gathered, strict=True))
    return Traffic(len(messages), received, round((world_size - 1) * moved))


def predicted(of_two: list[Message], setting: Setting, capacity: int, world_size: int, num_rows: int) -> Traffic:
    """The same from the messages of two processes, for others, of any number of rows."""
    messages = []
    for message in of_two:
        if message.what == "all_gather float64":
            of_a_row = message.num_bytes // longest_share(setting, capacity, 2)
            share = longest_share(setting._replace(num_rows=num_rows), capacity, world_size)
            message = message._replace(num_bytes=of_a_row * share)
        messages.append(message)
    return measured(messages, world_size)


class Comparison(NamedTuple):
    """What the model says of an evaluation, and what was measured, if it was."""

    name: str
    world_size: int
    num_rows: int
    model: Traffic
    found: Traffic | None


def compared(setting: Setting) -> Iterator[Comparison]:
    """Evaluations on few processes, measured, and on many."""
    of_two = in_processes(2, messages_of, setting)
    for world_size in MEASURED:
        found = in_processes(world_size, messages_of, setting)
        for name, (_, capacity) in setting.evaluations().items():
            model = predicted(of_two[name], setting, capacity, world_size, setting.num_rows)
            yield Comparison(name, world_size, setting.num_rows, model, measured(found[name], world_size))
    many = max(scaled(MANY_ROWS), setting.num_rows)
    for name, (_, capacity) in setting.evaluations().items():
        for world_size in EXTRAPOLATED:
            model = predicted(of_two[name], setting, capacity, world_size, many)
            yield Comparison(name, world_size, many, model, None)


def setting_of_this_run() -> Setting:
    """Rows in the scale of the run."""
    return Setting(scaled(20_000, 400), scaled(10_000, 200))


def tables(device: str = "cpu") -> Iterator[str]:
    """Messages and bytes of an evaluation's reduction, measured and by the model; always on the CPU."""
    setting = setting_of_this_run()
    yield markdown(
        f"{LATENTS} latents and {len(FACTORS)} factors; samples keep {setting.max_rows:,} rows, of similarity a tenth",
        ["evaluation", "processes", "rows", "messages", "kB received", "kB moved", "by the model", "by the model"],
        (
            [
                *(one.name, one.world_size, f"{one.num_rows:,}", one.model.messages),
                *(kilobytes(one.found) if one.found else ("", "")),
                *kilobytes(one.model),
            ]
            for one in compared(setting)
        ),
    )


def kilobytes(traffic: Traffic) -> tuple[str, str]:
    """Bytes received and moved."""
    return f"{traffic.received / 1000:.1f}", f"{traffic.moved / 1000:.1f}"
