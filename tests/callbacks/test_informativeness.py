"""The informativeness callback: what is logged, on one process and several, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer, encoded, logged
from torchdisentangle.callbacks import InformativenessCallback
from torchdisentangle.informativeness import informativeness_metrics
from torchdisentangle.models import NormalizingFlowModule, real_nvp

SCALARS = {
    "total", "informative_latents", "information", "sep_mean", "wsepin", "windin", "sepin_at_k",
    "pairwise_mean", "pairwise_max", "misjed_at_k", "information_ceiling",
}  # fmt: skip


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_values_are_those_of_the_metrics(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, stage: str
) -> None:
    trainer = make_trainer(InformativenessCallback(num_queries=30, top_k=2, threshold=0.3, standard_errors=True))
    if stage == "fit":
        trainer.fit(tiny_vae, loader, loader)
    else:
        trainer.test(tiny_vae, loader, verbose=False)
    found = logged(trainer, "informativeness", "test" if stage == "test" else "val")
    metrics = informativeness_metrics(30, 2)
    mean, log_variance = encoded(tiny_vae, loader)
    metrics.update(mean, log_variance, index=torch.arange(len(mean)))
    expected = metrics.compute()
    assert found.keys() == SCALARS | {"information_standard_error", "wsepin_standard_error"}
    for name in ("information", "wsepin", "windin", "sepin_at_k"):
        assert found[name] == pytest.approx(float(expected[name]), rel=1e-5)  # float32 networks in other batches
    assert found["total"] == pytest.approx(float(expected["binned_informativeness"].sum()), rel=1e-5)
    assert found["informative_latents"] == float((expected["binned_informativeness"] > 0.3).sum())
    assert found["misjed_at_k"] == pytest.approx(float(expected["misjed"][0, 1]), rel=1e-5)
    pairs = expected["pairwise"][torch.triu_indices(3, 3, 1).unbind()]
    assert found["pairwise_mean"] == pytest.approx(float(pairs.mean()), rel=1e-4)
    assert found["pairwise_max"] == pytest.approx(float(pairs.max()), rel=1e-4)


@pytest.mark.parametrize(("processes", "num_samples"), [(2, 37), (3, 37), (3, 2)])  # padded; fewer rows than processes
def test_processes_give_the_values_of_one(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, processes: int, num_samples: int
) -> None:
    subset = TensorDataset(*(tensor[:num_samples] for tensor in loader.dataset.tensors))  # type: ignore[attr-defined]
    one = make_trainer(InformativenessCallback(num_queries=30))
    several = make_trainer(InformativenessCallback(num_queries=30), strategy="ddp_fork", devices=processes)
    one.validate(tiny_vae, DataLoader(subset, 7), verbose=False)
    several.validate(tiny_vae, DataLoader(subset, 7), verbose=False)
    expected, found = logged(one, "informativeness"), logged(several, "informativeness")
    assert expected.keys() == found.keys() == SCALARS
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name  # float32 encoders on other batch sizes


def test_figures_and_curves(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, version="run")
    trainer = make_trainer(InformativenessCallback(num_queries=30, prefix="probe"), logger=logger, max_epochs=2)
    trainer.fit(tiny_vae, loader, loader)
    folder = Path(logger.log_dir) / "figures" / "probe" / "informativeness"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert found == {f"{name}/{step}.png" for name in ("ranking", "pairwise", "misjed") for step in (3, 7)}
    header = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"probe/informativeness/{name}" for name in SCALARS} <= set(header)


def test_training_is_unchanged(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    losses = []
    start = {name: value.clone() for name, value in tiny_vae.state_dict().items()}
    for callbacks in ([], [InformativenessCallback(num_queries=30)]):
        L.seed_everything(1, verbose=False)
        tiny_vae.load_state_dict(start)
        tiny_vae.losses = []
        make_trainer(*callbacks).fit(tiny_vae, loader, loader)
        losses.append(tiny_vae.losses)
    assert losses[0] == losses[1]


def test_a_single_latent_has_no_pairs(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    single = type(tiny_vae)(latent_dim=1)
    trainer = make_trainer(InformativenessCallback(num_queries=30))
    trainer.validate(single, loader, verbose=False)
    values = logged(trainer, "informativeness")
    assert values.keys() == SCALARS - {"pairwise_mean", "pairwise_max", "misjed_at_k"}
    assert values["sep_mean"] == pytest.approx(0, abs=1e-9)


def test_posteriors_that_are_not_finite_are_counted(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader
) -> None:
    images = loader.dataset.tensors[0].clone()  # type: ignore[attr-defined]
    images[5] = torch.nan
    trainer = make_trainer(InformativenessCallback(num_queries=30))
    with pytest.warns(UserWarning, match="num_nonfinite"):
        trainer.validate(tiny_vae, DataLoader(TensorDataset(images, torch.zeros(37)), 10), verbose=False)
    assert logged(trainer, "informativeness")["num_nonfinite"] == 1
    assert logged(trainer, "informativeness").keys() == SCALARS | {"num_nonfinite"}


def test_bad_settings_and_models_are_refused(make_trainer: MakeTrainer) -> None:
    for settings, message in [
        ({"threshold": -1.0}, "threshold must not be negative"),
        ({"top_k": 0}, "at least 1"),
        ({"num_bins": 1}, "num_bins must be at least 2"),
        ({"edges": (2.0, -2.0)}, "edges"),
    ]:
        with pytest.raises(MisconfigurationException, match=message):
            InformativenessCallback(**settings)  # type: ignore[arg-type]
    flow = NormalizingFlowModule(real_nvp(2, num_blocks=2, hidden=8))
    data = DataLoader(TensorDataset(torch.randn(8, 2)), 4)
    with pytest.raises(MisconfigurationException, match="gives no variance, and informativeness"):
        make_trainer(InformativenessCallback()).fit(flow, data, data)
