"""Which latents of a VAE tell something about handwritten digits, and what does each alone tell?

A beta-VAE with ten latents learns 1,437 digits, some of its latents nothing at all. The finding is that the latents
that are in use, by their KL divergence, are the most informative ones, that none tells more than its KL divergence,
and that what they alone tell is less than what they tell: they share some of it.

Run ``python examples/informativeness/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and
PNG files.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import torch
from common import Progress, arguments, train
from torch import Tensor
from torch.utils.data import DataLoader
from verdicts import conclude

from torchdisentangle import Informativeness, Separability, StatisticCollection
from torchdisentangle.callbacks import InformativenessCallback
from torchdisentangle.datasets import handwritten_digits
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import BetaVAE

SHOWN = ("loss", "informativeness/wsepin", "informativeness/windin")


def main() -> None:
    options = arguments(__doc__, "runs/informativeness", fast="eight epochs instead of forty")
    folder: Path = options.folder
    start = time.time()
    model = BetaVAE(data_shape=(1, 8, 8), latent_dim=10, beta=1.0, hidden=(128, 128), learning_rate=2e-3)
    data = {
        "train_dataloaders": DataLoader(handwritten_digits("train"), 64, shuffle=True),
        "val_dataloaders": DataLoader(handwritten_digits("validation"), 360),
    }
    callbacks = [InformativenessCallback(num_queries=1024), Progress("digits", SHOWN)]
    epochs = 8 if options.fast else 40
    values, places = train("digits", model, data, callbacks, epochs, folder, project="torchdisentangle-informativeness")
    for name in (name for name in values if "/informativeness/" in name):
        print(f"{name:42s} {values[name]:8.3f}")

    mean, log_variance = posteriors(model.eval())
    metrics = StatisticCollection({"bins": Informativeness(), "separability": Separability(num_queries=1797)})
    metrics.update(mean, log_variance)
    found = metrics.compute() | {"kl": gaussian_kl(mean, log_variance).mean(0).double()}
    ranking = metrics["bins"].ranking().tolist()
    summary = table(ranking, found)
    (folder / "summary.md").write_text(summary + "\n")
    metrics["separability"].plot()[0].savefig(folder / "ranking.png", dpi=150)
    print(f"\nAll 1,797 digits, in nats:\n\n{summary}\n")
    for what, path in places.items():
        print(f"{what:20} {path}")
    print(f"{'figure':20} {folder / 'ranking.png'}\n\nDone in {time.time() - start:.0f} s.")
    conclude(findings(ranking, found))


@torch.no_grad()
def posteriors(model: BetaVAE) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of all digits, ``(1797, 10)`` each."""
    return model.encode(handwritten_digits("all").tensors[0])


def table(ranking: list[int], found: dict[str, Tensor]) -> str:
    """The latents by informativeness, in Markdown."""
    heads = {
        "informativeness": "I(x; z_i)",
        "bins": "I(x; z_i) in bins",
        "kl": "KL",
        "sepin": "SEPIN",
        "sep": "SEP",
    }
    lines = ["| latent | " + " | ".join(heads.values()) + " |", "|" + " ---: |" * (len(heads) + 1)]
    for latent in ranking:
        lines.append(f"| {latent} | " + " | ".join(f"{float(found[name][latent]):.3f}" for name in heads) + " |")
    return "\n".join(lines)


def findings(ranking: list[int], found: dict[str, Tensor]) -> dict[str, bool]:
    """What must hold."""
    kl, bins = found["kl"], found["bins"]
    active = int((kl > 0.1).sum())
    share = float(found["sepin"].sum() / found["informativeness"].sum())
    return {
        f"the {active} latents with a KL divergence above 0.1 nats are the most informative": set(ranking[:active])
        == set(kl.argsort(descending=True)[:active].tolist()),
        f"no latent tells more than its KL divergence (at most {float((bins / kl).max()):.2f} of it)": bool(
            (bins <= kl + 1e-9).all()
        ),
        f"what the latents alone tell is {share:.2f} of what they tell, less than 1": share < 1,
        "WSEPIN equals WINDIN, which it must": bool((found["wsepin"] - found["windin"]).abs() < 1e-9),
    }


if __name__ == "__main__":
    main()
