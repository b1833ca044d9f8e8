"""Two models, watched while they train: a beta-VAE on handwritten digits and a spline flow on two moons.

Run it with ``make demo``, or ``python examples/demo/main.py --help``. Both runs log to Weights & Biases, offline, and
to CSV and PNG files; at the end it says where everything is and prints a summary.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("WANDB_SILENT", "true")

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from overview import draw_overview
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle import ManifoldSummary
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import handwritten_digits, two_moons
from torchdisentangle.models import BetaVAE, NormalizingFlowModule, spline_flow


class Progress(L.Callback):
    """A line for each validation epoch, which reads well in a terminal and in a log file."""

    def __init__(self, name: str) -> None:
        self.name, self.start = name, time.time()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        values = trainer.callback_metrics
        parts = [f"{key} {float(values[f'val/{key}']):8.3f}" for key in ("loss", *_SHOWN)]
        epoch = f"epoch {trainer.current_epoch + 1:3d}/{trainer.max_epochs}"
        print(f"[{self.name}] {epoch}  {'  '.join(parts)}  ({time.time() - self.start:.0f} s)", flush=True)


_SHOWN = ("manifold/total_entropy", "manifold/total_correlation", "manifold/active_latents")


def train(
    name: str, model: L.LightningModule, train: DataLoader, validation: DataLoader, epochs: int, folder: Path
) -> dict:
    """Train with the callback; return the last values."""
    wandb_logger = WandbLogger(project="torchdisentangle-demo", name=name, save_dir=folder, offline=True)
    csv_logger = CSVLogger(folder, name=name, version="")
    every = max(1, epochs // 8)
    trainer = L.Trainer(
        max_epochs=epochs,
        check_val_every_n_epoch=every,
        accelerator="cpu",
        callbacks=[ManifoldEntropyCallback(num_samples=1024, standard_errors=True), Progress(name)],
        logger=[wandb_logger, csv_logger],
        log_every_n_steps=10,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, train, validation)
    run = wandb_logger.experiment
    where = {"wandb run": run.dir.removesuffix("/files"), "curves and figures": csv_logger.log_dir}
    run.finish()
    return {"values": {key: float(value) for key, value in trainer.callback_metrics.items()}, "where": where}


def digits(folder: Path, fast: bool) -> tuple[dict, L.LightningModule]:
    """A beta-VAE with ten latents on 1,437 images; 360 are kept for validation."""
    model = BetaVAE(data_shape=(1, 8, 8), latent_dim=10, beta=1.0, hidden=(256, 256), learning_rate=2e-3)
    loaders = (
        DataLoader(handwritten_digits("train"), 64, shuffle=True),
        DataLoader(handwritten_digits("validation"), 360),
    )
    return train("digits", model, *loaders, epochs=2 if fast else 48, folder=folder), model


def moons(folder: Path, fast: bool) -> tuple[dict, L.LightningModule]:
    """A spline flow, trained to be disentangled (total correlation) and aligned (core reconstruction)."""
    model = NormalizingFlowModule(
        spline_flow(2, num_blocks=3, hidden=48),
        total_correlation_weight=1.0,
        core_reconstruction_weight=5.0,
        core_dims=1,
        learning_rate=4e-3,
    )
    loaders = (
        DataLoader(TensorDataset(two_moons(4096, noise=0.1, seed=0)), 256, shuffle=True),
        DataLoader(TensorDataset(two_moons(1024, noise=0.1, seed=1)), 1024),
    )
    return train("moons", model, *loaders, epochs=2 if fast else 28, folder=folder), model


def summary(results: dict[str, dict]) -> str:
    """A table of the last values, with their standard errors over latents where they are means."""
    names = ("loss", *(f"manifold/{name}" for name in ManifoldSummary.scalar_names))
    lines = ["| quantity | " + " | ".join(results) + " |", "| --- |" + " ---: |" * len(results)]
    for name in names:
        cells = []
        for result in results.values():
            values = result["values"]
            error = values.get(f"val/{name}_standard_error")
            cells.append(f"{values[f'val/{name}']:.3f}" + ("" if error is None else f" ± {error:.3f}"))
        lines.append(f"| {name.removeprefix('manifold/').replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="where everything is written")
    parser.add_argument("--fast", action="store_true", help="two epochs each, to see that it runs")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    L.seed_everything(0, verbose=False)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    start = time.time()
    results, models = {}, {}
    for name, story in (("digits", digits), ("moons", moons)):
        results[name], models[name] = story(folder, arguments.fast)
    table = summary(results)
    (folder / "summary.md").write_text(table + "\n")
    torch.manual_seed(0)
    draw_overview(models["digits"], models["moons"]).savefig(folder / "overview.png", dpi=200)
    print(f"\n{table}\n")
    for name, result in results.items():
        for what, path in result["where"].items():
            print(f"{name + ': ' + what:28} {path}")
    print(f"{'overview figure':28} {folder / 'overview.png'}\n{'summary table':28} {folder / 'summary.md'}")
    print(f"\nDone in {time.time() - start:.0f} s.")


if __name__ == "__main__":
    main()
