"""The callback by probes, its choice of an estimator, and its budget of time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.distributed as dist
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer, logged
from torchdisentangle import ManifoldSummary
from torchdisentangle import functional as F
from torchdisentangle.callbacks import EvaluationCallback, ManifoldEntropyCallback
from torchdisentangle.evaluation import Context, ManifoldEvaluation, Place, budget
from torchdisentangle.evaluation.base import Say, silent
from torchdisentangle.evaluation.budget import Plan, estimator_for, plan_in_time
from torchdisentangle.evaluation.manifold import ManifoldPass
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models import NormalizingFlowModule, real_nvp

TOTALS = {"total_entropy", "total_correlation"}
SCALARS = set(ManifoldSummary.scalar_names)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    monkeypatch.setattr(logging.getLogger("lightning.pytorch"), "propagate", True)
    caplog.set_level(logging.INFO, logger="lightning.pytorch")

    def messages() -> list[str]:
        start = "ManifoldEntropyCallback: "
        return [m.removeprefix(start) for m in caplog.messages if m.startswith(start)]

    return messages


def flow(dim: int = 6, data_std: float = 1.0) -> tuple[L.LightningModule, DataLoader]:
    torch.manual_seed(0)
    model = NormalizingFlowModule(real_nvp(dim, num_blocks=2, hidden=8))
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model, DataLoader(TensorDataset(torch.randn(20, dim)), 10)


@pytest.mark.parametrize("source", ["prior", "posterior", "posterior_mean"])
def test_values_by_probes(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, source: Any) -> None:
    """They are those of the metrics, from the probes of the samples' positions."""
    unit = torch.linspace(0.5, 2.0, 16).tolist()
    callback = ManifoldEntropyCallback(24, estimator="probes", num_probes=5, source=source, data_std=unit, seed=3)
    trainer = make_trainer(callback)
    trainer.validate(tiny_vae, loader, verbose=False)
    tiny_vae.eval()
    with torch.no_grad():
        noise = torch.randn(24, 3, generator=torch.Generator().manual_seed(3))
        mean, log_variance = tiny_vae.encode(loader.dataset.tensors[0][:24])  # type: ignore[attr-defined]
        posterior = mean if source == "posterior_mean" else mean + (0.5 * log_variance).exp() * noise
        z = noise if source == "prior" else posterior
        projection = F.probed_jacobian(tiny_vae.decode, z, num_probes=5, seed=3, data_std=torch.tensor(unit))
    metric = ManifoldSummary(estimator="probes", num_probes=5)
    metric.update(projection)
    expected, values = metric.compute(), logged(trainer, "manifold")
    assert values.keys() == SCALARS
    for name in SCALARS:
        assert values[name] == pytest.approx(float(expected[name]), rel=1e-5, abs=1e-6)  # float32 models and logs


def test_a_flow_needs_few_probes(make_trainer: MakeTrainer) -> None:
    """Its own log-determinant makes the total entropy exact and the rest unbiased, also in the data's unit."""
    model, data = flow()
    exact = ManifoldEntropyCallback(400, estimator="exact", prefix="exact", data_std=2.0)
    probes = ManifoldEntropyCallback(
        400, estimator="probes", num_probes=4, prefix="probes", data_std=2.0, standard_errors=True
    )
    trainer = make_trainer(exact, probes)
    trainer.validate(model, data, verbose=False)
    truth, values = logged(trainer, "manifold", "exact"), logged(trainer, "manifold", "probes")
    assert values["total_entropy"] == pytest.approx(truth["total_entropy"], rel=1e-6)
    for name in ("total_correlation", "mpmi_mean"):
        assert abs(values[name] - truth[name]) < 5 * values[f"{name}_standard_error"]


