"""Several data loaders, read one after the other or together: each row of the chosen one counts once, or is refused."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from tests.helpers import MakeTrainer
from torchdisentangle import evaluate
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    RepresentationSimilarityCallback,
)
from torchdisentangle.evaluation import DisentanglementEvaluation, ELBOEvaluation

MODES = ["sequential", "max_size_cycle", "max_size", "min_size"]
WHOLE = [(mode, idx) for mode in MODES for idx in (0, 1) if (mode, idx) != ("min_size", 0)]  # read to their end


class Stream(IterableDataset):
    """Rows without a length."""

    def __init__(self, table: TensorDataset) -> None:
        self.table = table

    def __iter__(self) -> Any:
        return iter([self.table[i] for i in range(len(self.table))])


def long(table: TensorDataset) -> DataLoader:
    return DataLoader(table, 7)


def short(table: TensorDataset) -> DataLoader:
    """Of other rows, in batches that are mappings."""
    rows, factors = table.tensors
    parts = [{"x": row, "meta": {"y": factor}} for row, factor in zip(rows[5:25].flip(0), factors[5:25], strict=True)]
    return DataLoader(parts, 6)  # type: ignore[arg-type]


def nested(table: TensorDataset, form: str) -> Any:
    loaders = long(table), short(table)
    return {
        "list": list(loaders),
        "dict": dict(zip("ab", loaders, strict=True)),
        "deep": {"a": [loaders[0]], "b": {"c": loaders[1]}},
    }[form]


def callbacks(idx: int, **settings: Any) -> list[L.Callback]:
    keys = {"input_key": "x"} if idx == 1 else {"input_key": 0}
    factors: Any = "meta.y" if idx == 1 else lambda batch: batch[1]
    return [
        DisentanglementCallback(["mig", "sap"], factors=factors, figures=False, dataloader_idx=idx, **keys, **settings),
        ELBODecompositionCallback(num_queries=10, figures=False, dataloader_idx=idx, **keys, **settings),
    ]


def expected(module: Any, table: TensorDataset, idx: int) -> dict[str, float]:
    loader = short(table) if idx == 1 else long(table)
    factors: Any = "meta.y" if idx == 1 else 1
    evaluations = [DisentanglementEvaluation(["mig", "sap"], factors=factors), ELBOEvaluation(num_queries=10)]
    report = evaluate(module, loader, evaluations, input_key="x" if idx == 1 else 0)  # type: ignore[arg-type]
    return {f"val/{name}": value for name, value in report.scalars.items()}


def logged(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}


@pytest.mark.parametrize("form", ["list", "deep"])
@pytest.mark.parametrize(("mode", "idx"), WHOLE)
def test_each_row_of_the_chosen_loader_counts_once(
    make_trainer: MakeTrainer, module: Any, table: TensorDataset, mode: Any, idx: int, form: str
) -> None:
    trainer = make_trainer(*callbacks(idx), precision="64-true")
    trainer.validate(module, CombinedLoader(nested(table, form), mode), verbose=False)
    assert logged(trainer) == pytest.approx(expected(module, table, idx), rel=1e-6)  # logged in float32


@pytest.mark.parametrize("mode", MODES)
def test_several_processes(make_trainer: MakeTrainer, module: Any, table: TensorDataset, mode: Any) -> None:
    strategy = DDPStrategy(start_method="fork")
    trainer = make_trainer(*callbacks(1), precision="64-true", strategy=strategy, devices=2)
    trainer.validate(module, CombinedLoader(nested(table, "dict"), mode), verbose=False)
    assert logged(trainer) == pytest.approx(expected(module, table, 1), rel=1e-6)


def test_a_shorter_mode_reads_what_validation_reads(
    make_trainer: MakeTrainer, module: Any, table: TensorDataset
) -> None:
    trainer = make_trainer(*callbacks(0), precision="64-true")
    trainer.validate(module, CombinedLoader(nested(table, "dict"), "min_size"), verbose=False)
    few = TensorDataset(*(tensor[: 4 * 7] for tensor in table.tensors))  # the short one has four batches
    assert logged(trainer) == pytest.approx(expected(module, few, 0), rel=1e-6)


def test_an_evaluation_before_the_first_step(make_trainer: MakeTrainer, module: Any, table: TensorDataset) -> None:
    """It reads the loader by itself."""
    watching = callbacks(1, at_start=True)[1]
    trainer = make_trainer(watching, precision="64-true", max_epochs=1, limit_train_batches=1)
    trainer.fit(module, long(table), CombinedLoader(nested(table, "dict"), "max_size_cycle"))
    assert watching.num_evaluations == 2  # type: ignore[attr-defined]
    values = {f"val/elbo/{name}": value for name, value in watching.report.scalars.items()}  # type: ignore[attr-defined]
    assert values == pytest.approx({k: v for k, v in expected(module, table, 1).items() if "/elbo/" in k}, rel=1e-9)


@pytest.mark.parametrize("sanity", [0, 1])
def test_what_is_refused_before_training(
    make_trainer: MakeTrainer, module: Any, table: TensorDataset, sanity: int
) -> None:
    class Trained(L.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            raise AssertionError("a step was trained")

    stream = {"a": long(table), "b": DataLoader(Stream(table), 7)}
    for loaders, mode, message in (
        (nested(table, "dict"), "max_size_cycle", "DisentanglementCallback: dataloader_idx=2, but data loaders: 2"),
        (stream, "max_size_cycle", "Callback: in mode 'max_size_cycle' the data loader dataloader_idx=1 needs a len"),
    ):
        idx = 2 if loaders is not stream else 1
        callback = DisentanglementCallback(["mig"], dataloader_idx=idx)
        trainer = make_trainer(callback, Trained(), num_sanity_val_steps=sanity)
        with pytest.raises(MisconfigurationException, match=message):
            trainer.fit(module, long(table), CombinedLoader(loaders, mode))  # type: ignore[arg-type]


def test_a_wrong_key_is_refused_before_training(make_trainer: MakeTrainer, module: Any, table: TensorDataset) -> None:
    for settings, message in (
        ({"input_key": "b.x"}, "the batch has no tensor at 'b.x' .*set input_key"),
        ({"input_key": "x", "factors": "meta.z"}, "no tensor at 'meta.z' .*set factors"),
    ):
        trainer = make_trainer(DisentanglementCallback(["mig"], dataloader_idx=1, **settings))  # type: ignore[arg-type]
        with pytest.raises(MisconfigurationException, match=f"DisentanglementCallback: .*{message}"):
            trainer.fit(module, long(table), CombinedLoader(nested(table, "dict"), "max_size_cycle"))


def test_processes_that_would_stop_at_other_rows(make_trainer: MakeTrainer, module: Any, table: TensorDataset) -> None:
    strategy = DDPStrategy(start_method="fork")
    trainer = make_trainer(*callbacks(0), strategy=strategy, devices=2)
    with pytest.raises(Exception, match="in mode 'min_size' the data loader dataloader_idx=0 may be left before"):
        trainer.fit(module, long(table), CombinedLoader(nested(table, "dict"), "min_size"))


def test_the_loader_of_a_validation_after_a_fit(make_trainer: MakeTrainer, module: Any, table: TensorDataset) -> None:
    """A trainer knows both; shuffled rows in one of them say nothing of the other."""
    trainer = make_trainer(RepresentationSimilarityCallback(20), max_epochs=1)
    trainer.fit(module, long(table), long(table))
    with pytest.raises(MisconfigurationException, match="data are shuffled"):
        trainer.validate(module, DataLoader(table, 7, shuffle=True), verbose=False)


def test_an_evaluation_without_a_trainer_reads_one_of_them(module: Any, table: TensorDataset) -> None:
    """Without the rows that come again; the key is of that loader's batch."""
    both = CombinedLoader([long(table), DataLoader(TensorDataset(*table[:20]), 7)], "max_size_cycle")
    report = evaluate(module, both, ["elbo"], input_key=0, dataloader_idx=1)
    assert report.num_rows == 20
    with pytest.raises(ValueError, match="holds 2 data loaders: say which one to read"):
        evaluate(module, both, ["elbo"])


def test_hooks_that_change_what_a_batch_is(make_trainer: MakeTrainer, module: Any, table: TensorDataset) -> None:
    module.on_after_batch_transfer = lambda batch, dataloader_idx: torch.zeros(3)
    trainer = make_trainer(*callbacks(1), max_epochs=1, num_sanity_val_steps=0)
    module.training_step = lambda batch, batch_idx: None
    with pytest.warns(UserWarning, match="could not be evaluated"):
        trainer.fit(module, long(table), CombinedLoader(nested(table, "dict"), "max_size"))
