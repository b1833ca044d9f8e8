"""``pytorch_lightning`` as well as ``lightning``: its trainer, users' modules of it, and its command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning as L
import lightning.pytorch.cli
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback, ManifoldEntropyCallback
from torchdisentangle.callbacks.evaluation import evaluation_callbacks
from torchdisentangle.models import as_latent_model

other = pytest.importorskip("pytorch_lightning")
other_cli = pytest.importorskip("pytorch_lightning.cli")
pytest.importorskip("jsonargparse", reason="command lines need jsonargparse, of the extra test")

SEED = torch.Generator().manual_seed(0)
ROWS = TensorDataset(torch.rand(40, 4, generator=SEED), torch.arange(40) % 3)
QUIET: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def own(namespace: ModuleType) -> Any:
    """A user's own module, of one of the packages."""

    class Own(namespace.LightningModule):  # type: ignore
        latent_dim = 2

        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(2, 4)

        def encode(self, x: Tensor) -> tuple[Tensor, ...]:
            return self.encoder(x).chunk(2, dim=1)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x = batch[0]
            return (self.decoder(self.encode(x)[0]) - x).square().mean()

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("loss", self.training_step(batch, batch_idx))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    torch.manual_seed(0)
    return Own()


def callbacks() -> list[Any]:
    return [ManifoldEntropyCallback(16), ELBODecompositionCallback(), DisentanglementCallback(["mig"])]


def values(namespace: ModuleType, module: Any, folder: Path, **fit: Any) -> dict[str, float]:
    """What two epochs and a test log, with figures and checkpoints."""
    logger = namespace.loggers.CSVLogger(folder) if namespace is other else L.pytorch.loggers.CSVLogger(folder)
    trainer = namespace.Trainer(max_epochs=2, callbacks=callbacks(), logger=logger, **QUIET)
    trainer.fit(module, **fit)
    logged = dict(trainer.callback_metrics)
    trainer.validate(module, DataLoader(ROWS, 10), verbose=False)
    assert list(folder.rglob("figures/**/*.png"))
    assert list(folder.rglob("*.ckpt"))
    return {name: float(value) for name, value in (logged | dict(trainer.callback_metrics)).items()}


@pytest.fixture
def loaders() -> dict[str, Any]:
    return {"train_dataloaders": DataLoader(ROWS, 10), "val_dataloaders": DataLoader(ROWS, 10)}


def test_callbacks_log_the_same_in_both(tmp_path: Path, loaders: dict[str, Any]) -> None:
    expected = values(L, own(L), tmp_path / "lightning", **loaders)
    assert {"val/manifold/total_correlation", "val/elbo/kl", "val/disentanglement/mig"} <= set(expected)
    assert values(other, own(other), tmp_path / "other", **loaders) == expected


def test_checkpoints_of_one_load_in_the_other(tmp_path: Path, loaders: dict[str, Any]) -> None:
    settings = {"default_root_dir": tmp_path, "logger": False, **QUIET}
    other.Trainer(max_epochs=1, callbacks=callbacks(), **settings).fit(own(other), **loaders)
    (path,) = tmp_path.rglob("*.ckpt")
    resumed = L.Trainer(max_epochs=2, callbacks=callbacks(), **settings)
    resumed.fit(own(L), **loaders, ckpt_path=path)
    assert [one.num_evaluations for one in evaluation_callbacks(resumed)] == [2, 2, 2]


same_version = pytest.mark.skipif(
    other.__version__ != L.__version__, reason="the other package's command line needs another jsonargparse"
)


@same_version
@pytest.mark.parametrize(
    ("cli", "namespace"), [(L.pytorch.cli.LightningCLI, L), (other_cli.LightningCLI, other)], ids=["lightning", "other"]
)
def test_command_lines_of_both(cli: Any, namespace: ModuleType) -> None:
    built = cli(
        type(own(namespace)),
        run=False,
        save_config_callback=None,
        args=[
            "--trainer.callbacks=torchdisentangle.callbacks.ELBODecompositionCallback",
            "--trainer.callbacks.every_n_epochs=3",
            "--trainer.accelerator=cpu",
            "--trainer.logger=false",
        ],
    )
    found = [one for one in built.trainer.callbacks if isinstance(one, ELBODecompositionCallback)]
    assert [one.every_n_epochs for one in found] == [3]


SCRIPT = """
import {first}, sys
import torch
from torchdisentangle.callbacks import ELBODecompositionCallback
from torchdisentangle.models import BetaVAE, DigitsDataModule
import {first} as L, {first}.cli as cli

settings = dict(accelerator="cpu", logger=False, enable_progress_bar=False, max_epochs=1, limit_train_batches=2)
trainer = L.Trainer(callbacks=[ELBODecompositionCallback(num_queries=16)], default_root_dir=sys.argv[1], **settings)
trainer.fit(BetaVAE(data_shape=(1, 8, 8), latent_dim=2, hidden=[8]), datamodule=DigitsDataModule())
assert "val/elbo/kl" in trainer.callback_metrics
(checkpoint,) = __import__("pathlib").Path(sys.argv[1]).rglob("*.ckpt")
assert BetaVAE.load_from_checkpoint(checkpoint).latent_dim == 2
arguments = ["--model.data_shape=[1,8,8]", "--model.beta=3", "--trainer.accelerator=cpu", "--trainer.logger=false"]
built = cli.LightningCLI(BetaVAE, DigitsDataModule, run=False, save_config_callback=None, args=arguments)
assert isinstance(built.model, L.LightningModule) and isinstance(built.datamodule, L.LightningDataModule)
"""


@same_version
@pytest.mark.parametrize("first", ["pytorch_lightning", "lightning.pytorch"])
def test_models_and_data_are_of_the_package_that_was_imported_first(tmp_path: Path, first: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(first=first), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("namespace", [L, other])
def test_modules_of_both_are_latent_models(namespace: ModuleType) -> None:
    model = as_latent_model(own(namespace))
    assert model.encode(torch.zeros(3, 4)).mean.shape == (3, 2)
    assert model.decode(torch.zeros(3, 2)).shape == (3, 4)
