"""Which latents of a VAE tell something about handwritten digits, and what does each alone tell?

Beta-VAEs with ten latents learn 1,437 digits, some of their latents nothing at all. The finding is that the latents
that are in use, by their KL divergence, are the most informative ones, that none tells more than its KL divergence,
and that what they alone tell is less than what they tell: they share some of it.

Run ``python examples/informativeness/main.py``, or with ``--fast``. Logs to Weights & Biases, offline, and to CSV and
PNG files.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning as L
import torch
from common import Progress, arguments, print_made, train
from torch import Tensor
from torch.utils.data import DataLoader
from verdicts import Verdict, conclude, over_seeds

from torchdisentangle import Informativeness, Separability, StatisticCollection
from torchdisentangle.callbacks import InformativenessCallback
from torchdisentangle.datasets import handwritten_digits
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import BetaVAE

SEEDS = range(1, 6)  # 0 was looked at before
IN_USE = 0.1  # nats of KL divergence
SHOWN = ("loss", "informativeness/wsepin", "informativeness/windin")


def main() -> None:
    options = arguments(__doc__, "runs/informativeness", fast="one model, eight epochs instead of forty")
    folder: Path = options.folder
    start = time.time()
    seeds, epochs = (range(1), 8) if options.fast else (SEEDS, 40)
    models = [trained(seed, epochs, folder, figures=seed == seeds[0]) for seed in seeds]
    known, metrics = zip(*map(tell, models), strict=True)
    summary = table(known[0])
    (folder / "summary.md").write_text(summary + "\n")
    metrics[0]["separability"].plot()[0].savefig(folder / "ranking.png", dpi=150)
    print(f"\nAll 1,797 digits, in nats, seed {seeds[0]}:\n\n{summary}\n")
    print(f"wandb runs         {folder / 'wandb'}\nfigure             {folder / 'ranking.png'}")
    print_made(start)
    conclude(findings(known))


def trained(seed: int, epochs: int, folder: Path, figures: bool) -> BetaVAE:
    L.seed_everything(seed, verbose=False)
    model = BetaVAE(data_shape=(1, 8, 8), latent_dim=10, beta=1.0, hidden=(128, 128), learning_rate=2e-3)
    data = {
        "train_dataloaders": DataLoader(handwritten_digits("train"), 64, shuffle=True),
        "val_dataloaders": DataLoader(handwritten_digits("validation"), 360),
    }
    name = f"digits, seed {seed}"
    callbacks = [InformativenessCallback(num_queries=1024, figures=figures), Progress(name, SHOWN)]
    train(name, model, data, callbacks, epochs, folder, project="torchdisentangle-informativeness")
    return model.eval()


@torch.no_grad()
def tell(model: BetaVAE) -> tuple[dict[str, Tensor], StatisticCollection]:
    """What the latents of a model tell about all digits, and the metrics that say so."""
    mean, log_variance = model.encode(handwritten_digits("all").tensors[0])
    metrics = StatisticCollection({"bins": Informativeness(), "separability": Separability(num_queries=1797)})
    metrics.update(mean, log_variance)
    return metrics.compute() | {"kl": gaussian_kl(mean, log_variance).mean(0).double()}, metrics


def table(found: dict[str, Tensor]) -> str:
    """The latents by informativeness, in Markdown."""
    heads = {
        "informativeness": "I(x; z_i)",
        "bins": "I(x; z_i) in bins",
        "kl": "KL",
        "sepin": "SEPIN",
        "sep": "SEP",
    }
    lines = ["| latent | " + " | ".join(heads.values()) + " |", "|" + " ---: |" * (len(heads) + 1)]
    for latent in found["bins"].argsort(descending=True).tolist():
        lines.append(f"| {latent} | " + " | ".join(f"{float(found[name][latent]):.3f}" for name in heads) + " |")
    return "\n".join(lines)


def findings(known: Sequence[dict[str, Tensor]]) -> dict[str, Verdict | bool]:
    """What must hold of all models; what is shared, in the mean over seeds."""
    share = over_seeds([float(found["sepin"].sum() / found["informativeness"].sum()) for found in known])
    highest = max(float((found["bins"] / found["kl"]).max()) for found in known)
    return {
        f"the latents with a KL divergence above {IN_USE} nats are the most informative": all(map(ordered, known)),
        f"no latent tells more than its KL divergence (at most {highest:.2f} of it)": all(
            bool((found["bins"] <= found["kl"] + 1e-9).all()) for found in known
        ),
        f"what the latents alone tell is less than all of what they tell: {share} of it": (share.below(1)),
        "WSEPIN equals WINDIN, which it must": all(
            bool((found["wsepin"] - found["windin"]).abs() < 1e-9) for found in known
        ),
    }


def ordered(found: dict[str, Tensor]) -> bool:
    """Whether the latents in use, by their KL divergence, are those that tell the most."""
    active = int((found["kl"] > IN_USE).sum())
    of_both = (found[name].argsort(descending=True)[:active].tolist() for name in ("kl", "bins"))
    return len(set(map(frozenset, of_both))) == 1


if __name__ == "__main__":
    main()
