"""Two autoencoders on sprites with known factors, watched while they train: beta-VAE and beta-TCVAE.

Both have the same networks and weigh the same data by the same beta; the beta-VAE weighs the whole KL divergence, the
beta-TCVAE its total correlation alone. The finding is that the latter reconstructs better: it may tell more about the
data, by latents that are as independent.

Run ``python examples/sprites/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and PNG
files.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
from common import Progress, arguments, print_places, table, train
from overview import draw_overview
from verdicts import conclude

from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback, ManifoldEntropyCallback
from torchdisentangle.datasets import Sprites
from torchdisentangle.models import BetaTCVAE, BetaVAE, FactorDataModule

SHOWN = ("reconstruction", "elbo/total_correlation", "disentanglement/mig", "manifold/total_correlation")


def watched() -> list[L.Callback]:
    """The callbacks; whatever they log is in the summary."""
    return [
        ManifoldEntropyCallback(num_samples=512),
        ELBODecompositionCallback(),
        DisentanglementCallback(sampler_rows=2048),
    ]


def sprites() -> FactorDataModule:
    """46,080 images of squares, ellipses and hearts in all sizes and places, turned by up to a quarter."""
    dataset = Sprites(16, antialias=True, factor_sizes=(6, 40, 16, 16)).sub_grid(orientation=range(10))
    return FactorDataModule(dataset, train=0.8, validation=2048, test=0, batch_size=64)


def main() -> None:
    options = arguments(__doc__, "runs/sprites", fast="two epochs each")
    folder: Path = options.folder
    start = time.time()
    data = sprites()
    settings = {"data_shape": (1, 16, 16), "latent_dim": 6, "network": "conv", "beta": 4.0}
    models = {"beta-VAE": BetaVAE(**settings), "beta-TCVAE": BetaTCVAE(**settings)}
    values, places = {}, {}
    for name, model in models.items():
        callbacks = [*watched(), Progress(name, SHOWN)]
        values[name], places[name] = train(
            name,
            model,
            {"datamodule": data},
            callbacks,
            epochs=2 if options.fast else 16,
            folder=folder,
            project="torchdisentangle-sprites",
        )
    keys = dict.fromkeys(key for found in values.values() for key in found if key.startswith("val/"))
    summary = table(values, [key.removeprefix("val/") for key in keys if key != "val/loss"])
    (folder / "summary.md").write_text(summary + "\n")
    draw_overview(models, data).savefig(folder / "overview.png", dpi=200)
    print(f"\n{summary}\n")
    print_places(places, 32)
    print(f"{'overview figure':32} {folder / 'overview.png'}\n{'summary table':32} {folder / 'summary.md'}")
    print(f"\nDone in {time.time() - start:.0f} s.")
    ours, theirs = (values[name]["val/reconstruction"] for name in ("beta-TCVAE", "beta-VAE"))
    conclude(
        {f"at the same beta the beta-TCVAE reconstructs better: {ours:.2f} nats against {theirs:.2f}": ours < theirs}
    )


if __name__ == "__main__":
    main()