def test_what_probes_do_not_know_is_left_out(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    logger = CSVLogger(tmp_path, version="run")
    callback = ManifoldEntropyCallback(8, estimator="probes", num_probes=2, partition=[[0, 1], [2]])
    trainer = make_trainer(callback, logger=logger, max_epochs=1)
    with pytest.warns(UserWarning, match="volume of all 3 latents needs at least as many probes"):
        trainer.fit(tiny_vae, loader, loader)
    assert logged(trainer, "manifold").keys() == SCALARS - TOTALS
    figures = {path.parent.name for path in (Path(logger.log_dir) / "figures").rglob("*.png")}
    assert figures == {"spectrum", "pairwise"}


def test_the_choice_is_said_once(make_trainer: MakeTrainer, said: Callable[[], list[str]]) -> None:
    model, data = flow(32)
    trainer = make_trainer(ManifoldEntropyCallback(8, num_probes=4), max_epochs=2)
    trainer.fit(model, data, data)
    assert said() == ["estimator='probes' for 32 latents and 32 data dimensions"]
    assert logged(trainer, "manifold").keys() >= SCALARS
    shapes = [(31, 32), (32, 32), (100, 3)]
    assert [estimator_for(*shape, 4) for shape in shapes] == ["exact", "probes", "exact"]


def test_auto_loses_no_scalar(make_trainer: MakeTrainer, tiny_vae: Any, said: Callable[[], list[str]]) -> None:
    """Not for an autoencoder, whose volume probes do not know, nor with parts that are larger than their number."""
    vae = type(tiny_vae)(latent_dim=32, data_shape=(1, 8, 8))
    images = DataLoader(TensorDataset(torch.randn(10, 1, 8, 8)), 10)
    trainer = make_trainer(ManifoldEntropyCallback(4, num_probes=4, max_seconds=60))
    trainer.validate(vae, images, verbose=False)
    assert logged(trainer, "manifold")["num_probes"] == 0
    model, data = flow(32)
    trainer = make_trainer(
        ManifoldEntropyCallback(4, num_probes=4, max_seconds=60, partition=[list(range(16)), list(range(16, 32))])
    )
    trainer.validate(model, data, verbose=False)
    assert logged(trainer, "manifold")["num_probes"] == 0
    assert {"partition_total_correlation"} | SCALARS <= logged(trainer, "manifold").keys()
    assert said() == ["max_seconds=60 allows 4 of 4 samples with estimator='exact'"] * 2


class Clock:
    """Time that passes only while samples are evaluated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **milliseconds: float) -> None:
        self.now, self.milliseconds = 0.0, milliseconds
        monkeypatch.setattr(budget.time, "perf_counter", lambda: self.now)

    def evaluate(self, plan: Plan) -> None:
        self.now += 1e-3 * (1 + self.milliseconds[plan.estimator] * plan.num_samples)  # and a millisecond to begin


@pytest.mark.parametrize(
    ("max_seconds", "estimators", "expected"),
    [
        (20.0, ["exact", "probes"], Plan("exact", 1000)),  # all fit in three quarters of the budget
        (5.0, ["exact", "probes"], Plan("probes", 1000)),
        (0.5, ["exact", "probes"], Plan("probes", 256)),
        (0.5, ["exact"], Plan("exact", 32)),
        (0.001, ["exact"], Plan("exact", 2)),
        (1.0, ["probes"], Plan("probes", 512)),
    ],
)
def test_plans(monkeypatch: pytest.MonkeyPatch, max_seconds: float, estimators: Any, expected: Plan) -> None:
    clock = Clock(monkeypatch, exact=10.0, probes=1.0)
    plan = plan_in_time(Place(), clock.evaluate, estimators, 1000, max_seconds)
    assert plan == expected
    planning, clock.now = clock.now, 0.0
    clock.evaluate(plan)
    if plan.num_samples > 2:
        assert planning <= 0.1 * max_seconds * len(estimators) + 0.045  # the smallest trials take 21 and 3 milliseconds
        assert clock.now <= 0.76 * max_seconds
    if plan.num_samples < 1000:
        assert clock.now > 0.3 * max_seconds  # and makes use of it, to a power of two


def test_a_budget_is_kept_and_logged(make_trainer: MakeTrainer, said: Callable[[], list[str]]) -> None:
    """The first evaluation of a fit decides, for all that follow; no time at all leaves two samples."""
    model, data = flow()
    tight, loose = (ManifoldEntropyCallback(64, max_seconds=s, prefix=f"{s:g}", num_probes=4) for s in (1e-9, 1e3))
    trainer = make_trainer(tight, loose, max_epochs=2)
    trainer.fit(model, data, data)
    trainer.test(model, data, verbose=False)
    assert logged(trainer, "manifold", "1e-09")["num_samples"] == 2
    assert (logged(trainer, "manifold", "1000")["num_samples"], logged(trainer, "manifold", "1000")["num_probes"]) == (
        64,
        0,
    )
    assert len([message for message in said() if "allows" in message]) == 2
    assert tight.report is not None
    assert tight.report.num_rows == 2  # in the test, too


def test_posterior_within_a_budget(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    callback = ManifoldEntropyCallback(30, max_seconds=1e-9, source="posterior", estimator="probes", num_probes=4)
    trainer = make_trainer(callback)
    trainer.validate(tiny_vae, loader, verbose=False)
    assert logged(trainer, "manifold")["num_samples"] == 2
    assert callback.report is not None
    assert callback.report.num_rows == 2


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_have_the_probes_of_one(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, processes: int
) -> None:
    def callbacks() -> list[L.Callback]:
        probes: dict[str, Any] = {"estimator": "probes", "num_probes": 4, "standard_errors": True}
        sources = ("prior", "posterior")
        return [ManifoldEntropyCallback(31, source=s, prefix=s, max_seconds=1e3, **probes) for s in sources]  # type: ignore[arg-type]

    one = make_trainer(*callbacks())
    several = make_trainer(*callbacks(), strategy="ddp_fork", devices=processes)
    for trainer in (one, several):
        trainer.validate(tiny_vae, loader, verbose=False)
    for source in ("prior", "posterior"):
        expected, found = logged(one, "manifold", source), logged(several, "manifold", source)
        assert len(expected) == len(ManifoldSummary.scalar_names) + len(ManifoldSummary.mean_names) + 2
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)  # float32 decoders on other batch sizes


class UnevenEvaluation(ManifoldEvaluation):
    """The second process is slow, or fails, while all processes settle."""

    fails = False
    settling = False

    def settle(self, model: LatentModel, place: Place, say: Say = silent) -> ManifoldEvaluation:
        type(self).settling = True
        try:
            return super().settle(model, place, say)
        finally:
            type(self).settling = False

    def begin(self, model: LatentModel, place: Place, context: Context) -> ManifoldPass:
        if dist.get_rank() == 1 and self.settling:
            if self.fails:
                raise RuntimeError("out of memory")
            budget.time.sleep(0.2)
        return super().begin(model, place, context)


class FailingEvaluation(UnevenEvaluation):
    """The second process fails."""

    fails = True


def test_the_slowest_process_decides(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    trainer = make_trainer(EvaluationCallback(UnevenEvaluation(64, max_seconds=2.0)), strategy="ddp_fork", devices=2)
    trainer.validate(tiny_vae, loader, verbose=False)
    assert logged(trainer, "manifold")["num_samples"] <= 32  # by itself the first process would take all 64


def test_a_failing_process_stops_the_planning_of_all(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader
) -> None:
    """No process waits for it, the training goes on, and there is no value."""
    trainer = make_trainer(EvaluationCallback(FailingEvaluation(64, max_seconds=60)), strategy="ddp_fork", devices=2)
    trainer.fit(tiny_vae, loader, loader)
    assert logged(trainer, "manifold") == {}
    assert trainer.callback_metrics["val/loss"].isfinite()


@pytest.mark.parametrize("settings", [{"estimator": "guess"}, {"num_probes": 1}, {"max_seconds": 0}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(L.pytorch.utilities.exceptions.MisconfigurationException, match=next(iter(settings))):
        ManifoldEntropyCallback(**settings)
