"""A torus whose generating process is known: what does a flow recover of it?

Twenty data dimensions are made of ten angles and ten radii, whose entropies fall evenly. Two flows learn the data: one
by maximum likelihood, one by the principal-manifold objective, which is maximum likelihood plus the total correlation
of the latents' tangent vectors. The finding is that both know the distribution, but only the second finds the
process: its entropy spectrum is the true one, and each of its latents shares information with one true latent only.

Run ``python examples/torus/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG files,
and checks its finding in numbers.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[1]))

import torch
from common import CosineLearningRate, Progress, arguments, print_made, print_places, table, train
from figures import draw_curves, draw_information, draw_spectra
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle import ManifoldCrossPairwiseMutualInformation, ManifoldEntropySpectrum
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import Torus
from torchdisentangle.datasets.torus import ANGLE_SCALES, RADIUS_SCALES
from torchdisentangle.functional import decoder_jacobian, match_latents
from torchdisentangle.models import NormalizingFlowModule, as_latent_model, glow_flow

OBJECTIVES = {"maximum likelihood": 0.0, "principal manifolds": 1.0}
SHOWN = ("nll", "manifold/total_entropy", "manifold/total_correlation", "manifold/mpmi_mean")


class Recovered(NamedTuple):
    """What a flow knows of the process, its latents in the order of the true ones that they match."""

    spectrum: Tensor  # (d,), nats
    information: Tensor  # MCPMI, true latents by model latents, as Linfoot's coefficients in [0, 1]
    correlation: Tensor  # absolute Pearson correlations of the latents, alike

    @property
    def diagonal(self) -> float:
        """The mean coefficient of a true latent with its match."""
        return float(self.information.diagonal().mean())

    @property
    def elsewhere(self) -> float:
        """The mean coefficient of all other pairs."""
        size = len(self.information)
        return float((self.information.sum() - self.information.diagonal().sum()) / (size * size - size))


@torch.no_grad()
def recover(torus: Torus, model: NormalizingFlowModule, data: Tensor) -> Recovered:
    """Compare the model with the process: spectra over the priors, tangent vectors and latents at the same data."""
    latent = as_latent_model(model.eval())
    true_codes, codes = torus.encode(data), latent.encode(data).mean
    cross = ManifoldCrossPairwiseMutualInformation(normalize=True)
    cross.update(decoder_jacobian(torus.decode, true_codes), decoder_jacobian(latent.decode, codes))
    information = cross.compute()
    match = match_latents(information)
    spectrum = ManifoldEntropySpectrum()
    prior = torch.randn(len(data), torus.latent_dim, generator=torch.Generator().manual_seed(0))
    spectrum.update(decoder_jacobian(latent.decode, prior))
    both = torch.corrcoef(torch.cat([true_codes, codes[:, match]], dim=1).double().mT).abs()
    correlation = both[: torus.latent_dim, torus.latent_dim :]
    return Recovered(spectrum.compute()[match], information[:, match], correlation)


def main() -> None:
    options = arguments(__doc__, "runs/torus", fast="three circles, a smaller flow and a short training")
    folder: Path = options.folder
    start = time.time()
    every = slice(None, None, 4) if options.fast else slice(None)
    torus = Torus(ANGLE_SCALES[every], RADIUS_SCALES[every])
    size = {"num_blocks": 3, "hidden": 32} if options.fast else {"num_blocks": 6, "hidden": 64}
    epochs, steps, batch = (4, 80, 128) if options.fast else (16, 64, 256)
    data = (
        DataLoader(TensorDataset(torus.sample(steps * batch, seed=1)), batch, shuffle=True),
        DataLoader(TensorDataset(held_out := torus.sample(2048, seed=2)), 512),
    )
    values, places, curves, recovered = {}, {}, {}, {}
    for name, weight in OBJECTIVES.items():
        torch.manual_seed(0)  # the same flow, from the same start, with the same batches
        model = NormalizingFlowModule(
            glow_flow(torus.latent_dim, **size), weight, learning_rate=1e-2, jacobian_mode="reverse"
        )
        progress = Progress(name, SHOWN)
        values[name], places[name] = train(
            name.replace(" ", "-"),
            model,
            {"train_dataloaders": data[0], "val_dataloaders": data[1]},
            [ManifoldEntropyCallback(num_samples=1024, figures=8), progress, CosineLearningRate()],
            epochs=epochs,
            folder=folder,
            project="torchdisentangle-torus",
            gradient_clip_val=1.0,
        )
        curves[name], recovered[name] = progress.history, recover(torus, model, held_out)
    truth = torus.spectrum()
    summary = table(values, SHOWN)
    for what, of in (
        ("mean spectrum error", lambda found: float((found.spectrum - truth).abs().mean())),
        ("largest spectrum error", lambda found: float((found.spectrum - truth).abs().max())),
        ("information with the match", lambda found: found.diagonal),
        ("information with others", lambda found: found.elsewhere),
        ("Pearson correlation with the match", lambda found: float(found.correlation.diagonal().mean())),
    ):
        summary += f"\n| {what} | " + " | ".join(f"{of(found):.3f}" for found in recovered.values()) + " |"
    summary += f"\n\n{latent_table(truth, recovered)}"
    (folder / "summary.md").write_text(summary + "\n")
    draw_spectra(truth, {name: found.spectrum for name, found in recovered.items()}).savefig(
        folder / "spectrum.png", dpi=200
    )
    draw_information(truth, recovered).savefig(folder / "information.png", dpi=200)
    draw_curves(curves, float(truth.sum())).savefig(folder / "curves.png", dpi=200)
    print(f"\n{summary}\n\nTrue total entropy: {float(truth.sum()):.3f} nats\n")
    print_places(places, 42)
    print(f"{'figures':42} {folder}/spectrum.png, information.png, curves.png")
    print_made(start)
    conclude(findings(truth, values, *recovered.values(), fast=options.fast))


def latent_table(truth: Tensor, recovered: dict[str, Recovered]) -> str:
    """True entropies and the errors of the flows' matched latents, one row a latent."""
    lines = ["| latent | true entropy | " + " | ".join(f"error, {name}" for name in recovered) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(recovered))
    for i, entropy in enumerate(truth.tolist()):
        errors = (f"{float(found.spectrum[i]) - entropy:+.3f}" for found in recovered.values())
        kind, number = ("angle", i) if i < len(truth) // 2 else ("radius", i - len(truth) // 2)
        lines.append(f"| {kind} {number + 1} | {entropy:.3f} | " + " | ".join(errors) + " |")
    return "\n".join(lines)


