"""Perfect codes of factors that depend on each other: which scores hold it against them?

Sprites are drawn so that position x goes with y, and scale with orientation, from independently to nearly in step. Two
encoders see them. The codes of the first are perfect, one for each factor. Those of the second are mixed: each pair of
factors turned by 45 degrees. The finding: as the factors come to depend on each other, MIG of the perfect codes falls,
by just the share of a factor that its partner tells, although nothing is wrong with them, and in the end it prefers the
mixed ones; minimality and sufficiency stay 1 for the perfect codes, and are lower for the mixed ones.

Run ``python examples/dependent_factors/main.py``, or with ``--fast``. Nothing is trained. Logs to Weights & Biases,
offline, and to CSV and PNG files.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import torch
from common import arguments, print_made
from figure import draw_scores
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from torch import Tensor
from torch.utils.data import DataLoader
from verdicts import Interval, conclude, worst

from torchdisentangle.callbacks import DisentanglementCallback, log_figure
from torchdisentangle.datasets import (
    CorrelatedFactors,
    CorrelatedSampler,
    FactorDataset,
    Sprites,
    joint_distribution,
)
from torchdisentangle.evaluation import Report
from torchdisentangle.supervised import DCI, Minimality, Sufficiency

VALUES = 8  # of each factor
PAIRS = (("scale", "orientation"), ("x", "y"))
SCORES = {"mig": "MIG", "dci_disentanglement": "DCI", "minimality": "minimality", "sufficiency": "sufficiency"}


class LookUp(L.LightningModule):
    """Encodes an image by finding it among all images of a data set; its codes are functions of the factors.

    Args:
        dataset: with the images.
        angle: by which the standardised factors of each pair are turned, in radians.
    """

    def __init__(self, dataset: FactorDataset, angle: float) -> None:
        super().__init__()
        factors = dataset.index_to_factors(torch.arange(len(dataset)))
        varying = factors[:, factors.amax(0) > 0].float()
        standardised = (varying - varying.mean(0)) / varying.std(0)
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        self.latent_dim = varying.shape[1]
        self.register_buffer("images", dataset.render(factors))
        self.register_buffer("codes", standardised @ torch.block_diag(turn, turn))

    images: Tensor
    codes: Tensor

    def encode(self, x: Tensor) -> Tensor:
        return self.codes[torch.cdist(x.flatten(1), self.images.flatten(1)).argmin(1)]

    def decode(self, z: Tensor) -> Tensor:
        return self.images[torch.cdist(z, self.codes).argmin(1)]

    def validation_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Nothing but the callbacks happens here."""


def varying(batch: list[Tensor]) -> Tensor:
    """All factors but the shape, of which there is one."""
    return batch[1][:, 1:]


def joint(width: float) -> Tensor:
    """How two factors go together; with an infinite width not at all."""
    sizes = (VALUES, VALUES)
    return joint_distribution("correlated", sizes, width) if width < math.inf else joint_distribution("uniform", sizes)


def correlation(weights: Tensor) -> float:
    """Pearson's, between the two factors."""
    values = torch.linspace(-1, 1, VALUES, dtype=torch.float64)
    return float(values @ weights @ values / (weights.sum(1) @ values.square()))


def expected_gap(weights: Tensor) -> float:
    """MIG of perfect codes, exactly: the share of a factor that its partner does not tell."""
    first, second = weights.sum(1), weights.sum(0)
    information = torch.xlogy(weights, weights).sum() - torch.xlogy(weights, first[:, None] * second).sum()
    return float(1 + information / torch.xlogy(first, first).sum())


def measure(module: LookUp, dataset: FactorDataset, widths: list[float], rows: int, loggers: list) -> list[Report]:
    """The scores of a module at each width: one validation, with a loader and a callback for each."""
    loaders, callbacks = [], []
    for number, width in enumerate(widths):
        drawn = CorrelatedFactors(dataset, {pair: joint(width) for pair in PAIRS})
        sampler = CorrelatedSampler(drawn, rows, torch.Generator().manual_seed(number))
        loaders.append(DataLoader(dataset, batch_size=500, sampler=sampler))
        metrics = ["mig", DCI(num_trees=10, max_rows=2000), Minimality(num_bins=VALUES), Sufficiency(num_bins=VALUES)]
        callbacks.append(
            DisentanglementCallback(
                metrics,
                factors=varying,
                factor_names=list(dataset.factor_names[1:]),
                intervals=True,
                prefix=f"width {width}",
                dataloader_idx=number,
                figures=number % 3 == 0,
            )
        )
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=callbacks,
        logger=loggers,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.validate(module, loaders, verbose=False)
    return [callback.report for callback in callbacks]


