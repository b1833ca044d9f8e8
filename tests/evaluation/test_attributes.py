"""Attributes along latents of a model: closed forms, priors and classes, processes, and a trainer."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import RunProcesses
from torchdisentangle import evaluate
from torchdisentangle.callbacks import EvaluationCallback
from torchdisentangle.evaluation import AttributeEvaluation
from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.prior import Prior


class Curved(LatentModel):
    """Decodes two latents to the second's negative, the first's square, and their product."""

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.stack([-z[:, 1], z[:, 0].square(), z[:, 0] * z[:, 1]], dim=1)


class Coded(Curved):
    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        return Posterior(x[:, :2])


def all_three(data: Tensor) -> Tensor:
    return data


def curved(kind: type[LatentModel] = Curved) -> LatentModel:
    return kind(nn.Identity(), latent_dim=2)


def test_attributes_of_a_known_decoder() -> None:
    report = evaluate(curved(), None, [AttributeEvaluation(all_three, ["fall", "parabola", "product"], num_samples=50)])
    assert report["attributes/monotonicity_fall"] == -1
    assert report["attributes/smoothness_fall"] == 1
    assert report["attributes/range_fall"] == pytest.approx(4, abs=1e-6)  # two standard deviations to both sides
    assert report["attributes/monotonicity_parabola"] == 0
    assert report["attributes/smoothness_parabola"] == pytest.approx(1 - 1 / 9, abs=1e-5)  # float32 models
    assert report["attributes/smoothness"] == pytest.approx((1 + 8 / 9 + 1) / 3, abs=1e-5)
    matrices = report.matrices
    assert matrices["attributes/latents"].tolist()[:2] == [1, 0]
    assert matrices["attributes/monotonicity"].shape == (2, 3)
    assert matrices["attributes/monotonicity"][0, 0].isnan()  # the first latent leaves the first attribute alone
    assert matrices["attributes/range"][0, 0] == 0
    assert report.num_rows == 50
    assert len(report.figures) == 3
    for draw in report.figures.values():
        draw()


def test_latents_may_be_named() -> None:
    evaluation = AttributeEvaluation(all_three, latents=[0, 0, 0], num_samples=20)
    report = evaluate(curved(), None, [evaluation])
    assert report["attributes/range_0"] == 0
    assert report["attributes/smoothness_2"] == 1
    assert report["attributes/range_1"] == pytest.approx(4, abs=1e-6)


def test_paths_lead_through_the_codes_of_the_data() -> None:
    data = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    evaluation = AttributeEvaluation(all_three, num_samples=30, source="posterior_mean")
    report = evaluate(curved(Coded), DataLoader(TensorDataset(data), 7), [evaluation])
    assert report.num_rows == 30
    ranges = report.matrices["attributes/range"]
    for latent in range(2):  # of the product, which is linear in each latent, with the other as its slope
        torch.testing.assert_close(ranges[latent, 2], 4 * data[:30, 1 - latent].abs().mean().double())


def test_steps_are_in_standard_deviations_of_each_class() -> None:
    class Conditional(Curved):
        @property
        def prior(self) -> Prior:
            return Prior.gaussian(torch.tensor([[0.0, 0.0], [5.0, 5.0]]), torch.tensor([[1.0, 1.0], [3.0, 3.0]]))

    model = Conditional(nn.Identity(), 2, num_classes=2)
    evaluation = AttributeEvaluation(lambda data: data[:, 0], ["fall"], num_samples=20, span=1.0, num_steps=5)
    report = evaluate(model, None, [evaluation])
    assert report["attributes/range_fall"] == pytest.approx((2 + 6) / 2, abs=1e-5)
    z = torch.zeros(1, 2)
    paths = evaluation.paths(model, (z, torch.tensor([1]), torch.tensor([0])))  # type: ignore[arg-type]
    torch.testing.assert_close(paths[0, :, 1, 0], -(5 + 3 * torch.linspace(-1, 1, 5)))
    assert (paths[0, :, 0, 0] == 0).all()


def _on_process(rank: int, source: str) -> dict[str, float]:
    data = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    evaluation = AttributeEvaluation(all_three, num_samples=30, source=source)  # type: ignore[arg-type]
    return evaluate(curved(Coded), DataLoader(TensorDataset(data), 7), [evaluation]).to_dict()


@pytest.mark.parametrize("source", ["prior", "posterior_mean"])
def test_two_processes_are_one(run_processes: RunProcesses, source: str) -> None:
    for found in run_processes(2, _on_process, source):
        assert found == pytest.approx(_on_process(0, source), rel=1e-9)


def test_a_trainer_logs_them() -> None:
    class Module(L.LightningModule):
        def latent_model(self) -> LatentModel:
            return Coded(self, 2)

        def validation_step(self, batch: Any, batch_idx: int) -> None: ...

    callback = EvaluationCallback(AttributeEvaluation(all_three, ["a", "b", "c"], num_samples=10))
    trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.validate(Module(), DataLoader(TensorDataset(torch.randn(8, 3)), 4), verbose=False)
    assert trainer.callback_metrics["val/attributes/monotonicity_a"] == -1
    assert callback.report is not None
    assert callback.report.matrices["smoothness"].shape == (2, 3)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"num_steps": 2}, "3 steps"),
        ({"num_samples": 0}, "at least 1 sample"),
        ({"span": 0.0}, "positive span"),
        ({"source": "posterior"}, "'prior' or 'posterior_mean'"),
        ({"jerk": "mean"}, "'lehmer' or 'max'"),
        ({"latents": [2, 0, 0]}, "among the model's 2"),
        ({"latents": [0, 1]}, "there are 3 attributes"),
        ({"names": ["one"]}, "there are 3 attributes"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        evaluate(curved(), None, [AttributeEvaluation(all_three, **settings)])


@pytest.mark.parametrize(
    ("function", "error"),
    [(lambda data: data.sum(), ValueError), (lambda data: data > 0, TypeError), (lambda data: 1.0, TypeError)],
)
def test_functions_that_return_something_else(function: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="attributes= must return"):
        evaluate(curved(), None, [AttributeEvaluation(function)])


def test_a_model_that_cannot_encode_has_no_codes() -> None:
    with pytest.raises(TypeError, match="cannot encode"):
        evaluate(curved(), None, [AttributeEvaluation(all_three, source="posterior_mean")])
