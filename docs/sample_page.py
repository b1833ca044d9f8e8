"""Writes the page of latents that the documentation shows: ``python docs/sample_page.py`` trains for some minutes."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from torch.utils.data import DataLoader

from torchdisentangle import evaluate
from torchdisentangle.datasets import Sprites
from torchdisentangle.evaluation import DisentanglementEvaluation
from torchdisentangle.models import BetaTCVAE

PAGE = Path(__file__).parent / "sample" / "latents.html"


def main() -> None:
    L.seed_everything(0)
    sprites = Sprites(image_size=32, antialias=True, factor_sizes=(3, 4, 6, 6))
    model = BetaTCVAE(data_shape=(1, 32, 32), latent_dim=6, beta=3.0, hidden=(256,))
    trainer = L.Trainer(
        max_epochs=150,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, DataLoader(sprites, batch_size=64, shuffle=True))
    scores = DisentanglementEvaluation(["mutual_information", "mig", "sap"])
    evaluations = ["latents", "manifold", "elbo", "informativeness", scores]
    report = evaluate(model, DataLoader(sprites, batch_size=128), evaluations)
    print(report.save_page(PAGE))


if __name__ == "__main__":
    main()
