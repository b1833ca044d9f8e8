"""Latent traversals: one latent moves, the others stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import LatentTraversalCallback
from torchdisentangle.models import LatentModel, Posterior, Prior, as_latent_model
from torchdisentangle.plots import plot_traversals

UNIFORM = torch.tensor([False, True])


def shown(callback: LatentTraversalCallback) -> tuple[Tensor, Tensor, list[int]]:
    assert callback.report is not None
    matrices = callback.report.matrices
    return matrices["traversals"], matrices["steps"], matrices["latents"].tolist()


def test_one_latent_moves_and_the_others_stay(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader) -> None:
    callback = LatentTraversalCallback(num_steps=5, span=1.5)
    make_trainer(callback).validate(tiny_vae, loader, verbose=False)
    data, values, latents = shown(callback)
    assert values.tolist() == [-1.5, -0.75, 0.0, 0.75, 1.5]
    model = as_latent_model(tiny_vae.eval())
    first = next(iter(loader))[0][:1]
    with torch.no_grad():
        start = model.encode(first).mean
        for row, latent in zip(data, latents, strict=True):
            for picture, value in zip(row, values, strict=True):
                z = start.clone()
                z[0, latent] = value
                torch.testing.assert_close(picture, model.decode(z)[0], rtol=1e-5, atol=1e-6)  # another batch size
    movement = data.flatten(2).std(1).square().sum(1)
    assert movement.tolist() == sorted(movement.tolist(), reverse=True)


def test_steps_are_standard_deviations_of_the_datums_own_prior(make_trainer: MakeTrainer) -> None:
    prior = Prior(torch.tensor([[0.0, 0.0], [5.0, 7.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), UNIFORM)

    class Identity(LatentModel):
        def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
            return Posterior(x)

        def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
            return z

        @property
        def prior(self) -> Prior:
            return prior

    class Module(L.LightningModule):
        def latent_model(self) -> LatentModel:
            return Identity(self, 2, num_classes=2)

        def validation_step(self, batch: Any, batch_idx: int) -> None: ...

    callback = LatentTraversalCallback(num_steps=3, span=2.0)
    batch = TensorDataset(torch.zeros(4, 2), torch.ones(4, dtype=torch.int64))
    make_trainer(callback).validate(Module(), DataLoader(batch, 4), verbose=False)
    data, _, latents = shown(callback)
    moved = {latent: data[row, :, latent] for row, latent in enumerate(latents)}
    torch.testing.assert_close(moved[0], 5 + 2 * 3 * torch.tensor([-1.0, 0.0, 1.0]))
    torch.testing.assert_close(moved[1], 7 + 2 * 4 / 12**0.5 * torch.tensor([-1.0, 0.0, 1.0]))


def test_a_generator_starts_at_the_centre(make_trainer: MakeTrainer, loader: DataLoader) -> None:
    class Gan(L.LightningModule):
        latent_dim = 2

        def __init__(self) -> None:
            super().__init__()
            self.generator = nn.Linear(2, 6)

        def validation_step(self, batch: Any, batch_idx: int) -> None: ...

    gan = Gan()
    callback = LatentTraversalCallback(num_steps=3, num_latents=1)
    make_trainer(callback).validate(gan, loader, verbose=False)
    data, _, latents = shown(callback)
    assert data.shape == (1, 3, 6)
    assert latents == [int(gan.generator.weight.norm(dim=0).argmax())]
    torch.testing.assert_close(data[0, 1], gan.generator.bias.detach())


def test_figures_of_images_and_of_curves(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    logger = CSVLogger(tmp_path, version="run")
    make_trainer(LatentTraversalCallback(), logger=logger, max_epochs=2).fit(tiny_vae, loader, loader)
    pictures = list((Path(logger.log_dir) / "figures" / "val" / "latents" / "traversals").glob("*.png"))
    assert len(pictures) == 2
    _, ax = plot_traversals(3 * torch.randn(2, 4, 3, 5, 5), [0, 1, 2, 3], labels=["a", "b"])
    assert ax.images[0].get_array().shape == (10, 20, 3)
    assert 0 <= ax.images[0].get_array().min() <= ax.images[0].get_array().max() <= 1
    figure, ax = plot_traversals(torch.rand(1, 1, 1, 8, 8), [0.5])
    figure.canvas.draw()
    assert min(ax.get_window_extent().size) > 50  # pixels: a single image has room beside its labels
    _, grid = plot_traversals(torch.randn(6, 4, 7), [0, 1, 2, 3])
    assert sum(len(panel.lines) for panel in grid.flat) == 24
    with pytest.raises(ValueError, match="data must have shape"):
        plot_traversals(torch.zeros(2, 3, 4), [0, 1])


def test_bad_settings() -> None:
    for settings in ({"num_steps": 1}, {"span": 0.0}, {"num_latents": 0}):
        with pytest.raises(MisconfigurationException, match="at least 2 steps"):
            LatentTraversalCallback(**settings)  # type: ignore[arg-type]
