"""What the examples share: their arguments, how they train, and what they say on the way."""

from __future__ import annotations

import argparse
import csv
import logging
import math
import os
import platform
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_SILENT", "true")

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, WandbLogger

import torchdisentangle


def arguments(description: str | None, folder: str, fast: str, data: str | None = None) -> argparse.Namespace:
    """``--folder``, made if it is not there, ``--fast``, and ``--data`` where its help is given.

    Quiets what Lightning says about itself.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(folder), help="where everything is written")
    parser.add_argument("--fast", action="store_true", help=fast)
    if data is not None:
        parser.add_argument("--data", type=Path, help=data)
    found = parser.parse_args()
    found.folder = found.folder.resolve()
    found.folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    L.seed_everything(0, verbose=False)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    return found


class Progress(L.Callback):
    """A line for each validation epoch, which reads well in a terminal and in a log file.

    ``history`` keeps all values, with the ``epoch``, for a figure.
    """

    def __init__(self, name: str, shown: Iterable[str]) -> None:
        self.name, self.shown, self.start = name, shown, time.time()
        self.history: list[dict[str, float]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        values = trainer.callback_metrics
        epochs = trainer.current_epoch + 1
        self.history.append({"epoch": epochs} | {key: float(value) for key, value in values.items()})
        parts = [f"{key} {float(values[f'val/{key}']):8.3f}" for key in self.shown if f"val/{key}" in values]
        epoch = f"epoch {epochs:3d}/{trainer.max_epochs}"
        print(f"[{self.name}] {epoch}  {'  '.join(parts)}  ({time.time() - self.start:.0f} s)", flush=True)


class CosineLearningRate(L.Callback):
    """Warms the learning rate up and lets it fall to zero along half a cosine, step by step, whatever the optimizer."""

    def __init__(self, warm_up_steps: int = 50) -> None:
        self.warm_up_steps = warm_up_steps
        self.initial: list[float] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.initial = self.initial or [group["lr"] for group in groups]
        step = trainer.global_step
        factor = min(1.0, (step + 1) / self.warm_up_steps)
        factor *= 0.5 * (1 + math.cos(math.pi * step / trainer.estimated_stepping_batches))
        for group, rate in zip(groups, self.initial, strict=True):
            group["lr"] = rate * factor


def train(
    name: str,
    model: L.LightningModule,
    data: Mapping[str, Any],
    callbacks: list[L.Callback],
    epochs: int,
    folder: Path,
    project: str,
    **settings: Any,
) -> tuple[dict[str, float], dict[str, str]]:
    """Train on the CPU, validating about eight times; ``data`` are the arguments of ``fit`` after the model.

    ``settings`` are further arguments of the trainer.

    Returns:
        The last values by key, and where the run was written.
    """
    wandb_logger = WandbLogger(project=project, name=name, save_dir=folder, offline=True)
    csv_logger = CSVLogger(folder, name=name, version="")
    trainer = L.Trainer(
        max_epochs=epochs,
        check_val_every_n_epoch=max(1, epochs // 8),
        accelerator="cpu",
        callbacks=callbacks,
        logger=[wandb_logger, csv_logger],
        log_every_n_steps=10,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **settings,
    )
    trainer.fit(model, **data)
    run = wandb_logger.experiment
    where = {"wandb run": run.dir.removesuffix("/files"), "curves and figures": csv_logger.log_dir}
    run.finish()
    return {key: float(value) for key, value in trainer.callback_metrics.items()}, where


def table(columns: Mapping[str, Mapping[str, float]], names: Iterable[str]) -> str:
    """A Markdown table of validation values, one column a run, with standard errors where they were logged."""
    lines = ["| quantity | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name in names:
        cells = []
        for values in columns.values():
            error = values.get(f"val/{name}_standard_error")
            value = values.get(f"val/{name}")
            cells.append("" if value is None else f"{value:.3f}" + ("" if error is None else f" ± {error:.3f}"))
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def print_places(places: Mapping[str, Mapping[str, str]], width: int) -> None:
    """Where each run was written, as :func:`train` tells it, beside its name in a column of some width."""
    for name, where in places.items():
        for what, path in where.items():
            print(f"{name + ': ' + what:{width}} {path}")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with the same names as a CSV file, floats to five digits."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow(f"{value:.5g}" if isinstance(value, float) else value for value in row.values())


def print_made(start: float) -> None:
    """How long it took since ``start``, and with what, as the stories' READMEs say it beside their numbers."""
    names = {"Python": platform.python_version(), "torch": torch.__version__, "lightning": L.__version__}
    names |= {"torchdisentangle": torchdisentangle.__version__}
    versions = ", ".join(f"{name} {version}" for name, version in names.items())
    print(f"\nDone in {time.time() - start:.0f} s, {time.process_time():.0f} s of processor time.")
    print(f"{os.cpu_count()} CPU cores, one thread; {versions}.")
