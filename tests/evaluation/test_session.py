"""Evaluations without a trainer: rows are encoded once, errors stay apart, and several processes are one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from torchdisentangle import evaluate
from torchdisentangle.evaluation import (
    EVALUATIONS,
    Context,
    DisentanglementEvaluation,
    ELBOEvaluation,
    Evaluation,
    InformativenessEvaluation,
    ManifoldEvaluation,
    Pass,
    Place,
    Report,
    Rows,
    Session,
    SimilarityEvaluation,
    TraversalEvaluation,
)
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.models.adapters import as_latent_model

FACTORS = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(4, 1)
DATA = torch.cat([FACTORS.float(), FACTORS.float().sum(1, keepdim=True)], dim=1)
DATA = DATA + 0.1 * torch.randn(DATA.shape, generator=torch.Generator().manual_seed(0))


class CountingVAE(nn.Module):
    """Counts the rows that it encodes."""

    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(3, 4), nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
        self.encoded: list[Tensor] = []

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        self.encoded.append(x.detach().clone())
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


def loader(num_rows: int = 48, **settings: Any) -> DataLoader:
    return DataLoader(TensorDataset(DATA[:num_rows], FACTORS[:num_rows]), 7, **settings)


def every_evaluation() -> list[Evaluation]:
    return [
        ManifoldEvaluation(20, source="posterior"),
        ELBOEvaluation(num_queries=20),
        DisentanglementEvaluation(["mig", "sap"], factors=1),
        InformativenessEvaluation(num_queries=20),
        SimilarityEvaluation(num_points=10),
        TraversalEvaluation(num_steps=3),
    ]


def test_each_row_is_encoded_once() -> None:
    model = CountingVAE()
    report = evaluate(model, loader(), every_evaluation())
    assert torch.equal(torch.cat(model.encoded), DATA)
    assert {name.partition("/")[0] for name in report} == {one.family for one in every_evaluation()} - {"latents"}
    assert "latents/traversals" in report.figures


def test_only_wanted_rows_are_encoded() -> None:
    model = CountingVAE()
    evaluate(model, loader(), [ManifoldEvaluation(9, source="posterior"), TraversalEvaluation()])
    assert torch.equal(torch.cat(model.encoded), DATA[:9])
    model.encoded.clear()
    evaluate(model, None, [ManifoldEvaluation(9)])
    assert model.encoded == []


def test_the_model_is_left_as_it_was() -> None:
    model = CountingVAE().train()
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    evaluate(model, loader(), every_evaluation())
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_names_and_objects() -> None:
    by_name = evaluate(CountingVAE(), loader(), ["elbo"])
    assert by_name.to_dict() == evaluate(CountingVAE(), loader(), [ELBOEvaluation()]).to_dict()
    assert all(isinstance(value, float) for value in by_name.to_dict().values())
    assert by_name.num_rows == 48
    assert set(EVALUATIONS) == {
        "manifold",
        "elbo",
        "disentanglement",
        "informativeness",
        "similarity",
        "topology",
        "latents",
    }
    with pytest.raises(ValueError, match="no evaluation 'elbow'"):
        evaluate(CountingVAE(), loader(), ["elbow"])
    with pytest.raises(ValueError, match="once at a time"):
        evaluate(CountingVAE(), loader(), ["elbo", ELBOEvaluation(num_queries=5)])
    with pytest.raises(TypeError, match="need data"):
        evaluate(CountingVAE(), None, ["elbo"])


class Broken(Evaluation):
    """Fails at a given point."""

    family = "broken"
    abilities = ()

    def __init__(self, where: str) -> None:
        self.where = where

    def begin(self, model: LatentModel, place: Place, context: Context) -> BrokenPass:
        return BrokenPass(self.where)


class BrokenPass(Pass):
    def __init__(self, where: str) -> None:
        self.where, self.added = where, 0

    def start(self) -> None:
        if self.where == "start":
            raise RuntimeError("broken start")

    def add(self, rows: Rows) -> None:
        self.added += len(rows)
        if self.where == "add":
            raise RuntimeError("broken add")

    def finish(self) -> Report:
        return Report({"added": float(self.added)})


@pytest.mark.parametrize("where", ["start", "add"])
def test_a_broken_pass_does_not_take_the_others(where: str) -> None:
    model = as_latent_model(CountingVAE())
    broken, fine = BrokenPass(where), BrokenPass("nowhere")
    session = Session(model, Place(), loader(), [broken, fine])
    for batch in loader():
        session.feed(batch)
    assert str(session.errors[broken]) == f"broken {where}"
    assert broken.added == (0 if where == "start" else 7)
    assert fine.finish()["added"] == 48
    with pytest.raises(RuntimeError, match=f"broken {where}"):
        evaluate(CountingVAE(), loader(), [Broken(where)])


def _evaluate(rank: int, world_size: int, num_rows: int, distributed: bool) -> dict[str, float]:
    data = loader(num_rows)
    if distributed:
        data = loader(num_rows, sampler=DistributedSampler(data.dataset, world_size, rank, shuffle=False))
    return evaluate(CountingVAE(), data, every_evaluation()).to_dict()


@pytest.mark.parametrize("distributed", [True, False])
@pytest.mark.parametrize(("world_size", "num_rows"), [(2, 47), (3, 40), (3, 13)])  # padded; and a process without rows
@pytest.mark.filterwarnings("ignore:.*the fingerprint has")
def test_processes_give_the_report_of_one(
    run_processes: Any, world_size: int, num_rows: int, distributed: bool
) -> None:
    expected = evaluate(CountingVAE(), loader(num_rows), every_evaluation()).to_dict()
    for found in run_processes(world_size, _evaluate, world_size, num_rows, distributed):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)  # float32 models on other batch sizes


def _fails_on_one(rank: int) -> str:
    try:
        evaluate(CountingVAE(), loader(), [Broken("add" if rank else "nowhere")])
    except RuntimeError as error:
        return str(error)
    return ""


def test_a_failure_on_one_process_is_one_on_all(run_processes: Any) -> None:
    assert run_processes(2, _fails_on_one) == ["the evaluation failed on another process", "broken add"]


def test_batches_of_all_shapes() -> None:
    expected = evaluate(CountingVAE(), loader(), ["elbo"]).to_dict()

    class Named(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            x, y = super().__getitem__(index)
            return {"image": x, "y": y}

    named: Sequence[Any] = [
        (DataLoader(Named(DATA, FACTORS), 7), {"input_key": "image"}),
        (DataLoader(TensorDataset(FACTORS, DATA), 7), {"input_key": 1}),
        (DataLoader(DATA, 7), {}),  # type: ignore[arg-type]
    ]
    for data, settings in named:
        assert evaluate(CountingVAE(), data, ["elbo"], **settings).to_dict() == expected
    with pytest.raises(TypeError, match="no tensor at 'x'"):
        evaluate(CountingVAE(), named[0][0], ["elbo"], input_key="x")
