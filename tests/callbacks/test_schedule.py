"""When callbacks evaluate: in epochs, at steps, at the start and at the end of a fit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from tests.callbacks.test_training_unchanged import assert_identical, train
from tests.helpers import MakeTrainer
from torchdisentangle import evaluate
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    EvaluationCallback,
    ManifoldEntropyCallback,
    ManifoldTopologyCallback,
)
from torchdisentangle.evaluation import ELBOEvaluation, Report


class Steps(ELBODecompositionCallback):
    """Remembers the steps of its evaluations, and what they found."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(num_queries=16, figures=False, **settings)
        self.reports: dict[int, Report] = {}

    def keep(self, trainer: L.Trainer, report: Report) -> None:
        self.reports[trainer.global_step] = report


@pytest.mark.parametrize(
    ("settings", "trainer", "steps"),  # four steps in an epoch
    [
        ({}, {}, [4, 8, 12]),
        ({"at_start": True}, {}, [0, 4, 8, 12]),
        ({"every_n_steps": 3}, {}, [3, 4, 6, 8, 9, 12]),
        ({"every_n_steps": 5, "every_n_epochs": 9}, {}, [5, 10, 12]),
        ({"every_n_epochs": 2}, {}, [8, 12]),
        ({"every_n_epochs": 9}, {"max_steps": 6, "max_epochs": -1}, [6]),
        ({"at_start": True}, {"check_val_every_n_epoch": 2}, [0, 8, 12]),
        ({"every_n_steps": 2, "every_n_epochs": 9}, {"accumulate_grad_batches": 2}, [2, 4, 6]),
    ],
)
def test_steps(
    make_trainer: MakeTrainer,
    tiny_vae: Any,
    loader: DataLoader,
    settings: dict[str, Any],
    trainer: dict[str, Any],
    steps: list[int],
) -> None:
    callback = Steps(**settings)
    make_trainer(callback, **{"max_epochs": 3, **trainer}).fit(tiny_vae, loader, loader)
    assert list(callback.reports) == steps
    assert callback.num_evaluations == len(steps)


def test_early_stopping_ends_with_an_evaluation(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    callback = Steps(every_n_epochs=9)
    stopping = EarlyStopping("val/loss", patience=0, min_delta=1e9)  # after the second epoch
    make_trainer(callback, stopping, max_epochs=20).fit(tiny_vae, loader, loader)
    assert list(callback.reports) == [8]


def test_values_are_those_of_the_weights(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    expected = evaluate(tiny_vae, loader, [ELBOEvaluation(num_queries=16)])
    callback = Steps(at_start=True, every_n_epochs=9)
    trainer = make_trainer(callback, max_steps=2, max_epochs=-1)
    trainer.fit(tiny_vae, loader, loader)
    assert {f"elbo/{name}": value for name, value in callback.reports[0].scalars.items()} == expected.to_dict()
    after = evaluate(tiny_vae, loader, [ELBOEvaluation(num_queries=16)])
    assert callback.reports[2]["kl"] == after["elbo/kl"]
    assert float(trainer.callback_metrics["val/elbo/kl"]) == pytest.approx(after["elbo/kl"], rel=1e-6)  # float32


def test_loggers_get_the_step(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, version="run")
    callbacks = [Steps(every_n_steps=3, every_n_epochs=9), ManifoldEntropyCallback(8, at_start=True, every_n_epochs=9)]
    make_trainer(*callbacks, logger=logger, max_epochs=2, log_every_n_steps=1).fit(tiny_vae, loader, loader)
    with (tmp_path / "lightning_logs" / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {key: [int(row["step"]) for row in rows if row[key]] for key in ("val/elbo/kl", "val/manifold/mpmi_mean")}
    assert logged == {"val/elbo/kl": [2, 5, 7], "val/manifold/mpmi_mean": [0, 7]}  # Lightning counts from 0
    assert {path.name for path in tmp_path.rglob("figures/**/*.png")} == {"0.png", "7.png"}


def test_training_is_bitwise_the_same(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    without = train(make_trainer, tiny_vae, loader.dataset)
    callbacks = [Steps(every_n_steps=3, at_start=True), ManifoldEntropyCallback(8, every_n_steps=2)]
    watched = train(make_trainer, tiny_vae, loader.dataset, *callbacks)
    assert without[0].losses == watched[0].losses
    assert_identical(dict(watched[0].state_dict()), dict(without[0].state_dict()))
    assert torch.equal(watched[2], without[2])


def test_two_processes(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    """The start has the weights of one process; later, gradients are of other batches."""
    expected = evaluate(tiny_vae, loader, [ELBOEvaluation(num_queries=16)])
    logger = CSVLogger(tmp_path, version="two")
    callback = Steps(at_start=True, every_n_steps=1)
    make_trainer(callback, logger=logger, strategy="ddp_fork", devices=2, max_epochs=1).fit(tiny_vae, loader, loader)
    with (tmp_path / "lightning_logs" / "two" / "metrics.csv").open() as file:
        found = [float(row["val/elbo/kl"]) for row in csv.DictReader(file) if row["val/elbo/kl"]]
    assert len(found) == 3  # two batches of each process, of which the last ends the epoch
    assert found[0] == pytest.approx(expected["elbo/kl"], rel=1e-5)  # float32 encoders on other batches


def test_a_failure_between_steps_ends_no_training(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    class Broken(Steps):
        def evaluation_now(self, trainer: L.Trainer, evaluation: Any) -> Any:
            raise RuntimeError("out of luck")

    good = Steps(every_n_steps=3)
    with pytest.warns(UserWarning, match="Broken could not be evaluated: out of luck"):
        make_trainer(Broken(every_n_steps=3, prefix="other"), good, max_epochs=1).fit(tiny_vae, loader, loader)
    assert list(good.reports) == [3, 4]


def test_seconds_on_request(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    callbacks = [ManifoldEntropyCallback(8, log_seconds=True), DisentanglementCallback(["mig"])]
    trainer = make_trainer(*callbacks)
    trainer.fit(tiny_vae, loader, loader)
    assert 0 < float(trainer.callback_metrics["val/manifold/seconds"]) < 60
    assert "val/disentanglement/seconds" not in trainer.callback_metrics


@pytest.mark.parametrize("name", ["every_n_epochs", "every_n_steps"])
def test_wrong_schedules_are_refused(name: str) -> None:
    with pytest.raises(MisconfigurationException, match=f"{name} must be at least 1, got 0"):
        ELBODecompositionCallback(**{name: 0})  # type: ignore[arg-type]


def test_shared_settings_are_named_and_shown() -> None:
    with pytest.raises(TypeError, match="ManifoldEntropyCallback has no setting 'every_n_step': did you mean"):
        ManifoldEntropyCallback(every_n_step=3)  # type: ignore[call-arg]
    shown = repr(ELBODecompositionCallback(16, every_n_steps=5, prefix="x"))
    assert shown == "ELBODecompositionCallback(num_queries=16, prefix='x', every_n_steps=5)"
    assert repr(ManifoldTopologyCallback(every_n_epochs=3)) == "ManifoldTopologyCallback(every_n_epochs=3)"
    assert "evaluation=ELBOEvaluation(" in repr(EvaluationCallback(ELBOEvaluation()))
