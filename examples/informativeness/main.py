"""Which latents of a VAE tell something about handwritten digits, and what does each alone tell?

Trains a beta-VAE with ten latents for a few epochs with the informativeness callback, prints the latents by
informativeness beside their KL divergence, writes the figures and curves, and checks three things that must hold.
Run it with ``python examples/informativeness/main.py --help``; it takes less than a minute on two cores.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from torchdisentangle import Informativeness, Separability, StatisticCollection
from torchdisentangle.callbacks import InformativenessCallback
from torchdisentangle.datasets import handwritten_digits
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import BetaVAE


def train(folder: Path, epochs: int, beta: float) -> BetaVAE:
    """Train, with curves in ``metrics.csv`` and figures beside them."""
    L.seed_everything(0, verbose=False)
    model = BetaVAE(data_shape=(1, 8, 8), latent_dim=10, beta=beta, hidden=(128, 128), learning_rate=2e-3)
    every = max(1, epochs // 5)
    trainer = L.Trainer(
        max_epochs=epochs,
        check_val_every_n_epoch=every,
        accelerator="cpu",
        callbacks=[InformativenessCallback(num_queries=1024)],
        logger=CSVLogger(folder, name="", version=""),
        log_every_n_steps=10,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, DataLoader(handwritten_digits("train"), 64, shuffle=True), _validation())
    values = {name: float(value) for name, value in trainer.callback_metrics.items() if "/informativeness/" in name}
    for name, value in values.items():
        print(f"{name:42s} {value:8.3f}")
    return model.eval()


@torch.no_grad()
def report(model: BetaVAE, folder: Path) -> bool:
    """Print the ranking over all digits; say whether what must hold holds."""
    mean, log_variance = model.encode(handwritten_digits("all").tensors[0])
    metrics = StatisticCollection({"bins": Informativeness(), "separability": Separability(num_queries=1797)})
    metrics.update(mean, log_variance)
    values = metrics.compute()
    kl = gaussian_kl(mean, log_variance).mean(0).double()
    print("\nlatent  I(x; z_i)  in bins      KL   SEPIN     SEP   (nats, all 1,797 digits)")
    columns = [values[name] for name in ("informativeness", "bins")] + [kl, values["sepin"], values["sep"]]
    for latent in metrics["bins"].ranking().tolist():
        print(f"{latent:6d} {columns[0][latent]:10.3f} " + " ".join(f"{c[latent]:7.3f}" for c in columns[1:]))
    figure, _ = metrics["separability"].plot(values)
    figure.savefig(folder / "ranking.png", dpi=150)

    active = int((kl > 0.1).sum())
    most_informative = set(metrics["bins"].ranking()[:active].tolist())
    findings = {
        "WSEPIN equals WINDIN": bool((values["wsepin"] - values["windin"]).abs() < 1e-9),
        "no latent tells more than its KL divergence": bool((values["bins"] <= kl + 1e-9).all()),
        f"the {active} latents with a KL above 0.1 are the most informative": most_informative
        == set(kl.argsort(descending=True)[:active].tolist()),
    }
    print()
    for finding, holds in findings.items():
        print(f"{'PASS' if holds else 'FAIL'}  {finding}")
    return all(findings.values())


def _validation() -> DataLoader:
    return DataLoader(handwritten_digits("validation"), 360)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/informativeness"), help="where results are written")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--beta", type=float, default=1.0, help="weight of the KL divergence; higher kills latents")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    model = train(arguments.folder, arguments.epochs, arguments.beta)
    passed = report(model, arguments.folder)
    print(f"\ncurves and figures are in {arguments.folder.resolve()}")
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
