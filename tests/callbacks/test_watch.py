"""All callbacks of a trainer together: each row is encoded once, and an error stays with its callback."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from tests.helpers import MakeTrainer
from torchdisentangle import evaluate
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    EvaluationCallback,
    InformativenessCallback,
    LatentTraversalCallback,
    ManifoldEntropyCallback,
    ManifoldTopologyCallback,
    RepresentationSimilarityCallback,
)
from torchdisentangle.evaluation import ELBOEvaluation


def all_callbacks() -> list[EvaluationCallback]:
    """One of each kind, of which the topology needs no rows."""
    topology = ManifoldTopologyCallback(
        num_samples=30, num_values=2, num_draws=1, num_landmarks=8, max_holes=4, gamma=1 / 8, every_n_epochs=1
    )
    return [
        ManifoldEntropyCallback(20, source="posterior"),
        ELBODecompositionCallback(num_queries=20),
        DisentanglementCallback(["mig", "sap"]),
        InformativenessCallback(num_queries=20),
        RepresentationSimilarityCallback(num_points=10),
        LatentTraversalCallback(num_steps=3),
        topology,
    ]


def watched(model: Any) -> list[Tensor]:
    """The data that the callbacks encode, without what the model's own step encodes."""
    encoded: list[Tensor] = []
    encode, step = model.encode, model.validation_step

    def recorded(x: Tensor) -> tuple[Tensor, ...]:
        encoded.append(x.detach().clone())
        return encode(x)

    def own_step(*args: Any, **kwargs: Any) -> Any:
        model.encode = encode
        try:
            return step(*args, **kwargs)
        finally:
            model.encode = recorded

    model.encode, model.validation_step = recorded, own_step
    return encoded


def test_each_row_is_encoded_once(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    encoded = watched(tiny_vae)
    trainer = make_trainer(*all_callbacks())
    trainer.validate(tiny_vae, loader, verbose=False)
    assert torch.equal(torch.cat(encoded), loader.dataset.tensors[0])  # type: ignore[attr-defined]
    families = {key.split("/")[1] for key in trainer.callback_metrics if key.count("/") == 2}
    assert families == {"manifold", "elbo", "disentanglement", "informativeness", "similarity", "topology"}


def test_callbacks_of_two_loaders(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    """Each reads its own; those that read the same share the encoding."""
    other = DataLoader(TensorDataset(torch.ones(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64)), 4)
    encoded = watched(tiny_vae)
    callbacks = [
        ELBODecompositionCallback(num_queries=20),
        InformativenessCallback(num_queries=20),
        ELBODecompositionCallback(num_queries=20, dataloader_idx=1, prefix="second"),
    ]
    make_trainer(*callbacks).validate(tiny_vae, [loader, other], verbose=False)
    assert sum(map(len, encoded)) == len(loader.dataset) + 8  # type: ignore[arg-type]
    assert [callback.report.num_rows for callback in callbacks if callback.report] == [37, 37, 8]


class BrokenCallback(EvaluationCallback):
    """Cannot begin."""

    def __init__(self) -> None:
        super().__init__(ELBOEvaluation(), prefix="broken")

    def begin(self, trainer: L.Trainer) -> Any:
        raise RuntimeError("out of luck")


@pytest.mark.parametrize("first", [True, False])
def test_a_broken_callback_does_not_take_the_others(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, first: bool
) -> None:
    callbacks = [BrokenCallback(), ELBODecompositionCallback(num_queries=20)][:: 1 if first else -1]
    trainer = make_trainer(*callbacks)
    with pytest.warns(UserWarning, match="BrokenCallback could not be evaluated: out of luck"):
        trainer.validate(tiny_vae, loader, verbose=False)
    assert "val/elbo/kl" in trainer.callback_metrics
    assert not any(key.startswith("broken/") for key in trainer.callback_metrics)


@pytest.mark.parametrize("bar", [False, True])
def test_tqdm_is_left_alone_without_a_bar(
    bar: bool,
    make_trainer: MakeTrainer,
    tiny_vae: Any,
    loader: DataLoader,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked, lock = [], tqdm.get_lock
    monkeypatch.setattr(tqdm, "get_lock", staticmethod(lambda: asked.append(True) or lock()))
    trainer = make_trainer(*all_callbacks(), enable_progress_bar=bar)
    trainer.validate(tiny_vae, loader, verbose=False)
    evaluate(tiny_vae, loader, [ELBOEvaluation(num_queries=20)], progress=bar)
    assert bool(asked) == bar
    assert ("evaluating manifold, elbo" in capsys.readouterr().err) == bar


def test_repr_shows_settings() -> None:
    assert repr(ELBODecompositionCallback(num_queries=20, prefix="p")) == (
        "ELBODecompositionCallback(num_queries=20, prefix='p')"
    )
    with pytest.raises(TypeError, match=r"ELBODecompositionCallback.*num_querries"):
        ELBODecompositionCallback(num_querries=20)  # type: ignore[call-arg]
