"""Functions that the tests' studies run; workers import them."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchdisentangle import Fingerprint, Report
from torchdisentangle.study import save_run


def train(config: dict[str, Any], folder: Path) -> None:
    """A linear encoder, fitted to random data for a few steps; a file beside the study counts the calls."""
    with (folder.parent.parent / "calls.txt").open("a") as calls:
        calls.write(f"{folder.name} {os.getpid()}\n")
    time.sleep(config.get("seconds", 0))
    if config.get("dies") == "once" and not (folder.parent.parent / "died").exists():
        (folder.parent.parent / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if config.get("dies") == "always":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.get("raises"):
        raise ValueError("this model cannot be trained")
    print(f"on the standard output, GPUs {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    print("on the standard error", file=sys.stderr)
    if config.get("warns"):
        warnings.warn("take care", stacklevel=1)
    os.system("echo from another program")
    model, data = nn.Linear(4, 2), torch.randn(32, 4)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    for _ in range(5):
        loss = (model(data) @ model.weight - data).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        codes = model(data)
    fingerprint = Fingerprint(codes, torch.zeros_like(codes), torch.arange(len(codes)))
    save_run(folder, model=model, report=Report({"loss": loss, "noise": torch.rand(1)}), fingerprint=fingerprint)