def table(correlations: list[float], exact: list[float], scores: dict[str, list[Report]]) -> str:
    """Scores by correlation, in Markdown."""
    heads = ["correlation", *(f"{label}, {name}" for label in SCORES.values() for name in scores), "MIG, exact"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " ---: |" * len(heads)]
    for number, (strength, gap) in enumerate(zip(correlations, exact, strict=True)):
        cells = [found[number][score] for score in SCORES for found in scores.values()]
        lines.append(
            "| " + " | ".join(f"{value:.2f}" for value in (strength, *cells, gap)).replace("-0.00", "0.00") + " |"
        )
    return "\n".join(lines)


def main() -> None:
    options = arguments(__doc__, "runs/dependent_factors", fast="three strengths and fewer rows")
    folder: Path = options.folder
    start = time.time()
    widths = [math.inf, 0.4, 0.2] if options.fast else [math.inf, 1.0, 0.6, 0.4, 0.3, 0.2, 0.15]
    rows = 3000 if options.fast else 10_000
    correlations, exact = ([of(joint(width)) for width in widths] for of in (correlation, expected_gap))
    dataset = Sprites(16, antialias=True, factor_sizes=(VALUES,) * 4).sub_grid(shape=2)
    scores: dict[str, list[Report]] = {}
    places = []
    for name, angle in (("perfect", 0.0), ("mixed", math.pi / 4)):
        wandb_logger = WandbLogger(
            project="torchdisentangle-dependent-factors", name=name, save_dir=folder, offline=True
        )
        scores[name] = measure(
            LookUp(dataset, angle), dataset, widths, rows, [wandb_logger, CSVLogger(folder, name=name, version="")]
        )
        places.append(wandb_logger.experiment.dir.removesuffix("/files"))
        if name == "mixed":
            figure = draw_scores(correlations, exact, scores, SCORES)
            log_figure(L.Trainer(logger=wandb_logger, enable_progress_bar=False), "scores", figure)
            figure.savefig(folder / "scores.png", dpi=150)
        wandb_logger.experiment.finish()
    summary = table(correlations, exact, scores)
    (folder / "summary.md").write_text(summary + "\n")
    print(f"{summary}\n\nwandb runs         {places[0]}\n                   {places[1]}")
    print(f"figure             {folder / 'scores.png'}")
    print_made(start)

    perfect, mixed = scores["perfect"], scores["mixed"]
    gaps = [found["mig"] for found in perfect]
    off = max(abs(gap - truth) for gap, truth in zip(gaps, exact, strict=True))
    preferred = interval(perfect[-1] - mixed[-1], "mig")
    whole = min(min(found["minimality"], found["sufficiency"]) for found in perfect)
    seen = [interval(found, score) for found in mixed for score in ("minimality", "sufficiency")]
    conclude(
        {
            f"MIG of perfect codes falls at every step, from {gaps[0]:.2f} to {gaps[-1]:.2f}": gaps
            == sorted(gaps, reverse=True),
            f"by what the partner tells, to within {off:.3f}, less than 0.03": off < 0.03,
            f"until it prefers the mixed codes: that of perfect codes less that of mixed ones is {preferred}": (
                preferred.below(0)
            ),
            f"minimality and sufficiency of perfect codes stay 1 (lowest {whole:.3f})": whole > 0.999,
            f"and are below 0.9 for mixed codes (highest {max(seen)})": worst(one.below(0.9) for one in seen),
        }
    )


def interval(report: Report, score: str) -> Interval:
    """A score, or the difference of two, with the jackknife's interval over rows."""
    return Interval(report[score], *report.intervals[score])


if __name__ == "__main__":
    main()
