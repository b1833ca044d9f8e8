"""Data modules: disjoint parts, the same ones on every process, with or without dependent factors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tests.helpers import MakeTrainer
from torchdisentangle.datasets import Sprites
from torchdisentangle.models import BetaVAE, DigitsDataModule, FactorDataModule, TwoMoonsDataModule


def rows(loader: DataLoader, dataset: Sprites) -> Tensor:
    """Indices of the loader's rows."""
    return torch.cat([dataset.factors_to_index(factors) for _, factors in loader])


def test_parts_are_disjoint_and_together_everything(dataset: Sprites) -> None:
    data = FactorDataModule(dataset, train=128, validation=40, test=24, batch_size=32)
    parts = [rows(loader(), dataset) for loader in (data.train_dataloader, data.val_dataloader, data.test_dataloader)]
    assert [len(part) for part in parts] == [128, 40, 24]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(192))
    images, factors = next(iter(data.val_dataloader()))
    assert torch.equal(images, dataset.render(factors))


def test_fractions(dataset: Sprites) -> None:
    data = FactorDataModule(dataset, train=0.5, validation=0.25, test=0, batch_size=40)
    assert [len(data.part("train")), len(data.part("validation"))] == [96, 48]
    assert len(rows(data.train_dataloader(), dataset)) == 80  # full batches
    assert len(rows(data.val_dataloader(), dataset)) == 48  # all rows
    with pytest.raises(ValueError, match="has no test data: it was made with train, validation"):
        data.test_dataloader()


def test_the_seed_decides_the_split(dataset: Sprites) -> None:
    first, again, other = (
        rows(FactorDataModule(dataset, batch_size=50, seed=seed).val_dataloader(), dataset) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dependent_factors_in_training_only(dataset: Sprites) -> None:
    data = FactorDataModule(
        dataset, train=5000, validation=0.25, test=0, batch_size=5000, correlated=[("y", "x", "correlated", 0.3)]
    )
    (_, train), (_, validation) = (next(iter(loader())) for loader in (data.train_dataloader, data.val_dataloader))
    assert not set(dataset.factors_to_index(train).tolist()) & set(dataset.factors_to_index(validation).tolist())
    # Among four even values a deviation of 0.3 leaves a correlation of 0.9; the split's gaps change it by little.
    assert torch.corrcoef(train[:, 3:].T.float())[0, 1] > 0.8
    assert abs(torch.corrcoef(validation[:, 3:].T.float())[0, 1]) < 0.5  # 48 rows: three standard errors
    # What is left of the training images is drawn with their probabilities.
    assert data.distribution is not None
    index = dataset.factors_to_index(train)
    counts = torch.bincount(index, minlength=192).double()
    weights = data.distribution.probability(dataset.index_to_factors(torch.arange(192)))
    weights[dataset.factors_to_index(validation)] = 0
    expected = 5000 * weights / weights.sum()
    assert ((counts - expected).abs() <= 5 * expected.sqrt() + 1).all()  # five standard deviations of each count


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 190}, "190 training, 19 validation and 19 test data cannot be taken from 192"),
        ({"validation": 0}, "0 validation"),
        ({"test": -1}, "-1 test"),
        ({"batch_size": 0}, "batch_size must be positive"),
        ({"correlated": [("x", "z", "correlated", 0.4)]}, "no factor 'z'"),
        ({"correlated": [("x", "y", "skewed", 0.4)]}, "kind"),
    ],
)
def test_wrong_settings_are_refused(dataset: Sprites, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FactorDataModule(dataset, **settings)


@pytest.mark.parametrize("build", [DigitsDataModule, TwoMoonsDataModule])
def test_digits_and_moons_are_split_once(build: Callable[..., Any]) -> None:
    data, again = build(batch_size=50), build(batch_size=50)
    train, validation = (
        torch.cat([batch[0].flatten(1) for batch in loader])
        for loader in (data.train_dataloader(), data.val_dataloader())
    )
    assert len(train) % 50 == 0
    assert len(validation) == len(again.part("validation"))
    assert not set(map(tuple, train.tolist())) & set(map(tuple, validation.tolist()))
    assert torch.equal(validation, torch.cat([batch[0].flatten(1) for batch in again.val_dataloader()]))


class Watcher(L.Callback):
    """Writes down which rows each process saw."""

    def __init__(self, folder: Path, dataset: Sprites) -> None:
        self.folder, self.dataset = folder, dataset
        self.seen: dict[str, list[Tensor]] = {"train": [], "val": []}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen["train"].append(self.dataset.factors_to_index(batch[1]))

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: int) -> None:
        self.seen["val"].append(self.dataset.factors_to_index(batch[1]))

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        torch.save({k: torch.cat(v) for k, v in self.seen.items()}, self.folder / f"{trainer.global_rank}.pt")


def test_two_processes_share_the_parts(make_trainer: MakeTrainer, dataset: Sprites, tmp_path: Path) -> None:
    data = FactorDataModule(dataset, train=128, validation=41, test=0, batch_size=16)
    settings = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 1, "num_sanity_val_steps": 0}
    trainer = make_trainer(Watcher(tmp_path, dataset), **settings)
    trainer.fit(BetaVAE((1, 16, 16), latent_dim=2, hidden=[8]), data)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    train, validation = (torch.cat([first[name], second[name]]) for name in ("train", "val"))
    assert len(first["train"]) == len(second["train"]) == 64
    assert sorted(train.tolist()) == sorted(data.part("train").indices)
    assert set(validation.tolist()) == set(data.part("validation").indices)
    assert len(validation) == 42  # the sampler repeats one row
