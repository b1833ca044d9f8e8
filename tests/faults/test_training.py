"""Nothing that goes wrong in an evaluation ends a training, and no value is that of another epoch."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from tests.helpers import MakeTrainer
from torchdisentangle import evaluate
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    EvaluationCallback,
    ManifoldEntropyCallback,
    RepresentationSimilarityCallback,
)
from torchdisentangle.callbacks.checks import check_strategy
from torchdisentangle.evaluation import Context, Evaluation, Pass, Place, Report
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.similarity import Fingerprint


class Scripted(Evaluation):
    """Reports what a function of the evaluation's number returns, or fails as it does."""

    family = "scripted"
    abilities = ()

    def __init__(self, script: Callable[[int], dict[str, float]]) -> None:
        self.script, self.number = script, 0

    def begin(self, model: LatentModel, place: Place, context: Context) -> ScriptedPass:
        return ScriptedPass(self)


class ScriptedPass(Pass):
    def __init__(self, evaluation: Scripted) -> None:
        self.evaluation = evaluation

    @property
    def done(self) -> bool:
        return True

    def finish(self) -> Report:
        self.evaluation.number += 1
        return Report(self.evaluation.script(self.evaluation.number - 1))


def scripted(script: Callable[[int], dict[str, float]], **settings: Any) -> EvaluationCallback:
    return EvaluationCallback(Scripted(script), **settings)


def score(number: int) -> dict[str, float]:
    return {"score": float(number)}


class Epochs(L.Callback):
    """Logs the number of the epoch: a trainer whose processes have ended knows nothing else."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("epochs", float(trainer.current_epoch + 1))


class Recorder(L.Callback):
    """What monitors see at the end of every validation."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.seen.append({key: float(value) for key, value in trainer.callback_metrics.items()})


# Values


