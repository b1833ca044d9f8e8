"""The callback in fit, validate and test: what is logged, when, and that it is right."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import lightning.pytorch.callbacks
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer, logged
from torchdisentangle import functional as F
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.evaluation import Report
from torchdisentangle.models import NormalizingFlowModule, spline_flow

SCALARS = [
    "total_entropy",
    "total_correlation",
    "mpmi_mean",
    "mpmi_max",
    "active_latents",
    "active_mpmi_mean",
    "effective_dimension",
]


def from_prior(model: Any, num_samples: int, seed: int = 0) -> Tensor:
    z = torch.randn(num_samples, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return F.gram_matrix(F.decoder_jacobian(model.eval().decode, z))


def assert_equals(values: dict[str, float], gram: Tensor, rtol: float = 1e-5) -> None:
    """The logged values, which are float32, against the formulas."""
    assert set(SCALARS) <= set(values)
    torch.testing.assert_close(values["total_entropy"], F.manifold_entropy(gram).item(), rtol=rtol, atol=rtol)
    torch.testing.assert_close(
        values["total_correlation"], F.manifold_total_correlation(gram).item(), rtol=rtol, atol=rtol
    )
    torch.testing.assert_close(
        values["mpmi_max"], F.manifold_pairwise_mutual_information(gram).max().item(), rtol=rtol, atol=rtol
    )


@pytest.mark.parametrize("inference_mode", [True, False])
@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_values_from_the_prior(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, stage: str, inference_mode: bool
) -> None:
    trainer = make_trainer(ManifoldEntropyCallback(64), inference_mode=inference_mode)
    if stage == "fit":
        trainer.fit(tiny_vae, loader, loader)
    else:
        getattr(trainer, stage)(tiny_vae, loader, verbose=False)
    assert_equals(logged(trainer, "manifold", "test" if stage == "test" else "val"), from_prior(tiny_vae, 64))


@pytest.mark.parametrize("source", ["posterior", "posterior_mean"])
def test_values_from_the_posterior(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, source: Any) -> None:
    trainer = make_trainer(ManifoldEntropyCallback(24, source=source))
    trainer.validate(tiny_vae, loader, verbose=False)
    x = loader.dataset.tensors[0][:24]  # type: ignore[attr-defined]
    with torch.no_grad():
        mean, log_variance = tiny_vae.eval().encode(x)
        noise = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
        z = mean if source == "posterior_mean" else mean + (0.5 * log_variance).exp() * noise
        gram = F.gram_matrix(F.decoder_jacobian(tiny_vae.decode, z))
    assert_equals(logged(trainer, "manifold"), gram)


def test_posterior_per_class(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(ManifoldEntropyCallback(100, source="posterior_mean", classes=3))
    trainer.validate(tiny_vae, loader, verbose=False)
    x, labels = loader.dataset.tensors  # type: ignore[attr-defined]
    with torch.no_grad():
        gram = F.gram_matrix(F.decoder_jacobian(tiny_vae.eval().decode, tiny_vae.encode(x)[0]))
    by_class = torch.stack([F.manifold_entropy(gram[labels == label]) for label in range(3)])
    assert logged(trainer, "manifold")["total_entropy"] == pytest.approx(by_class.mean().item(), rel=1e-5)


def test_a_flow_uses_its_own_log_determinant(make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = NormalizingFlowModule(spline_flow(2, num_blocks=2, hidden=16))
    data = DataLoader(TensorDataset(torch.randn(32, 2)), 16)
    trainer = make_trainer(ManifoldEntropyCallback(64))
    trainer.fit(model, data, data)
    adapted = model.latent_model()
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = 2 * 1.4189385 + adapted.log_det(z).mean().item()
        by_jacobian = F.manifold_entropy(F.gram_matrix(F.decoder_jacobian(adapted.decode, z))).item()
    assert logged(trainer, "manifold")["total_entropy"] == pytest.approx(own, abs=1e-5)
    assert own == pytest.approx(by_jacobian, abs=1e-5)  # float32 flows


def test_partition_and_standard_errors(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(ManifoldEntropyCallback(50, partition=[[0, 1], [2]], standard_errors=True))
    trainer.validate(tiny_vae, loader, verbose=False)
    gram, values = from_prior(tiny_vae, 50), logged(trainer, "manifold")
    expected = F.manifold_total_correlation(gram, [[0, 1], [2]]).item()
    assert values["partition_total_correlation"] == pytest.approx(expected, rel=1e-5)
    per_sample = torch.stack([F.manifold_entropy(sample[None]) for sample in gram])
    error = per_sample.std().item() / 50**0.5
    assert values["total_entropy_standard_error"] == pytest.approx(error, rel=1e-4)


def test_a_reference_of_the_data_tells_what_is_active(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader
) -> None:
    spectrum = F.manifold_entropy_spectrum(from_prior(tiny_vae, 50)).sort().values
    between = float(spectrum[:2].mean()) - math.log(0.5)
    trainer = make_trainer(ManifoldEntropyCallback(50, active_threshold=0.5, active_reference=between))
    trainer.validate(tiny_vae, loader, verbose=False)
    assert logged(trainer, "manifold")["active_latents"] == len(spectrum) - 1


def test_sanity_check_is_skipped_and_epochs_are_chosen(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader
) -> None:
    epochs: list[tuple[int, bool]] = []

    class Spy(ManifoldEntropyCallback):
        def keep(self, trainer: L.Trainer, report: Report) -> None:
            epochs.append((trainer.current_epoch, trainer.sanity_checking))

    trainer = make_trainer(Spy(8, every_n_epochs=2), max_epochs=5, num_sanity_val_steps=2)
    trainer.fit(tiny_vae, loader, loader)
    assert epochs == [(1, False), (3, False), (4, False)]  # every second one and the last


def test_monitors_see_the_values(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/manifold/total_correlation", save_top_k=-1)
    stopping = EarlyStopping("val/manifold/total_entropy", patience=10)
    trainer = make_trainer(checkpoint, stopping, ManifoldEntropyCallback(16), enable_checkpointing=True, max_epochs=3)
    trainer.fit(tiny_vae, loader, loader)
    assert len(checkpoint.best_k_models) == 3
    assert stopping.best_score.isfinite()


def test_monitor_between_evaluations(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    """Epochs without an evaluation keep the last value for monitors."""
    stopping = EarlyStopping("val/manifold/total_entropy", patience=10, check_on_train_epoch_end=False, strict=False)
    trainer = make_trainer(stopping, ManifoldEntropyCallback(16, every_n_epochs=2), max_epochs=4)
    trainer.fit(tiny_vae, loader, loader)
    assert trainer.current_epoch == 4


@pytest.mark.parametrize("before", [True, False])
def test_averaged_weights_are_evaluated(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, before: bool
) -> None:
    if not hasattr(lightning.pytorch.callbacks, "EMAWeightAveraging"):
        pytest.skip("this version of lightning has no EMAWeightAveraging")
    averaging = lightning.pytorch.callbacks.EMAWeightAveraging(decay=0.9)
    callback = ManifoldEntropyCallback(16)
    order = (callback, averaging) if before else (averaging, callback)
    trainer = make_trainer(*order, max_epochs=2)
    trainer.fit(tiny_vae, loader, loader)
    averaged = averaging._average_model.module  # type: ignore[union-attr]
    assert averaged is not tiny_vae
    raw = F.manifold_entropy(from_prior(tiny_vae, 16)).item()
    value = logged(trainer, "manifold")["total_entropy"]
    # at the end the averaged weights have been copied into the module
    assert value == pytest.approx(raw, rel=1e-5)


def test_second_dataloader(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    other = DataLoader(TensorDataset(torch.ones(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64)), 4)
    trainer = make_trainer(ManifoldEntropyCallback(8, source="posterior_mean", dataloader_idx=1))
    trainer.validate(tiny_vae, [loader, other], verbose=False)
    with torch.no_grad():
        z = tiny_vae.eval().encode(torch.ones(8, 1, 4, 4))[0]
        gram = F.gram_matrix(F.decoder_jacobian(tiny_vae.decode, z))
    assert_equals(logged(trainer, "manifold"), gram)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_metrics_are_computed_in_full_precision(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, precision: Any
) -> None:
    trainer = make_trainer(ManifoldEntropyCallback(32), precision=precision)
    trainer.fit(tiny_vae, loader, loader)
    dtypes = {parameter.dtype for parameter in tiny_vae.parameters()}
    expected = {"bf16-mixed": torch.float32, "bf16-true": torch.bfloat16, "64-true": torch.float64}[precision]
    assert dtypes == {expected}
    assert_equals(logged(trainer, "manifold"), from_prior(tiny_vae.float(), 32))


def test_compiled_networks(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    tiny_vae.encoder = torch.compile(tiny_vae.encoder, backend="eager")
    tiny_vae.body = torch.compile(tiny_vae.body, backend="eager")
    trainer = make_trainer(
        ManifoldEntropyCallback(16, source="posterior_mean"), ManifoldEntropyCallback(16, prefix="p")
    )
    trainer.fit(tiny_vae, loader, loader)
    assert_equals(logged(trainer, "manifold", "p"), from_prior(tiny_vae, 16))


def test_figures_to_files(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, version="run")
    trainer = make_trainer(ManifoldEntropyCallback(16, prefix="probe"), logger=logger, max_epochs=2)
    trainer.fit(tiny_vae, loader, loader)
    folder = Path(logger.log_dir) / "figures" / "probe" / "manifold"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    names = ("spectrum", "pairwise", "decomposition", "mean_jacobian")
    assert found == {f"{name}/{step}.png" for name in names for step in (3, 7)}
    header = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"probe/manifold/{name}" for name in SCALARS} <= set(header)


def test_figures_to_tensorboard(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    trainer = make_trainer(ManifoldEntropyCallback(16, figures=2), logger=logger, max_epochs=3)
    trainer.fit(tiny_vae, loader, loader)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert [event.step for event in events.Images("val/manifold/spectrum")] == [3, 11]
    assert [event.step for event in events.Scalars("val/manifold/mpmi_max")] == [3, 7, 11]


def test_unknown_loggers_do_not_end_a_training(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    class Broken(CSVLogger):
        def log_image(self, *args: Any, **kwargs: Any) -> None:
            raise OSError("disk full")

    trainer = make_trainer(ManifoldEntropyCallback(8), logger=Broken(tmp_path), max_epochs=1)
    trainer.logger.log_metrics = lambda *args, **kwargs: None  # type: ignore[union-attr,method-assign]
    with pytest.warns(UserWarning, match=r"Broken could not log the figure val/manifold/spectrum: disk full"):
        trainer.fit(tiny_vae, loader, loader)


def test_a_decoder_that_diverges_logs_counts_and_no_nan(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader
) -> None:
    class Diverge(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            next(tiny_vae.body.parameters()).data.fill_(float("nan"))

        def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            if not trainer.sanity_checking:
                next(tiny_vae.body.parameters()).data.fill_(float("nan"))

    trainer = make_trainer(Diverge(), ManifoldEntropyCallback(8), max_epochs=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(tiny_vae, loader, loader)
    assert any("num_nonfinite (8 in this batch)" in str(warning.message) for warning in caught)
    assert logged(trainer, "manifold") == {"num_nonfinite": 8.0}


def test_an_error_after_training_has_begun_is_a_warning(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader
) -> None:
    def fail(z: Tensor) -> Tensor:
        raise RuntimeError("out of luck")

    class Break(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            tiny_vae.decode = fail

        def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            if not trainer.sanity_checking:
                tiny_vae.decode = fail

        def on_validation_batch_start(self, *args: Any) -> None:
            del tiny_vae.decode  # the user's own step must go on working

        def on_validation_batch_end(self, *args: Any) -> None:
            tiny_vae.decode = fail

    trainer = make_trainer(Break(), ManifoldEntropyCallback(8), max_epochs=1, num_sanity_val_steps=0)
    with pytest.warns(UserWarning, match="could not be evaluated: .*out of luck"):
        trainer.fit(tiny_vae, DataLoader(loader.dataset, 40), DataLoader(loader.dataset, 40))
    assert logged(trainer, "manifold") == {}


class Gan(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.latent_dim, self.generator = 2, nn.Linear(2, 4)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise AssertionError("a step was trained")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fails_before_training(trainer: L.Trainer, model: L.LightningModule, loader: Any, message: str) -> None:
    with pytest.raises(L.pytorch.utilities.exceptions.MisconfigurationException, match=message):
        trainer.fit(model, loader, loader)
    assert trainer.global_step == 0


def test_a_model_that_cannot_encode(make_trainer: MakeTrainer, loader: DataLoader) -> None:
    fails_before_training(
        make_trainer(ManifoldEntropyCallback(source="posterior")), Gan(), loader, "Gan cannot encode data"
    )


def test_a_module_that_is_no_latent_model(make_trainer: MakeTrainer, loader: DataLoader) -> None:
    from lightning.pytorch.demos.boring_classes import BoringModel

    fails_before_training(
        make_trainer(ManifoldEntropyCallback()), BoringModel(), loader, "BoringModel is no latent model"
    )


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (lambda z: z.sum(0), "must map latents"),
        (lambda z: z @ torch.ones(5, 2), "mat1 and mat2 shapes"),
        (lambda z: {"loss": z.sum()}, "must return a tensor, got dict"),
    ],
)
def test_decoders_that_cannot_work(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, decode: Any, message: str
) -> None:
    tiny_vae.decode = decode
    fails_before_training(make_trainer(ManifoldEntropyCallback(8)), tiny_vae, loader, message)


def test_batches_without_the_key(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    callback = ManifoldEntropyCallback(8, source="posterior", input_key="image")
    fails_before_training(make_trainer(callback), tiny_vae, loader, "the batch has no tensor at 'image'")


@pytest.mark.parametrize("dataloader_idx", [-1, 1])
def test_a_data_loader_that_does_not_exist(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, dataloader_idx: int
) -> None:
    callback = ManifoldEntropyCallback(8, source="posterior", dataloader_idx=dataloader_idx)
    fails_before_training(make_trainer(callback), tiny_vae, loader, "but data loaders: 1")
    with pytest.raises(L.pytorch.utilities.exceptions.MisconfigurationException, match="but data loaders: 1"):
        make_trainer(callback).validate(tiny_vae, loader, verbose=False)


def test_partition_that_does_not_fit(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    fails_before_training(make_trainer(ManifoldEntropyCallback(8, partition=[[0], [7]])), tiny_vae, loader, "3 latents")


def test_classes_of_an_unconditional_prior(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    fails_before_training(make_trainer(ManifoldEntropyCallback(8, classes=3)), tiny_vae, loader, "has no classes")


def test_two_callbacks_with_the_same_keys(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    """Lightning would log the average of both values."""
    callbacks = [ManifoldEntropyCallback(8), ManifoldEntropyCallback(8, source="posterior", prefix="val")]
    fails_before_training(make_trainer(*callbacks), tiny_vae, loader, "two callbacks log val/manifold")


@pytest.mark.parametrize(
    "settings", [{"num_samples": 0}, {"source": "nowhere"}, {"every_n_epochs": 0}, {"figures": -1}]
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(L.pytorch.utilities.exceptions.MisconfigurationException):
        ManifoldEntropyCallback(**settings)
