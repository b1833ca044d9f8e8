"""Two kinds of runs: one trains a model and scores it, one adds the intervals that take fits to parts of the rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from scoring import all_scores, fitted_intervals, posteriors
from settings import BATCH, FAST_STEPS, STEPS, Images, images_of, new_model
from torch.optim.lr_scheduler import OneCycleLR

from torchdisentangle import Report
from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.models import VAE, AnnealedVAE
from torchdisentangle.study import Run, save_run

TRAINED, FITTED = "trained", "fitted"
"""Folders of the two studies, side by side: of the runs, and of the intervals that are added to them."""


def run(config: dict[str, Any], folder: Path) -> None:
    """Train the model of a configuration and score it; write checkpoint, report and fingerprint."""
    data = images_of(config["data"])
    start = time.process_time()
    model = trained(config, data)
    training = Report({"cost/training": time.process_time() - start})
    scores, fingerprint = all_scores(model, data)
    report = Report.joined(scores, of_bound(model, data), training).kept()
    save_run(folder, model=model, report=report, fingerprint=fingerprint)


def add_intervals(config: dict[str, Any], folder: Path) -> None:
    """Score the model of a finished run again, by the scores that are fitted to rows, with intervals."""
    data = images_of(config["data"])
    model = new_model(config, data.images.shape[1:], STEPS)
    model.load_state_dict(Run(folder.parents[1] / TRAINED / config["run"]).weights)
    save_run(folder, report=fitted_intervals(model.eval(), data))


def trained(config: Mapping[str, Any], data: Images) -> VAE:
    """The model of a configuration, trained on random batches while its learning rate rises and falls."""
    steps = FAST_STEPS if config.get("fast") else STEPS
    model = new_model(config, data.images.shape[1:], steps)
    optimizer = model.configure_optimizers()
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.1, cycle_momentum=False)
    for step in range(steps):
        if isinstance(model, AnnealedVAE):
            model.step.fill_(step)
        batch = data.images[torch.randint(len(data.images), (BATCH,))]
        optimizer.zero_grad()
        model.training_loss(model.terms(batch)).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def of_bound(model: VAE, data: Images) -> Report:
    """The two terms of the bound on all images, that of reconstruction at the posteriors' means."""
    mean, log_variance = posteriors(model, data.images)
    terms = {"reconstruction": model.reconstruction(data.images, mean), "kl": gaussian_kl(mean, log_variance).sum(1)}
    return Report({f"model/{name}": float(term.mean()) for name, term in terms.items()})
