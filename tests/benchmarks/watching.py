"""What watching costs: an epoch on sprites with all callbacks and without, of a convolutional VAE and of a flow.

``python -m tests.benchmarks.watching --device cuda --model flow --images 100000 --size 28 --rows 10000 --samples 512``
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Literal, NamedTuple

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tests.benchmarks import markdown, scaled, synchronize
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    InformativenessCallback,
    LatentTraversalCallback,
    ManifoldEntropyCallback,
    RepresentationSimilarityCallback,
)
from torchdisentangle.datasets import Sprites
from torchdisentangle.models import VAE, NormalizingFlowModule, real_nvp

BATCH_SIZE = 256


class Setting(NamedTuple):
    """What is trained, and how much of it is evaluated.

    Args:
        model: a convolutional VAE, or a RealNVP on flat images.
        images: number of images of an epoch.
        size: of an image, in pixels; a power of two for a VAE.
        rows: validation rows.
        samples: latents whose Jacobians are taken.
        epochs: how many are timed, after one that is not.
        figures: whether the callbacks draw figures, to a folder.
    """

    model: Literal["vae", "flow"] = "vae"
    images: int = 100_000
    size: int = 64
    rows: int = 10_000
    samples: int = 1024
    epochs: int = 2
    figures: bool = False


class Images(Dataset):
    """Sprites with their factors, rendered once and kept on a device, so that loading costs next to nothing.

    Flat ones have noise, since a flow would find the density of those without to be infinite.
    """

    def __init__(self, number: int, size: int, device: str, seed: int, flat: bool = False) -> None:
        sprites = Sprites(size)
        index = torch.randint(len(sprites), (number,), generator=torch.Generator().manual_seed(seed))
        self.factors = sprites.index_to_factors(index).to(device)
        self.images = torch.cat([sprites.render(part) for part in self.factors.split(2048)])
        if flat:
            self.images = self.images.flatten(1) + 0.05 * torch.randn(number, size**2, device=device)

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(indices, device=self.images.device)
        return self.images[chosen], self.factors[chosen]

    def loader(self, shuffle: bool) -> DataLoader:
        return DataLoader(self, BATCH_SIZE, shuffle=shuffle, collate_fn=lambda batch: batch)


class Clock(L.Callback):
    """Seconds of each epoch, validation included."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        synchronize(self.device)
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        synchronize(self.device)
        self.seconds.append(time.perf_counter() - self._start)


def every_callback(setting: Setting) -> list[L.Callback]:
    """All that suit the model and evaluate every epoch by default; topology does not."""
    of_any = [
        ManifoldEntropyCallback(setting.samples, figures=setting.figures),
        DisentanglementCallback(figures=setting.figures),
    ]
    if setting.model == "flow":
        return of_any
    return [
        *of_any,
        ELBODecompositionCallback(figures=setting.figures),
        InformativenessCallback(figures=setting.figures),
        RepresentationSimilarityCallback(figures=setting.figures),
        LatentTraversalCallback(figures=setting.figures),
    ]


def model_of(setting: Setting) -> L.LightningModule:
    """The model to train, which begins anew."""
    if setting.model == "vae":
        return VAE((1, setting.size, setting.size), latent_dim=10, network="conv")
    return NormalizingFlowModule(real_nvp(setting.size**2, num_blocks=8, hidden=512), learning_rate=1e-4)


def epoch(setting: Setting, data: tuple[Images, Images], device: str, watched: bool) -> tuple[float, int]:
    """Least seconds of an epoch, and the peak of the GPU's memory in bytes (0 on a CPU)."""
    torch.manual_seed(0)
    clock, on_gpu = Clock(device), torch.device(device).type == "cuda"
    if on_gpu:
        gc.collect()  # of the epochs before: a trainer and its model hold each other
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=[torch.device(device).index or 0] if on_gpu else 1,
            max_epochs=1 + setting.epochs,
            callbacks=[clock, *(every_callback(setting) if watched else [])],
            logger=CSVLogger(folder) if setting.figures else False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        train, validation = data
        trainer.fit(model_of(setting), train.loader(shuffle=True), validation.loader(shuffle=False))
    return min(clock.seconds[1:]), torch.cuda.max_memory_allocated(device) if on_gpu else 0


def watching(setting: Setting, device: str) -> str:
    """The table of one setting."""
    flat = setting.model == "flow"
    data = Images(setting.images, setting.size, device, 0, flat), Images(setting.rows, setting.size, device, 1, flat)
    turns = [
        (epoch(setting, data, device, watched=False), epoch(setting, data, device, watched=True)) for _ in range(2)
    ]
    bare, bare_peak = map(min, zip(*(without for without, _ in turns), strict=True))
    watched, watched_peak = map(min, zip(*(having for _, having in turns), strict=True))
    rows = [
        ["without callbacks", f"{bare:.2f}", "", f"{bare_peak / 2**20:.0f}" if bare_peak else ""],
        [
            "with all callbacks",
            f"{watched:.2f}",
            f"{watched - bare:+.2f} s, {100 * (watched / bare - 1):+.1f} %",
            f"{watched_peak / 2**20:.0f} ({(watched_peak - bare_peak) / 2**20:+.0f})" if bare_peak else "",
        ],
    ]
    name = f"flow of {setting.size**2} dimensions" if flat else "convolutional VAE"
    return markdown(
        f"An epoch of a {name}: {setting.images:,} sprites of {setting.size} x {setting.size} pixels, "
        f"{setting.rows:,} validation rows, {setting.samples:,} Jacobians, {'with' if setting.figures else 'no'} "
        "figures; images included in the memory",
        ["", "seconds of an epoch", "added", "peak MiB of the GPU"],
        rows,
    )


def tables(device: str = "cpu") -> Iterator[str]:
    """A table of a VAE and one of a flow; small ones on a CPU."""
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    on_gpu = torch.device(device).type == "cuda"
    vae = Setting() if on_gpu else Setting("vae", 8_000, 32, 1_000, 64)
    flow = Setting("flow", 100_000, 28, 10_000, 512) if on_gpu else Setting("flow", 1_000, 28, 500, 16)
    for full in (vae, flow):
        sizes = {name: scaled(getattr(full, name)) for name in ("images", "rows", "samples")}
        yield watching(full._replace(**sizes), device)


def main() -> None:
    """The table of the setting that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.watching")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--model", choices=("vae", "flow"), default="vae")
    parser.add_argument("--figures", action="store_true", help="draw figures too")
    for name in ("images", "size", "rows", "samples", "epochs"):
        parser.add_argument(f"--{name}", type=int, default=Setting._field_defaults[name])
    given = vars(parser.parse_args())
    device = given.pop("device")
    print(watching(Setting(**given), device))


if __name__ == "__main__":
    main()