def test_what_float32_cannot_hold_is_counted(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    encode = module.encode

    def broad(x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = encode(x)
        return mean, torch.cat([torch.full_like(log_variance[:1], 100), log_variance[1:]])

    module.encode = broad
    stopping = EarlyStopping("val/elbo/latent_kl_max", strict=False)
    trainer = make_trainer(ELBODecompositionCallback(num_queries=20), stopping, max_epochs=2)
    trainer.fit(module, loader, loader)
    values = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/elbo/")}
    assert values["val/elbo/num_unlogged"] >= 1
    assert all(torch.tensor(value).isfinite() for value in values.values())
    assert trainer.current_epoch == 2


# Monitors


@pytest.mark.parametrize("fail", [0, 1])
def test_a_failed_evaluation_ends_no_training(
    make_trainer: MakeTrainer, module: Any, loader: DataLoader, tmp_path: Path, fail: int
) -> None:
    def script(number: int) -> dict[str, float]:
        if number == fail:
            raise RuntimeError("out of luck")
        return score(number)

    recorder = Recorder()
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/scripted/score", mode="max")
    stopping = EarlyStopping("val/scripted/score", mode="max", patience=2)
    trainer = make_trainer(stopping, scripted(script), recorder, checkpoint, enable_checkpointing=True, max_epochs=4)
    with pytest.warns(UserWarning, match="could not be evaluated: out of luck"):
        trainer.fit(module, loader, loader)
    assert trainer.current_epoch == 4
    values = [seen["val/scripted/score"] for seen in recorder.seen]
    expected = [float(number) for number in range(4)]
    expected[fail] = -torch.finfo(torch.float32).max
    assert values == expected
    assert float(checkpoint.best_model_score) == float(stopping.best_score) == 3.0  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [True, False])
def test_monitors_between_evaluations(make_trainer: MakeTrainer, module: Any, loader: DataLoader, before: bool) -> None:
    """An early stopping looks in every epoch, so every epoch is evaluated."""
    stopping, recorder = EarlyStopping("val/scripted/score", mode="max", patience=1), Recorder()
    watching = scripted(score, every_n_epochs=2)
    order = (watching, stopping) if before else (stopping, watching)
    trainer = make_trainer(*order, recorder, max_epochs=4, val_check_interval=2)
    trainer.fit(module, loader, loader)
    assert trainer.current_epoch == 4
    values = [seen["val/scripted/score"] for seen in recorder.seen]
    assert values == sorted(set(values)), "a value was seen twice"


def test_checkpoints_between_evaluations(
    make_trainer: MakeTrainer, module: Any, loader: DataLoader, tmp_path: Path
) -> None:
    """A checkpoint of every second epoch needs a value in those alone, and epochs between have none."""
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/scripted/score", save_top_k=-1, every_n_epochs=2)
    lenient, recorder = EarlyStopping("val/scripted/score", mode="max", patience=1, strict=False), Recorder()
    callbacks = (scripted(score, every_n_epochs=2), checkpoint, lenient, recorder)
    trainer = make_trainer(*callbacks, enable_checkpointing=True, max_epochs=6)
    trainer.fit(module, loader, loader)
    assert trainer.current_epoch == 6
    assert [seen.get("val/scripted/score") for seen in recorder.seen] == [None, 0.0, None, 1.0, None, 2.0]
    assert sorted(float(value) for value in checkpoint.best_k_models.values()) == [0.0, 1.0, 2.0]


def test_a_scheduler_that_monitors(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    def optimizers() -> Any:
        optimizer = torch.optim.SGD(module.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val/scripted/score"}}

    module.configure_optimizers = optimizers
    trainer = make_trainer(scripted(lambda number: {"score": float("nan")}, every_n_epochs=3), max_epochs=2)
    trainer.fit(module, loader, loader)
    assert trainer.current_epoch == 2


def test_an_unknown_key_is_still_an_error(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    trainer = make_trainer(EarlyStopping("val/scripted/scores"), scripted(score))
    with pytest.raises(RuntimeError, match="val/scripted/scores"):
        trainer.fit(module, loader, loader)


def test_a_first_comparison_with_nothing(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    stopping = EarlyStopping("val/similarity/nmi_to_previous", mode="max", patience=3)
    trainer = make_trainer(RepresentationSimilarityCallback(48), stopping, max_epochs=2)
    trainer.fit(module, loader, loader)
    assert float(stopping.best_score) == pytest.approx(1, abs=1e-6)  # the encoder has no parameters


# Several processes


class Chunks(Dataset):
    """Six rows an item."""

    def __init__(self, *tensors: Tensor) -> None:
        self.parts = list(zip(*(tensor.split(6) for tensor in tensors), strict=True))[:7]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.parts[index]


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([(torch.zeros(4, dtype=torch.float64), torch.zeros(2, dtype=torch.int64))] * 8)


def two_views(items: Any) -> Any:
    rows, factors = (torch.stack(part) for part in zip(*items, strict=True))
    return torch.cat([rows, rows]), torch.cat([factors, factors])


def several(processes: int, seconds: int = 30) -> dict[str, Any]:
    strategy = DDPStrategy(start_method="fork", timeout=timedelta(seconds=seconds))
    return {"strategy": strategy, "devices": processes, "precision": "64-true"}


def callbacks() -> list[L.Callback]:
    return [DisentanglementCallback(["mig", "sap"], figures=False), ELBODecompositionCallback(num_queries=10)]


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("kind", ["chunks", "uneven", "shuffled"])
def test_trainers_of_several_processes(
    make_trainer: MakeTrainer, module: Any, table: TensorDataset, kind: str, processes: int
) -> None:
    def make() -> DataLoader:
        if kind == "chunks":
            return DataLoader(Chunks(*table.tensors), batch_size=None)
        rows = TensorDataset(*(tensor[:47] for tensor in table.tensors))
        return DataLoader(rows, 7, shuffle=kind == "shuffled")

    found = []
    for settings in ({"precision": "64-true"}, several(processes)):
        trainer = make_trainer(*(callbacks()[: 1 if kind == "shuffled" else 2]), **settings)
        trainer.validate(module, make(), verbose=False)
        found.append({key: float(value) for key, value in trainer.callback_metrics.items()})
    assert found[1] == pytest.approx(found[0], rel=1e-6)  # logged in float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda table: DataLoader(Stream(), 7), "without a DistributedSampler"),
        (lambda table: DataLoader(table, 7, sampler=SubsetRandomSampler(range(40))), "a SubsetRandomSampler"),
        (lambda table: DataLoader(table, 7, sampler=WeightedRandomSampler([1.0] * 48, 40)), "a WeightedRandomSampler"),
        (lambda table: DataLoader(table, 9, drop_last=True), "with drop_last=True"),
        (lambda table: DataLoader(table, 7, collate_fn=two_views), "2 rows for each of 7 items"),
    ],
)
def test_loaders_are_refused_before_training(
    make_trainer: MakeTrainer, module: Any, table: TensorDataset, make: Any, message: str
) -> None:
    class Trained(L.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            raise AssertionError("a step was trained")

    sanity = 1 if "2 rows" in message else 0
    trainer = make_trainer(ELBODecompositionCallback(), Trained(), num_sanity_val_steps=sanity, **several(2))
    with pytest.raises(Exception, match=message):
        trainer.fit(module, DataLoader(table, 7), make(table))


class FailsOnOne(Scripted):
    """Fails on the second process: before a reduction, in the middle of one, or after it."""

    def __init__(self, where: str) -> None:
        super().__init__(lambda number: {})
        self.where = where

    def begin(self, model: LatentModel, place: Place, context: Context) -> FailsOnOnePass:
        return FailsOnOnePass(self.where, place)


class FailsOnOnePass(Pass):
    done = True

    def __init__(self, where: str, place: Place) -> None:
        self.where, self.place = where, place

    def start(self) -> None:
        self.fail("start")

    def finish(self) -> Report:
        self.fail("middle")
        total = torch.ones(())
        torch.distributed.all_reduce(total)
        self.fail("finish")
        return Report({"processes": float(total)})

    def fail(self, where: str) -> None:
        if where == self.where and self.place.rank == 1:
            raise RuntimeError(f"no luck in {where}")


@pytest.mark.parametrize("where", ["start", "finish"])
def test_a_failure_on_one_process_ends_no_training(
    make_trainer: MakeTrainer, module: Any, loader: DataLoader, where: str, tmp_path: Path
) -> None:
    stopping = EarlyStopping("val/scripted/processes", patience=9)
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/scripted/processes")
    callback = EvaluationCallback(FailsOnOne(where))
    settings = {"max_epochs": 2, "enable_checkpointing": True, **several(2)}
    trainer = make_trainer(callback, stopping, checkpoint, Epochs(), **settings)
    trainer.fit(module, loader, loader)
    assert trainer.callback_metrics["epochs"] == 2
    assert trainer.callback_metrics["val/scripted/processes"] == torch.finfo(torch.float32).max


def test_a_failure_in_a_reduction_ends_at_the_time_out(
    make_trainer: MakeTrainer, module: Any, loader: DataLoader
) -> None:
    start = time.monotonic()
    trainer = make_trainer(EvaluationCallback(FailsOnOne("middle")), ELBODecompositionCallback(), **several(2, 5))
    trainer.validate(module, loader, verbose=False)
    assert "val/scripted/processes" not in trainer.callback_metrics
    assert time.monotonic() - start < 60


def test_no_collective_outside_agreed_places(make_trainer: MakeTrainer, module: Any, table: TensorDataset) -> None:
    """Two rows for three processes, a time limit, and a callback of the user's that communicates in its first batch."""

    class Communicates(L.Callback):
        def on_validation_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any, **kwargs: Any) -> None:
            trainer.strategy.reduce(torch.ones(2, dtype=torch.float64))

        def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            trainer.strategy.reduce(torch.ones(3, dtype=torch.float64))

    limited = ManifoldEntropyCallback(16, max_seconds=5.0)
    trainer = make_trainer(Communicates(), limited, ELBODecompositionCallback(), **several(3))
    trainer.validate(module, DataLoader(TensorDataset(*(x[:2] for x in table.tensors)), 2), verbose=False)
    assert {"val/manifold/total_entropy", "val/elbo/kl"} <= trainer.callback_metrics.keys()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_that_cannot_be_written(
    make_trainer: MakeTrainer, module: Any, loader: DataLoader, tmp_path: Path, processes: int
) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings = several(2) if processes == 2 else {}
    callback = RepresentationSimilarityCallback(20, folder=str(tmp_path / "file"))
    trainer = make_trainer(callback, EarlyStopping("val/similarity/total_information"), Epochs(), **settings)
    trainer.fit(module, loader, loader)
    assert trainer.callback_metrics["epochs"] == 2
    assert "val/similarity/total_information" in trainer.callback_metrics


# Silence and side effects


def test_nothing_is_written_without_a_logger(
    make_trainer: MakeTrainer, module: Any, loader: DataLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = make_trainer(RepresentationSimilarityCallback(20), default_root_dir=None)
    trainer.validate(module, loader, verbose=False)
    assert not list(tmp_path.rglob("fingerprints"))


def test_silence_is_announced(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    with pytest.warns(UserWarning, match="this trainer has none"):
        make_trainer(scripted(score), limit_val_batches=0).fit(module, loader, loader)
    with pytest.warns(UserWarning, match="this trainer has none"):
        make_trainer(scripted(score)).fit(module, loader)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*this trainer has none")
        make_trainer(scripted(score, every_n_epochs=2), max_epochs=2).fit(module, loader, loader)


@pytest.mark.parametrize("hook", ["validation_step", "on_validation_epoch_end"])
def test_a_key_that_the_module_logs_too(make_trainer: MakeTrainer, module: Any, loader: DataLoader, hook: str) -> None:
    setattr(module, hook, lambda *args, **kwargs: module.log("val/scripted/score", 7.0))
    with pytest.warns(UserWarning, match="val/scripted/score is logged by something else too"):
        make_trainer(scripted(score)).fit(module, loader, loader)


def test_warnings_of_one_process_are_left_alone(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    before = list(warnings.filters)
    make_trainer(scripted(score)).validate(module, loader, verbose=False)
    assert warnings.filters == before


# Shuffled data


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": SubsetRandomSampler(range(40))},
        {"sampler": WeightedRandomSampler([1.0] * 48, 48)},
        {"batch_sampler": BatchSampler(RandomSampler(range(48)), 7, False)},
        {"shuffle": True},
    ],
)
def test_fingerprints_of_shuffled_data_are_refused(
    make_trainer: MakeTrainer, module: Any, table: TensorDataset, settings: dict[str, Any]
) -> None:
    shuffled = DataLoader(table, **({} if "batch_sampler" in settings else {"batch_size": 7}), **settings)
    with pytest.raises(MisconfigurationException, match="data are shuffled"):
        make_trainer(RepresentationSimilarityCallback(20)).fit(module, shuffled, shuffled)
    with pytest.raises(ValueError, match="data are shuffled"):
        evaluate(module, shuffled, ["similarity"])


# State


def test_runs_begin_anew(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    """After a validation, a second fit, or in another trainer nothing is known of an earlier run."""
    callback, recorder = RepresentationSimilarityCallback(48), Recorder()
    key = "val/similarity/nmi_to_previous"
    make_trainer(callback, recorder).validate(module, loader, verbose=False)
    make_trainer(callback, recorder, max_epochs=2).fit(module, loader, loader)
    assert callback.num_evaluations == 2
    make_trainer(callback, recorder, max_epochs=1).fit(module, loader, loader)
    assert callback.num_evaluations == 1
    make_trainer(callback, recorder).validate(module, loader, verbose=False)
    assert [key in seen for seen in recorder.seen] == [False, False, True, False, False]


def test_a_resumed_run_goes_on(make_trainer: MakeTrainer, module: Any, loader: DataLoader, tmp_path: Path) -> None:
    def run(max_epochs: int, **settings: Any) -> tuple[RepresentationSimilarityCallback, L.Trainer]:
        callback = RepresentationSimilarityCallback(48, figures=2)
        logger = CSVLogger(tmp_path, version=f"{max_epochs}{bool(settings)}")
        trainer = make_trainer(callback, logger=logger, max_epochs=max_epochs, enable_checkpointing=True)
        trainer.fit(module, loader, loader, **settings)
        return callback, trainer

    _, first = run(1)
    path = first.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    resumed, trainer = run(3, ckpt_path=path)
    whole, _ = run(3)
    assert resumed.num_evaluations == whole.num_evaluations == 3
    assert "val/similarity/nmi_to_previous" in trainer.callback_metrics
    drawn = [{p.name for p in tmp_path.glob(f"lightning_logs/3{x}/**/channels/*.png")} for x in (True, False)]
    assert drawn == [{"20.png"}, {"6.png", "20.png"}]  # the first was drawn before the checkpoint
    assert len(Fingerprint.load(next(tmp_path.rglob("fingerprints/val/20.npz"))).mean) == 48


# Sharded parameters


def test_sharded_parameters_are_refused(make_trainer: MakeTrainer, module: Any, loader: DataLoader) -> None:
    named = {name: type(name, (SingleDeviceStrategy,), {}) for name in ("ModelParallelStrategy", "XLAFSDPStrategy")}
    deepspeed = {
        stage: type("DeepSpeedStrategy", (SingleDeviceStrategy,), {"zero_stage_3": stage == 3}) for stage in (2, 3)
    }
    for strategy in (*named.values(), deepspeed[3]):
        trainer = make_trainer(scripted(score), strategy=strategy("cpu"))
        with pytest.raises(MisconfigurationException, match=rf"{strategy.__name__} splits the parameters"):
            trainer.fit(module, loader, loader)
    make_trainer(scripted(score), strategy=deepspeed[2]("cpu")).validate(module, loader, verbose=False)
    stub = type("Stub", (), {"strategy": FSDPStrategy()})()
    with pytest.raises(ValueError, match="FSDPStrategy splits the parameters"):
        check_strategy(stub)


def _evaluate_sharded(rank: int) -> str:
    from torch.distributed._composable.fsdp import fully_shard

    from tests.faults.conftest import Splitting

    model = Splitting()
    fully_shard(model.decoder, mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (2,)))
    try:
        evaluate(model, None, ["manifold"])
    except ValueError as error:
        return str(error)
    return ""


def test_fsdp_modules_are_refused(run_processes: Any) -> None:
    for message in run_processes(2, _evaluate_sharded):
        assert re.search("parameters of Splitting are split between processes", message)
