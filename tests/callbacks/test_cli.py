"""LightningCLI builds the callback, and the models, from YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import BARE_TRAINER
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.models import BetaVAE

CONFIG = (
    """
model:
  data_shape: [1, 4, 4]
  latent_dim: 3
  beta: 2.0
  hidden: [16]
"""
    + BARE_TRAINER
    + """  callbacks:
    - class_path: torchdisentangle.callbacks.ManifoldEntropyCallback
      init_args:
        num_samples: 16
        source: posterior
        partition: [[0], [1, 2]]
        data_std: 0.5
        prefix: probe
        figures: 2
        seed: 7
"""
)


def test_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    cli = LightningCLI(BetaVAE, run=False, args=["--config", str(tmp_path / "config.yaml")], save_config_callback=None)
    callback = next(c for c in cli.trainer.callbacks if isinstance(c, ManifoldEntropyCallback))  # type: ignore[attr-defined]
    evaluation = callback.evaluation
    assert isinstance(evaluation, ManifoldEvaluation)
    assert (evaluation.num_samples, evaluation.source, evaluation.partition) == (16, "posterior", [[0], [1, 2]])
    assert (callback.prefix, callback.figures, evaluation.seed) == ("probe", 2, 7)
    data = DataLoader(TensorDataset(torch.rand(12, 1, 4, 4)), 6)
    cli.trainer.fit(cli.model, data, data)
    assert "probe/manifold/partition_total_correlation" in cli.trainer.callback_metrics


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("source: posterior", "source: nowhere"),
        ("num_samples: 16", "num_samples: many"),
        ("partition: [[0], [1, 2]]", "partition: 3"),
        ("seed: 7", "unknown: 7"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, right: str, wrong: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace(right, wrong))
    with pytest.raises(SystemExit):
        LightningCLI(BetaVAE, run=False, args=["--config", str(tmp_path / "config.yaml")], save_config_callback=None)
