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

from tests.evaluation.latent_page_cases import content_of
from tests.helpers import MakeTrainer
from torchdisentangle.callbacks import (
    DisentanglementCallback,
    ELBODecompositionCallback,
    LatentTraversalCallback,
    ManifoldEntropyCallback,
)
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


def test_the_page_of_a_run_holds_what_the_other_callbacks_found(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    """Whatever their order; and of a later stage alone what was found in it."""
    logger = CSVLogger(tmp_path, version="run")
    others = [ManifoldEntropyCallback(8), ELBODecompositionCallback(num_queries=8, prefix="other")]
    scores = DisentanglementCallback(["mutual_information"], factor_names=["<side>"])
    trainer = make_trainer(others[0], LatentTraversalCallback(), scores, others[1], logger=logger, max_epochs=2)
    trainer.fit(tiny_vae, loader, loader)
    html = (Path(logger.log_dir) / "pages" / "val" / "latents.html").read_text()
    content = content_of(html)
    of_latents, of_factors = content["matrices"]
    order = content["latents"]
    assert others[0].report is not None
    expected = others[0].report.matrices["pairwise"][order][:, order]
    torch.testing.assert_close(torch.tensor(of_latents["values"]), expected.float(), rtol=1e-3, atol=1e-6)
    assert of_factors["factors"] == ["<side>"]
    assert [column["label"] for column in content["columns"]] == ["manifold entropy"]  # "other" is another stage
    trainer.test(tiny_vae, loader, verbose=False)
    tested = (Path(logger.log_dir) / "pages" / "test" / "latents.html").read_text()
    assert len(content_of(tested)["matrices"]) == 2
    assert (Path(logger.log_dir) / "pages" / "val" / "latents.html").read_text() == html


def test_the_page_shows_one_step(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A matrix of an earlier evaluation is left out, and one that ends the fit is in time."""
    path = tmp_path / "page.html"
    seen = []
    callback = LatentTraversalCallback(page=str(path))
    monkeypatch.setattr(callback, "_send", lambda trainer: seen.append(content_of(path.read_text())))
    every_second = ManifoldEntropyCallback(8, every_n_epochs=2)
    write = LatentTraversalCallback._write

    def watched(self: LatentTraversalCallback, trainer: L.Trainer) -> None:
        write(self, trainer)
        seen.append(content_of(path.read_text()) if path.exists() else None)

    monkeypatch.setattr(LatentTraversalCallback, "_write", watched)
    make_trainer(callback, every_second, max_epochs=3).fit(tiny_vae, loader, loader)
    sanity, first, second, third, at_the_end, sent = seen
    assert sanity is None
    assert [len(content["matrices"]) for content in (first, second, third)] == [0, 1, 1]  # the last epoch evaluates all
    assert at_the_end == sent == third
    assert first["strips"] != second["strips"]


def test_no_page(make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path) -> None:
    make_trainer(LatentTraversalCallback()).fit(tiny_vae, loader, loader)  # no logger, no folder
    logger = CSVLogger(tmp_path, version="run")
    for settings in ({"page": False}, {"figures": False}):
        make_trainer(LatentTraversalCallback(**settings), logger=logger).fit(tiny_vae, loader, loader)  # type: ignore[arg-type]
    assert not list(tmp_path.rglob("*.html"))


def test_a_page_that_cannot_be_written_ends_no_training(
    make_trainer: MakeTrainer, tiny_vae: Any, loader: DataLoader, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    callback = LatentTraversalCallback(page=str(tmp_path / "file" / "page.html"))
    with pytest.warns(UserWarning, match="LatentTraversalCallback could not write"):
        make_trainer(callback, max_epochs=1).fit(tiny_vae, loader, loader)
    assert callback.report is not None


def test_bad_settings() -> None:
    for settings in ({"num_steps": 1}, {"span": 0.0}, {"num_latents": 0}):
        with pytest.raises(MisconfigurationException, match="at least 2 steps"):
            LatentTraversalCallback(**settings)  # type: ignore[arg-type]
