"""Every model trains, is watched, is reloaded, is configured from YAML, and runs on two processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from torch import Tensor
from torch.utils.data import DataLoader

from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.models import InfoGAN, as_latent_model
from torchdisentangle.models.base import GenerativeModule


def evaluated(model: GenerativeModule, x: Tensor, times: int = 5) -> dict[str, float]:
    """Terms with the same noise whenever they are asked for, averaged."""
    torch.manual_seed(7)
    with torch.no_grad():
        found = [model.terms(x) for _ in range(times)]
    return {name: sum(float(one[name]) for one in found) / times for name in found[0]}


def test_training_minimises_the_loss_and_is_watched(
    model: GenerativeModule, images: Tensor, loader: DataLoader, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    before = evaluated(model, images)
    watch = ManifoldEntropyCallback(num_samples=8, figures=False)
    trainer = make_trainer(watch, max_epochs=6, check_val_every_n_epoch=6, num_sanity_val_steps=0)
    L.seed_everything(0, verbose=False)
    model.learning_rate *= 3
    trainer.fit(model, loader, loader)
    after = evaluated(model, images)
    if isinstance(model, InfoGAN):  # of a game no side's loss falls by itself, but the generator leaves its start
        assert after["discriminator"] < before["discriminator"]
    else:
        assert after["loss"] < 0.9 * before["loss"]
    logged = {f"{stage}/{name}" for stage in ("train", "val") for name in after}
    assert logged <= trainer.callback_metrics.keys()
    assert trainer.callback_metrics["val/manifold/total_entropy"].isfinite()
    assert trainer.global_step == 6 * len(loader)

    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = type(model).load_from_checkpoint(tmp_path / "model.ckpt")
    assert again.hparams == model.hparams
    assert evaluated(again, images, 1) == evaluated(model, images, 1)


def test_capacity_follows_the_optimizer_steps(
    make: Callable[..., Any], loader: DataLoader, make_trainer: MakeTrainer
) -> None:
    model = make("annealed_vae", max_capacity=2.0, capacity_steps=8)
    trainer = make_trainer(max_epochs=2, accumulate_grad_batches=2)
    trainer.fit(model, loader)
    # Steps of the second epoch's six batches: 3, 3, 4, 4, 5, 5. What is logged is their mean.
    assert float(trainer.callback_metrics["train/capacity"]) == pytest.approx(2.0 * 4 / 8)
    assert int(model.step) == 5


def test_models_are_latent_models(model: Any, images: Tensor) -> None:
    latent = as_latent_model(model)
    latent.require("encode", "decode")
    assert latent.latent_dim == 3
    posterior = latent.encode(images[:5])
    assert posterior.log_variance is not None
    assert posterior.mean.shape == posterior.log_variance.shape == (5, 3)
    z = latent.prior.sample(5)
    decoded = latent.decode(z)
    assert decoded.shape == images[:5].shape
    assert 0 <= decoded.min() <= decoded.max() <= 1


@pytest.mark.parametrize("name", ["adversarial_autoencoder", "factor_vae", "infogan", "tcgan"])
def test_adversaries_train_on_two_processes(
    name: str, make: Callable[..., Any], loader: DataLoader, make_trainer: MakeTrainer
) -> None:
    model = make(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainer = make_trainer(strategy="ddp_fork", devices=2, max_epochs=1, enable_checkpointing=True)
    trainer.fit(model, loader, loader)
    checkpoint = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=False)  # type: ignore[union-attr]
    assert checkpoint["global_step"] == 3  # 192 rows in batches of 32 on two processes
    for key, value in checkpoint["state_dict"].items():
        assert value.isfinite().all()
        assert not torch.equal(value, before[key]), key
    assert trainer.callback_metrics["val/discriminator"] > 0


CONFIG = """
seed_everything: 1
model:
  init_args:
    data_shape: [1, 16, 16]
    network: conv
    hidden: [4, 8]
    dense: 16
data:
  class_path: torchdisentangle.models.FactorDataModule
  init_args:
    dataset:
      class_path: torchdisentangle.datasets.Sprites
      init_args: {image_size: 16, antialias: true, factor_sizes: [2, 4, 4, 4]}
    train: 64
    validation: 0.1
    test: 0
    batch_size: 32
    correlated: [[x, y, correlated, 0.4]]
trainer: {accelerator: cpu, max_epochs: 1, logger: false, enable_progress_bar: false, enable_model_summary: false,
          enable_checkpointing: false}
"""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("AnnealedVAE", ["latent_dim=3", "max_capacity=5.0"]),
        ("BetaTCVAE", ["dataset_size=64", "estimator=mss"]),
        ("DIPVAE", ["version=ii", "likelihood=gaussian"]),
        ("FactorVAE", ["gamma=10.0", "discriminator_hidden=[8, 8]"]),
        ("InfoGAN", ["num_codes=2", "code_std=1.0"]),
        ("TCGAN", ["num_codes=2", "num_complex=3", "latent_discriminator_hidden=[8]", "code_std=1.0"]),
    ],
)
def test_from_yaml(name: str, settings: list[str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    arguments = [f"--model=torchdisentangle.models.{name}", "--config", str(tmp_path / "config.yaml")]
    arguments += [f"--model.init_args.{setting}" for setting in settings]
    cli = LightningCLI(run=False, args=arguments, save_config_callback=None)
    assert type(cli.model).__name__ == name
    cli.trainer.fit(cli.model, cli.datamodule)
    assert cli.trainer.callback_metrics["val/loss"].isfinite()
