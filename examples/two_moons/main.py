"""Three representations of two moons: the same flow trained by three objectives.

All three fit the data equally well, so that their total entropies agree, but only the entropies of their latents tell
what was learnt: maximum likelihood entangles the latents; the total correlation makes them orthogonal, but shares the
data out between them; the reconstruction from one core latent makes this one run along the moons, and the other across.

Run ``python examples/two_moons/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG
files, and checks its finding in numbers.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import torch
from common import CosineLearningRate, Progress, arguments, print_places, table, train
from figures import Representation, draw_curves, draw_representations
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from verdicts import conclude

from torchdisentangle import manifold_metrics
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import two_moons
from torchdisentangle.functional import decoder_jacobian
from torchdisentangle.models import NormalizingFlowModule, as_latent_model, spline_flow

OBJECTIVES = {
    "maximum likelihood": {},
    "+ total correlation": {"total_correlation_weight": 1.0},
    "+ core reconstruction": {"total_correlation_weight": 1.0, "core_reconstruction_weight": 12.0},
}
FULL = (0.1, 0.12, 1.5)  # in nats: total entropies that differ by less are equal; latents that share less, orthogonal;
FAST = (
    0.4,
    0.2,
    0.1,
)  # and aligned are those whose entropy falls by so much more, from core to detail, than the others'
SHOWN = ("nll", "manifold/total_entropy", "manifold/total_correlation")
NAMES = ("nll", *(f"manifold/{name}" for name in ("total_entropy", "total_correlation", "effective_dimension")))


class FadingReconstruction(L.Callback):
    """Lets the weight of the core reconstruction fall to 3 % in the middle third of the training.

    It decides early which latent runs along the moons; to fit the data, the last third is for the other terms.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: NormalizingFlowModule) -> None:
        self.initial = pl_module.core_reconstruction_weight

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: NormalizingFlowModule, batch: Any, batch_idx: int
    ) -> None:
        fallen = min(1.0, max(0.0, 3 * trainer.global_step / trainer.estimated_stepping_batches - 1))
        pl_module.core_reconstruction_weight = self.initial * (1 - 0.97 * fallen)


def watched(num_samples: int) -> list[L.Callback]:
    """The callbacks: at the latents of held-out data, and of the prior."""
    return [
        ManifoldEntropyCallback(num_samples, source="posterior_mean", standard_errors=True, figures=8),
        ManifoldEntropyCallback(num_samples, prefix="prior", figures=False),
        FadingReconstruction(),
        CosineLearningRate(20),
    ]


def represent(model: NormalizingFlowModule, data: Tensor) -> Representation:
    """The entropies of both latents, at the latents of held-out data."""
    latent = as_latent_model(model.eval())
    metrics = manifold_metrics()
    with torch.no_grad():
        metrics.update(decoder_jacobian(latent.decode, latent.encode(data).mean))
    entropies: Tensor = metrics["spectrum"].compute()
    _, total, shared = metrics["decomposition"].decomposition()
    return Representation(latent.decode, entropies, entropies.argsort(descending=True), total, shared)


def main() -> None:
    options = arguments(__doc__, "runs/two_moons", fast="a flow of two blocks, a short training, and wider tolerances")
    folder: Path = options.folder
    start = time.time()
    size = {"num_blocks": 2, "hidden": 32} if options.fast else {"num_blocks": 4, "hidden": 64}
    rate, held = (5e-2, 512) if options.fast else (1e-2, 2048)
    epochs, steps, batch = (2, 50, 256) if options.fast else (48, 15, 512)
    data = (
        DataLoader(TensorDataset(two_moons(steps * batch, noise=0.1, seed=0)), batch, shuffle=True),
        DataLoader(TensorDataset(held_out := two_moons(held, noise=0.1, seed=1)), held),
    )
    values, places, curves, representations = {}, {}, {}, {}
    for name, weights in OBJECTIVES.items():
        torch.manual_seed(0)  # the same flow, from the same start, with the same batches
        model = NormalizingFlowModule(spline_flow(2, **size), **weights, learning_rate=rate, jacobian_mode="reverse")
        progress = Progress(name, SHOWN)
        values[name], places[name] = train(
            name.removeprefix("+ ").replace(" ", "-"),
            model,
            {"train_dataloaders": data[0], "val_dataloaders": data[1]},
            [*watched(held), progress],
            epochs=epochs,
            folder=folder,
            project="torchdisentangle-two-moons",
            gradient_clip_val=5.0,
        )
        curves[name], representations[name] = progress.history, represent(model, held_out)
    summary = table(values, NAMES)
    for row, place in (("core entropy", 0), ("detail entropy", 1)):
        cells = (f"{float(found.entropies[found.order[place]]):.3f}" for found in representations.values())
        summary += f"\n| {row} | " + " | ".join(cells) + " |"
    for row in ("total_entropy", "total_correlation"):
        cells = (f"{found[f'prior/manifold/{row}']:.3f}" for found in values.values())
        summary += f"\n| over the prior: {row.replace('_', ' ')} | " + " | ".join(cells) + " |"
    (folder / "summary.md").write_text(summary + "\n")
    draw_representations(representations).savefig(folder / "representations.png", dpi=160)
    draw_curves(curves).savefig(folder / "curves.png", dpi=200)
    print(f"\n{summary}\n")
    print_places(places, 42)
    print(f"{'figures':42} {folder}/representations.png, curves.png\n\nDone in {time.time() - start:.0f} s.")
    conclude(findings(values, representations, *(FAST if options.fast else FULL)))


def findings(
    values: dict[str, dict[str, float]],
    representations: dict[str, Representation],
    equal: float,
    orthogonal: float,
    aligned: float,
) -> dict[str, bool]:
    """What must hold; the limits are in nats."""
    totals = [found["val/manifold/total_entropy"] for found in values.values()]
    entangled, *others = (found["val/manifold/total_correlation"] for found in values.values())
    *flat, steep = (found.fall for found in representations.values())
    return {
        f"the total entropies agree: they differ by {max(totals) - min(totals):.2f} nats, less than {equal}": (
            max(totals) - min(totals) < equal
        ),
        f"maximum likelihood entangles: its total correlation of {entangled:.2f} nats is above 0.25": entangled > 0.25,
        f"the others do not: theirs of {others[0]:.2f} and {others[1]:.2f} nats are below {orthogonal}": (
            max(others) < orthogonal
        ),
        f"the last is the most aligned: the core's entropy is {steep:.2f} nats above the detail's, for the others "
        f"{flat[0]:.2f} and {flat[1]:.2f}, by more than {aligned} less": steep > max(flat) + aligned,
    }


if __name__ == "__main__":
    main()
