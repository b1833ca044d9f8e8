"""The same numbers on one process and on several.

Run ``python examples/processes/main.py`` (two processes by default, ``--devices 3`` for three), or under torchrun::

    torchrun --nproc-per-node 2 examples/processes/main.py --devices 2

On several machines give every one of them the same command with torchrun's addresses, and ``--num-nodes``::

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 8 --rdzv-endpoint HOST:PORT --rdzv-backend c10d \
        examples/processes/main.py --devices 8 --num-nodes 2 --accelerator gpu

or let SLURM start them, one task for each device: ``srun --nodes 2 --ntasks-per-node 8 --gpus-per-node 8 python
examples/processes/main.py --devices 8 --num-nodes 2 --accelerator gpu``.

A small autoencoder is validated on digits whose number the processes do not divide, first by all processes together and
then by one alone. The finding is that all values are equal, to the rounding of float32 encoders in batches of other
sizes.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, Subset
from verdicts import conclude

from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    InformativenessCallback,
    ManifoldEntropyCallback,
    log_figure,
)
from torchdisentangle.datasets import handwritten_digits
from torchdisentangle.models import BetaVAE
from torchdisentangle.plots import BLUE, GREEN, GREY, ORANGE, figure_style

LAUNCHED = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "LOCAL_WORLD_SIZE")
LAUNCHERS = ("TORCHELASTIC", "SLURM")
FLOOR = 1e-9  # of what is drawn of a difference
TOLERANCE = 1e-4  # relative; encoders and decoders are float32


def callbacks() -> list[L.Callback]:
    return [
        ManifoldEntropyCallback(num_samples=101),
        ManifoldEntropyCallback(num_samples=1000, source="posterior", prefix="posterior"),
        ELBODecompositionCallback(),
        DisentanglementCallback(["mig", "modularity", "sap"], factor_names=["digit"]),
        InformativenessCallback(),
    ]


def values(model: L.LightningModule, data: DataLoader, **settings: object) -> dict[str, float]:
    """What the callbacks log in one validation."""
    trainer = L.Trainer(
        callbacks=callbacks(), enable_progress_bar=False, enable_model_summary=False, logger=False, **settings
    )  # type: ignore[arg-type]
    trainer.validate(model, data, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.count("/") == 2}


def difference(one: float, other: float) -> float:
    """The relative difference of two values; below 0.01 it is relative to that."""
    return abs(other - one) / max(abs(one), 1e-2)


def draw(compared: Mapping[str, tuple[float, float]], processes: int) -> Figure:
    """Each value on several processes against one, and the relative differences below the limit."""
    with figure_style():
        figure = Figure(figsize=(6.4, 2.5), layout="constrained")
        equal, apart = figure.subplots(1, 2)
        equal.axline((0, 0), slope=1, color=GREY, lw=0.7)
        families = dict.fromkeys(name.rsplit("/", 1)[0] for name in compared)
        for family, colour in zip(families, (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00"), strict=True):
            pairs = [pair for name, pair in compared.items() if name.startswith(f"{family}/")]
            equal.plot(*zip(*pairs, strict=True), "o", ms=3.5, color=colour, label=family.removeprefix("val/"))
        equal.set_xscale("symlog", linthresh=1e-2)
        equal.set_yscale("symlog", linthresh=1e-2)
        equal.set(xlabel="one process", ylabel=f"{processes} processes")
        equal.set_title(f"{len(compared)} values")
        equal.legend(fontsize=6)
        apart.plot([max(difference(*pair), FLOOR) for pair in compared.values()], ".", color=BLUE)
        apart.axhline(TOLERANCE, color=ORANGE, lw=1, label="limit")
        apart.set(yscale="log", ylim=(FLOOR / 2, 1e-3), xlabel="value", ylabel="relative difference, at least 1e-9")
        apart.set_title("how far apart")
        apart.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--num-nodes", type=int, default=1)
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--folder", type=Path, default=Path("runs/processes"), help="where the run is written")
    parser.add_argument("--fast", action="store_true", help="fewer digits")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    L.seed_everything(0, verbose=False)
    model = BetaVAE(data_shape=(1, 8, 8), latent_dim=5, hidden=(64,))
    for parameter in model.parameters():
        parameter.data *= 2  # away from the start, where latents hardly move anything
    rows = 151 if options.fast else 359
    data = DataLoader(Subset(handwritten_digits("validation"), range(rows)), batch_size=32)
    several = values(
        model,
        data,
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy="ddp",
    )
    rank, processes = dist.get_rank(), dist.get_world_size()
    dist.barrier()
    dist.destroy_process_group()
    if rank > 0:
        return
    for name in [name for name in os.environ if name in LAUNCHED or name.startswith(LAUNCHERS)]:
        os.environ.pop(name, None)  # from here on this process is alone
    alone = values(model, data, accelerator=options.accelerator, devices=1)
    options.folder.mkdir(parents=True, exist_ok=True)
    logger = WandbLogger(project="torchdisentangle-processes", save_dir=options.folder, offline=True)
    compared = [[name, value, several[name]] for name, value in alone.items()]
    logger.log_table("values", columns=["value", "one process", f"{processes} processes"], data=compared)
    figure = draw({name: (one, other) for name, one, other in compared}, processes)
    log_figure(L.Trainer(logger=logger, enable_progress_bar=False), "values", figure)
    figure.savefig(options.folder / "values.png", dpi=150)
    where = logger.experiment.dir.removesuffix("/files")
    logger.experiment.finish()
    print(f"| value | one process | {processes} processes |\n| --- | ---: | ---: |")
    for name, one, other in compared:
        print(f"| {name} | {one:.6f} | {other:.6f} |")
    furthest = max(difference(one, other) for _, one, other in compared)
    equal = alone.keys() == several.keys() and furthest < TOLERANCE
    print(f"\nwandb run {where}\nlargest relative difference {furthest:.1e}")
    conclude({f"{len(alone)} values are equal on one process and on {processes}": equal})


if __name__ == "__main__":
    main()
