"""The callback logs what the metrics say of the model, keeps fingerprints, and sees when channels settle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer, logged
from torchdisentangle.callbacks import RepresentationSimilarityCallback
from torchdisentangle.cli import main
from torchdisentangle.functional import compare_posteriors, compare_with_labels
from torchdisentangle.similarity import Fingerprint


def posteriors(model: Any, loader: DataLoader) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        mean, log_variance = model.eval().encode(loader.dataset.tensors[0])  # type: ignore[attr-defined]
    return mean.double(), log_variance.double()


def wide(model: Any) -> Any:
    """Make the posteriors of an untrained model differ."""
    with torch.no_grad():
        model.heads.weight[: model.latent_dim] *= 5
    return model


def test_values_of_a_validation(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(RepresentationSimilarityCallback(37, labels=True, save=False))
    trainer.validate(wide(tiny_vae), loader, verbose=False)
    mean, log_variance = posteriors(tiny_vae, loader)
    compared = compare_posteriors(mean, log_variance)
    labels = loader.dataset.tensors[1]  # type: ignore[attr-defined]
    to_labels = compare_with_labels(mean, log_variance, labels).normalized_mutual_information.clamp(0, 1)
    values = logged(trainer, "similarity")
    assert values.keys() == {"total_information", "informative_channels", "nmi_to_labels"}
    assert values["total_information"] == pytest.approx(float(compared.information_a.sum()), rel=1e-5)
    assert values["informative_channels"] == (compared.information_a > 0.00694).sum()
    assert values["nmi_to_labels"] == pytest.approx(float(to_labels.max()), rel=1e-4)


def test_previous_evaluations_files_and_figures(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    logger = CSVLogger(tmp_path, version="run")
    trainer = make_trainer(RepresentationSimilarityCallback(20), logger=logger, max_epochs=3)
    trainer.fit(wide(tiny_vae), loader, loader)
    folder = Path(logger.log_dir)
    files = sorted((folder / "fingerprints" / "val").iterdir(), key=lambda file: int(file.stem))
    assert [file.name for file in files] == ["3.npz", "7.npz", "11.npz"]
    first, second, third = (Fingerprint.load(file) for file in files)
    assert torch.equal(first.index, third.index)
    assert third.step == 11
    mean, _ = posteriors(tiny_vae, loader)
    torch.testing.assert_close(third.mean, mean[third.index], rtol=1e-5, atol=1e-6)
    between = compare_posteriors(third.mean, third.log_variance, second.mean, second.log_variance)
    alive = between.information_a > 0.00694
    similar = between.normalized_mutual_information.clamp(0, 1)[:, between.information_b > 0.00694]
    assert logged(trainer, "similarity")["nmi_to_previous"] == pytest.approx(
        float(similar[alive].amax(1).mean()), rel=1e-4
    )
    pictures = {p.parent.name: p for p in (folder / "figures" / "val" / "similarity").rglob("11.png")}
    assert pictures.keys() == {"channels", "fingerprint", "to_previous"}
    pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
    assert main(["compare", str(folder), "--output", str(tmp_path / "out")]) == 0
    assert "20 points, 3 channels, step 11" in capsys.readouterr().out


def test_a_model_that_rests_has_settled(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    for measure, settled in (("nmi", 1.0), ("vi", 0.0)):
        trainer = make_trainer(RepresentationSimilarityCallback(37, measure=measure, save=False))  # type: ignore[arg-type]
        trainer.validate(wide(tiny_vae), loader, verbose=False)
        assert f"{measure}_to_previous" not in logged(trainer, "similarity")
        trainer.validate(tiny_vae, loader, verbose=False)
        assert logged(trainer, "similarity")[f"{measure}_to_previous"] == pytest.approx(settled, abs=1e-6)


def test_reference_of_another_run(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    make_trainer(RepresentationSimilarityCallback(20, folder=str(tmp_path / "a"))).validate(
        wide(tiny_vae), loader, verbose=False
    )
    with torch.no_grad():  # the same channels in another order, scaled and flipped
        for heads in (tiny_vae.heads.weight, tiny_vae.heads.bias):
            mean, log_variance = heads.reshape(2, 3, -1).clone()
            change = torch.zeros_like(log_variance)
            if heads is tiny_vae.heads.bias:
                change += 2 * torch.tensor(2.0).log()
            heads.copy_(torch.cat([-2 * mean[[2, 0, 1]], (log_variance + change)[[2, 0, 1]]]).reshape(heads.shape))
    trainer = make_trainer(RepresentationSimilarityCallback(20, reference=str(tmp_path / "a"), save=False))
    trainer.validate(tiny_vae, loader, verbose=False)
    assert logged(trainer, "similarity")["nmi_to_reference"] == pytest.approx(1, abs=1e-5)
    absent = make_trainer(RepresentationSimilarityCallback(20, reference=str(tmp_path / "b")))
    with pytest.raises(MisconfigurationException, match=r"the reference cannot be read: .*holds none"):
        absent.validate(tiny_vae, loader, verbose=False)


def callbacks(folder: Path) -> list[L.Callback]:
    return [
        RepresentationSimilarityCallback(12, prefix="few", labels=True, folder=str(folder)),
        RepresentationSimilarityCallback(37, prefix="all", measure="vi", save=False),
    ]


@pytest.mark.parametrize(("processes", "num_rows"), [(2, 37), (3, 37), (3, 2)])
def test_processes_give_the_values_of_one(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path, processes: int, num_rows: int
) -> None:
    data = DataLoader(TensorDataset(*(x[:num_rows] for x in loader.dataset.tensors)), 7)  # type: ignore[attr-defined]
    wide(tiny_vae)
    found, files = [], []
    for settings in ({}, {"strategy": "ddp_fork", "devices": processes}):
        trainer = make_trainer(*callbacks(tmp_path / f"{len(settings)}"), **settings)
        trainer.validate(tiny_vae, data, verbose=False)
        found.append(
            {
                **logged(trainer, "similarity", "few"),
                **{f"all {k}": v for k, v in logged(trainer, "similarity", "all").items()},
            }
        )
        files.append(Fingerprint.load(tmp_path / f"{len(settings)}" / "fingerprints" / "few" / "0.npz"))
    assert found[0].keys() == found[1].keys()
    assert found[0] == pytest.approx(found[1], rel=1e-5, abs=1e-6)  # float32 encoders on other batch sizes
    assert torch.equal(files[0].index, files[1].index)
    assert torch.equal(files[0].labels, files[1].labels)
    torch.testing.assert_close(files[0].mean, files[1].mean, rtol=1e-5, atol=1e-6)


def test_checkpoints_remember_the_previous_evaluation(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    keep = ModelCheckpoint(tmp_path / "checkpoints", save_last=True)
    first = make_trainer(
        RepresentationSimilarityCallback(20, save=False), keep, max_epochs=1, enable_checkpointing=True
    )
    first.fit(wide(tiny_vae), loader, loader)
    again = make_trainer(RepresentationSimilarityCallback(20, save=False), max_epochs=2)
    again.fit(tiny_vae, loader, loader, ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert "nmi_to_previous" in logged(again, "similarity")


def test_a_collapsed_model_logs_no_similarity(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    torch.nn.init.zeros_(tiny_vae.heads.weight)
    torch.nn.init.zeros_(tiny_vae.heads.bias)
    trainer = make_trainer(RepresentationSimilarityCallback(37, labels=True, save=False))
    for _ in range(2):
        trainer.validate(tiny_vae, loader, verbose=False)
    values = logged(trainer, "similarity")
    assert values.keys() == {"total_information", "informative_channels"}
    assert values["informative_channels"] == 0


def test_deterministic_encoders_need_a_resolution(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    encode = tiny_vae.encode
    tiny_vae.encode = lambda x: encode(x)[0]
    tiny_vae.validation_step = lambda batch, batch_idx: None
    with pytest.raises(MisconfigurationException, match=r"TinyVAE encodes data as points.*noise_std"):
        make_trainer(RepresentationSimilarityCallback(37)).fit(tiny_vae, loader, loader)
    trainer = make_trainer(RepresentationSimilarityCallback(37, noise_std=0.1, save=False))
    trainer.validate(tiny_vae, loader, verbose=False)
    mean = encode(loader.dataset.tensors[0])[0].detach().double()  # type: ignore[attr-defined]
    expected = compare_posteriors(mean, torch.full_like(mean, 0.01).log()).information_a.sum()
    assert logged(trainer, "similarity")["total_information"] == pytest.approx(float(expected), rel=1e-5)


def test_shuffled_data_are_refused(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    shuffled = DataLoader(loader.dataset, 10, shuffle=True)
    with pytest.raises(MisconfigurationException, match="set shuffle=False"):
        make_trainer(RepresentationSimilarityCallback(37)).fit(tiny_vae, loader, shuffled)


@pytest.mark.parametrize("settings", [{"num_points": 0}, {"measure": "mse"}, {"noise_std": 0.0}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(MisconfigurationException):
        RepresentationSimilarityCallback(**settings)
