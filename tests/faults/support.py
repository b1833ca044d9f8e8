"""What callbacks promise of each strategy, precision and data loader: the list that ``test_support.py`` tests, cell by
cell, and that the documentation shows.
"""

from __future__ import annotations

from typing import NamedTuple

LOADERS = {
    "default": "in order",
    "shuffled": "`shuffle=True`",
    "subset": "a `Subset`",
    "weighted": "a `WeightedRandomSampler`",
    "batch sampler": "a batch sampler of one's own",
    "iterable": "an `IterableDataset`",
    "chunks": "items of several rows, one a batch",
    "two views": "two rows for each of several items",
    "uneven": "rows that the processes cannot share evenly",
    "an empty rank": "fewer batches than processes",
    "drop_last": "`drop_last=True`, where each process would drop rows",
}
"""Kinds of data loaders."""

PRECISIONS = ["64-true", "32-true", "bf16-mixed", "bf16-true", "16-true", "16-mixed"]

SINGLE, DDP, FORK, NOTEBOOK, SPAWN = (
    "one process",
    "`ddp` (torchrun, SLURM)",
    "`ddp_fork`",
    "`ddp_notebook`",
    "`ddp_spawn`",
)
DEEPSPEED = "DeepSpeed, stages 1 and 2"
STRATEGIES = [SINGLE, DDP, FORK, NOTEBOOK, SPAWN, DEEPSPEED]
SHARDED = ["FSDP", "`ModelParallelStrategy` (FSDP2)", "XLA FSDP", "DeepSpeed, stage 3"]

UNTESTED = {
    "`16-mixed`": "on a CPU Lightning trains in `bf16-mixed` in its place",
    DEEPSPEED: "Lightning refuses it on a CPU",
}
"""What the tests, which run on CPUs, cannot try, and why."""

UNKNOWN_ROWS = {
    "weighted": "each process would draw rows of its own",
    "batch sampler": "which rows a batch holds is unknown",
    "iterable": "there is no `DistributedSampler`",
    "two views": "which row belongs to which item is unknown",
    "drop_last": "several processes would drop other rows",
}
"""Loaders that several processes refuse, and why."""

MESSAGES = {
    "weighted": "would draw rows of its own",
    "batch sampler": "puts into a batch is unknown",
    "iterable": "without a DistributedSampler",
    "two views": "2 rows for each of",
    "drop_last": "with drop_last=True",
}
"""What the refusals say."""


class Cell(NamedTuple):
    """What is tested of a combination.

    Args:
        strategy: one of the strategies.
        precision: one of the precisions.
        loader: one of the loaders.
        refused: why it is refused before training; empty if the values are those of one process.
    """

    strategy: str
    precision: str
    loader: str
    refused: str = ""


CELLS = [
    *(Cell(SINGLE, precision, loader) for precision in PRECISIONS[:-1] for loader in LOADERS),
    *(
        Cell(DDP, precision, loader, UNKNOWN_ROWS.get(loader, ""))
        for precision in PRECISIONS[:-1]
        for loader in LOADERS
    ),
    *(Cell(FORK, "64-true", loader, UNKNOWN_ROWS.get(loader, "")) for loader in LOADERS),
    Cell(NOTEBOOK, "64-true", "uneven"),
    Cell(SPAWN, "64-true", "uneven"),
]
"""All combinations that are tested; of the sharded strategies none is evaluated, whatever the precision and loader."""


def table() -> str:
    """The list as tables in Markdown.

    Example:
        >>> print(table().splitlines()[0])
        | strategy | precision | default | shuffled | subset | weighted | batch sampler | iterable | chunks | two views | uneven | an empty rank | drop_last |
    """  # noqa: E501
    outcomes = {cell[:3]: "refused" if cell.refused else "exact" for cell in CELLS}
    rows = [["strategy", "precision", *LOADERS], ["---"] * (2 + len(LOADERS))]
    for strategy in STRATEGIES:
        for precision in PRECISIONS:
            found = [outcomes.get((strategy, precision, loader), "untested") for loader in LOADERS]
            if set(found) != {"untested"}:
                rows.append([strategy, precision, *found])
        if not any(cell.strategy == strategy for cell in CELLS):
            rows.append([strategy, "any", *["untested"] * len(LOADERS)])
    rows += [[strategy, "any", *["refused"] * len(LOADERS)] for strategy in SHARDED]
    kinds = [["loader", "what it is", "several processes"], ["---"] * 3]
    for name, what in LOADERS.items():
        kinds.append([name, what, f"refused: {UNKNOWN_ROWS[name]}" if name in UNKNOWN_ROWS else "exact"])
    reasons = [["untested", "why"], ["---"] * 2, *([what, why] for what, why in UNTESTED.items())]
    parts = (rows, kinds, reasons)
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in part) for part in parts) + "\n"
