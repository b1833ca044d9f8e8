"""Architectures have biases: what four normalizing flows make of the same handwritten digits.

A Glow, a neural spline flow, an incompressible flow (GIN) and a wavelet flow of about equal size learn scikit-learn's
digits by maximum likelihood alone. Nothing tells them what to do with their latents, and they do different things. The
findings: the wavelet flow is the most aligned (few latents carry much) and the most disentangled, and its latents of
one scale share more information with each other than with those of other scales, which no other flow's latents do. And
GIN's latents sorted by the prior's standard deviation, as they were in its paper, are not those that move the data
most: some of these are hidden behind, and their manifold entropies reveal them.

Run ``python examples/architectures/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG
files, and checks its findings in numbers.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import torch
from analysis import Found, found_in
from common import CosineLearningRate, Progress, arguments, print_places, train
from figures import draw_hidden, draw_pairwise, draw_spectra
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle import evaluate
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import dequantize, handwritten_digits
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.models import (
    NormalizingFlowModule,
    fit_prior,
    gin_flow,
    glow_flow,
    haar_scales,
    spline_flow,
    wavelet_flow,
)

SHAPE, GREY_LEVELS, CLASSES = (1, 8, 8), 17, 10
SIZE = math.prod(SHAPE)
SCALES = haar_scales(SHAPE, num_levels=2)  # 4, 12 and 48 latents
TOP = SIZE // 4  # how many latents one would look at
ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "Glow": lambda: glow_flow(SIZE, num_blocks=6, hidden=64, num_classes=CLASSES),
    "spline": lambda: spline_flow(SIZE, num_blocks=4, hidden=32, num_bins=4, num_classes=CLASSES),
    "GIN": lambda: gin_flow(SIZE, num_blocks=8, hidden=64, num_classes=CLASSES),
    "wavelet": lambda: wavelet_flow(SHAPE, num_levels=2, num_blocks=6, hidden=52, num_classes=CLASSES),
}
SHOWN = ("nll", "manifold/total_correlation", "manifold/effective_dimension", "manifold/mpmi_mean")


def digits(copies: int) -> tuple[TensorDataset, TensorDataset, float]:
    """Flat digits with noise, so many times with fresh noise for training; all divided by one number, the last."""
    (x, labels), (held_out, held_out_labels) = (handwritten_digits(part).tensors for part in ("train", "validation"))
    noise = torch.Generator().manual_seed(0)
    grey = dequantize(x.repeat(copies, 1, 1, 1), GREY_LEVELS, noise).flatten(1)
    held_out_grey = dequantize(held_out, GREY_LEVELS, noise).flatten(1)
    mean, std = grey.mean(), grey.std()
    training = TensorDataset((grey - mean) / std, labels.repeat(copies))
    return training, TensorDataset((held_out_grey - mean) / std, held_out_labels), float(std)


def main() -> None:
    options = arguments(__doc__, "runs/architectures", fast="one start and a short training")
    folder: Path = options.folder
    start = time.time()
    starts, epochs, copies, samples = (1, 2, 2, 40) if options.fast else (3, 8, 9, 500)
    training, validation, std = digits(copies)
    data = {"train_dataloaders": DataLoader(training, 256, shuffle=True, drop_last=True)}
    data["val_dataloaders"] = DataLoader(validation, 360)
    warm_up_steps = epochs * len(data["train_dataloaders"]) // 8
    figures = False if options.fast else epochs - 1  # of the first epoch and the last
    sizes, parameters, places = [len(scale) for scale in SCALES], {}, {}
    runs: dict[str, list[Found]] = {name: [] for name in ARCHITECTURES}
    untrained: dict[str, float] = {}
    for seed in range(starts):
        for name, build in ARCHITECTURES.items():
            torch.manual_seed(seed)
            module = NormalizingFlowModule(build(), learning_rate=3e-3)
            fit_prior(module.flow, *training[:2000])
            parameters[name] = sum(parameter.numel() for parameter in module.parameters())
            before = evaluate(module, evaluations=[ManifoldEvaluation(samples, data_std=std)])
            untrained[name] = before["manifold/effective_dimension"]
            progress = Progress(f"{name}, start {seed}", SHOWN)
            watch = ManifoldEntropyCallback(samples, data_std=std, image_shape=list(SHAPE), figures=figures)
            _, places[name] = train(
                f"{name}-{seed}",
                module,
                data,
                [watch, progress, CosineLearningRate(warm_up_steps)],
                epochs=epochs,
                folder=folder,
                project="torchdisentangle-architectures",
                gradient_clip_val=50.0,
            )
            scales = SCALES if name == "wavelet" else None
            runs[name].append(found_in(module, progress.history, watch.report, std, sizes, scales))
    summary = table(runs, parameters, untrained)
    (folder / "summary.md").write_text(summary + "\n")
    first = {name: found[0] for name, found in runs.items()}
    draw_spectra(runs).savefig(folder / "spectra.png", dpi=170)
    draw_pairwise(first).savefig(folder / "pairwise.png", dpi=150)
    draw_hidden(first["GIN"], TOP).savefig(folder / "hidden.png", dpi=170)
    print(f"\n{summary}\n")
    print_places(places, 28)
    print(f"{'figures':28} {folder}/spectra.png, pairwise.png, hidden.png\nDone in {time.time() - start:.0f} s.")
    conclude(findings(runs, trained=not options.fast))


QUANTITIES: dict[str, tuple[int, Callable[[Found], float]]] = {
    "bits per dimension, held-out digits": (3, lambda found: found.bits),
    "effective dimension": (1, lambda found: found.effective_dimension),
    "active latents": (1, lambda found: found.active_latents),
    "total correlation (nats per dimension)": (3, lambda found: found.total_correlation / SIZE),
    "MPMI, mean (nats)": (3, lambda found: found.mean_pairwise),
    "MPMI within blocks (nats)": (3, lambda found: found.within),
    "MPMI between blocks (nats)": (3, lambda found: found.between),
    "block structure: their ratio": (2, lambda found: found.within / found.between),
    "volume that the flow makes (nats per dimension)": (3, lambda found: found.volume / SIZE),
    "rank correlation of entropy and prior's std": (2, lambda found: found.rank_correlation),
    f"hidden: first {TOP} by entropy, but not by std": (1, lambda found: float(len(found.hidden(TOP)))),
    "hidden by (nats)": (2, lambda found: found.hidden_by(TOP)),
    "Jacobians that overflowed and were left out": (1, lambda found: float(found.left_out)),
}


def table(runs: dict[str, list[Found]], parameters: dict[str, int], untrained: dict[str, float]) -> str:
    """Means over starts and the largest deviation from them, one column an architecture."""
    lines = ["| | " + " | ".join(runs) + " |", "| --- |" + " ---: |" * len(runs)]
    lines.append("| parameters | " + " | ".join(f"{parameters[name]:,}" for name in runs) + " |")
    lines.append("| effective dimension, untrained | " + " | ".join(f"{untrained[name]:.1f}" for name in runs) + " |")
    for what, (digits, of) in QUANTITIES.items():
        cells = []
        for found in runs.values():
            values = torch.tensor([of(one) for one in found], dtype=torch.float64)
            spread = f" ± {float((values - values.mean()).abs().max()):.{digits}f}" if len(found) > 1 else ""
            cells.append(f"{float(values.mean()):.{digits}f}".replace("-0.000", "0.000") + spread)
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def findings(runs: dict[str, list[Found]], trained: bool) -> dict[str, bool]:
    """What must hold for every start; of a short training only what shows soon."""

    def of(name: str, quantity: Callable[[Found], float]) -> list[float]:
        return [quantity(found) for found in runs[name]]

    def of_others(name: str, quantity: Callable[[Found], float]) -> list[float]:
        return [value for other in runs if other != name for value in of(other, quantity)]

    def gain(found: Found) -> float:
        return found.bits_at_first - found.bits

    def volume(found: Found) -> float:
        return abs(found.volume)

    def correlation(found: Found) -> float:
        return found.total_correlation / SIZE

    def dimension(found: Found) -> float:
        return found.effective_dimension

    def ratio(found: Found) -> float:
        return found.within / found.between

    def related(found: Found) -> float:
        return found.rank_correlation

    learned = min(gain(found) for all_found in runs.values() for found in all_found)
    made = max(of("GIN", volume))
    entangled, rest = min(of("Glow", correlation)), max(of_others("Glow", correlation))
    soon = {
        f"all flows learn: {learned:.2f} bits per dimension or more after the first epoch": learned > 0,
        f"GIN makes no volume: {made:.0e} nats at most": made < 1e-3,
        f"Glow is the most entangled: {entangled:.3f} nats per dimension or more, the others {rest:.3f} or less": (
            entangled > 1.25 * rest
        ),
    }
    if not trained:
        return soon
    aligned, rest_aligned = max(of("wavelet", dimension)), min(of_others("wavelet", dimension))
    disentangled, rest_disentangled = max(of("wavelet", correlation)), min(of_others("wavelet", correlation))
    blocks, rest_blocks = min(of("wavelet", ratio)), max(of_others("wavelet", ratio))
    hidden = min(len(found.hidden(TOP)) for found in runs["GIN"])
    hidden_by = min(found.hidden_by(TOP) for found in runs["GIN"])
    return soon | {
        f"the wavelet flow is the most aligned: effective dimension {aligned:.1f} or less, the others "
        f"{rest_aligned:.1f} or more": aligned < 0.75 * rest_aligned,
        f"and the most disentangled: {disentangled:.3f} nats per dimension or less, the others "
        f"{rest_disentangled:.3f} or more": disentangled < rest_disentangled,
        f"its MPMI has blocks: {blocks:.1f} times as much within scales as between or more, the others' ratio is "
        f"{rest_blocks:.1f} or less": blocks > max(2.0, rest_blocks),
        f"GIN hides latents: {hidden} or more of the {TOP} first, by {hidden_by:.2f} nats or more, though its orders "
        f"are related (rank correlation {min(of('GIN', related)):.2f} or more)": hidden >= TOP / 8 and hidden_by > 0.1,
    }


if __name__ == "__main__":
    main()
