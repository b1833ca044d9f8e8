"""What a finished run is: a folder with its configuration, checkpoint, report, fingerprint and log."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchdisentangle.evaluation.report import Report
from torchdisentangle.similarity.fingerprint import FINGERPRINT, Fingerprint

CONFIG, LOG, CHECKPOINT, REPORT = "config.json", "log.txt", "checkpoint.pt", "report.npz"
PARTIAL, FAILED = ".partial-", ".failed"
_NAME = re.compile(r"\w[\w.=+-]*")
_LONGEST = 120  # characters of a name, which a file system with 255 bytes leaves room for


@dataclass(frozen=True)
class Run:
    """The folder of a finished run.

    Args:
        folder: of the run.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp(), "beta=4")
        >>> save_run(folder, report=Report({"mig": 0.5}))
        >>> Run(folder).name, Run(folder).report["mig"]
        ('beta=4', 0.5)
    """

    folder: Path

    @property
    def name(self) -> str:
        """Name of the run in its study."""
        return self.folder.name

    @property
    def config(self) -> dict[str, Any]:
        """What the run was asked for."""
        return json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))

    @property
    def weights(self) -> dict[str, Any]:
        """The state dict of the trained model, on the CPU."""
        return torch.load(self.folder / CHECKPOINT, map_location="cpu", weights_only=True)

    @property
    def report(self) -> Report:
        """The saved report."""
        return Report.load(self.folder / REPORT)

    @property
    def fingerprint(self) -> Fingerprint:
        """The saved fingerprint."""
        return Fingerprint.load(self.folder / FINGERPRINT)

    @property
    def log(self) -> str:
        """What the run printed."""
        return (self.folder / LOG).read_text(encoding="utf-8")


def save_run(
    folder: str | Path,
    *,
    model: nn.Module | None = None,
    report: Report | None = None,
    fingerprint: Fingerprint | None = None,
) -> None:
    """Write results into the folder of a run, where ``torchdisentangle table`` and ``rank`` find them.

    Args:
        folder: of the run, as the study gives it to the function that it runs.
        model: whose state dict is written, to ``checkpoint.pt``.
        report: written to ``report.npz``.
        fingerprint: written to ``fingerprint.npz``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if model is not None:
        torch.save(model.state_dict(), folder / CHECKPOINT)
    if report is not None:
        report.save(folder / REPORT)
    if fingerprint is not None:
        fingerprint.save(folder / FINGERPRINT)


def finished_runs(folder: str | Path) -> list[Run]:
    """The finished runs in the folder of a study, in the order of their names.

    Args:
        folder: of the study; a run that is unfinished or failed is left out.
    """
    folders = (file.parent for file in Path(folder).glob(f"*/{CONFIG}") if (file.parent / LOG).exists())
    return [Run(path) for path in sorted(folders) if path.name[0] != "." and path.suffix != FAILED]


def name_of(config: dict[str, Any]) -> str:
    """A name for the run of a configuration, made of all its values.

    Raises:
        ValueError: if it would be too long.

    Example:
        >>> name_of({"model": "beta vae", "beta": 4.0, "seed": 0})
        'model=beta-vae_beta=4.0_seed=0'
    """
    parts = (f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in config.items())
    return checked_name(re.sub(r"[^\w.=+-]+", "-", "_".join(parts)))


def checked_name(name: str) -> str:
    """The name, if a folder of a run can have it.

    Raises:
        ValueError: if not.
    """
    if len(name) > _LONGEST:
        raise ValueError(f"the name {name[:40]}... of a run has over {_LONGEST} characters: name the configurations")
    if not _NAME.fullmatch(name) or PARTIAL in name or name.endswith(FAILED):
        raise ValueError(
            f"{name!r} cannot be the name of a run: after a letter or digit it may have more of them and _.=+-, but "
            f"not {PARTIAL}, and not {FAILED} at its end"
        )
    return name