def findings(
    truth: Tensor, values: dict[str, dict[str, float]], likelihood: Recovered, manifolds: Recovered, fast: bool
) -> dict[str, bool]:
    """What must hold, in nats and in coefficients between 0 and 1; of a short training only which flow is ahead."""
    missing = (max(found["val/nll"] for found in values.values()) - float(truth.sum())) / len(truth)
    error, other = (float((found.spectrum - truth).abs().mean()) for found in (manifolds, likelihood))
    if fast:
        return {
            f"principal manifolds come nearer to the spectrum: mean error {error:.3f} nats, not {other:.3f}": (
                error < other / 2
            ),
            f"and to the latents: {manifolds.diagonal:.2f} with the match, not {likelihood.diagonal:.2f}": (
                manifolds.diagonal > likelihood.diagonal
            ),
        }
    return {
        f"both flows know the distribution: they miss at most {missing:.3f} nats per dimension, below 0.1": (
            missing < 0.1
        ),
        f"principal manifolds recover the spectrum: mean error {error:.3f} nats, below 0.15": error < 0.15,
        f"maximum likelihood does not: {other:.3f} nats, above 0.5": other > 0.5,
        f"their latents are the true ones: {manifolds.diagonal:.2f} with the match, above 0.8, "
        f"{manifolds.elsewhere:.3f} elsewhere, below 0.15": manifolds.diagonal > 0.8 and manifolds.elsewhere < 0.15,
        f"those of maximum likelihood are not: {likelihood.diagonal:.2f} with the match, below 0.7": (
            likelihood.diagonal < 0.7
        ),
    }


if __name__ == "__main__":
    main()
