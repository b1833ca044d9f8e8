"""Where figures go: every logger of a trainer that can show one, and PNG files for the others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from torchmetrics.utilities import rank_zero_warn


@rank_zero_only
def log_figure(trainer: L.Trainer, key: str, figure: Figure) -> None:
    """Send a figure to all loggers of a trainer; call it on every process, only the first one acts.

    Weights & Biases (and any logger with ``log_image``) and TensorBoard (``experiment.add_figure``) show the figure at
    the step of the curves. For a logger that can do neither it is written to
    ``<log folder>/figures/<key>/<step>.png``. A logger that fails is warned of and does not end the training.

    Args:
        trainer: whose loggers to use; without any, nothing happens.
        key: for instance ``val/manifold/spectrum``.
        figure: a matplotlib figure.

    Example:
        >>> trainer = L.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
        >>> log_figure(trainer, "val/manifold/spectrum", Figure())
    """
    step = curve_step(trainer)
    for logger in trainer.loggers:
        experiment: Any = getattr(logger, "experiment", None)
        try:
            if hasattr(logger, "log_image"):
                logger.log_image(key, [figure], step=step)
            elif callable(getattr(experiment, "add_figure", None)):
                experiment.add_figure(key, figure, global_step=step, close=False)
            else:
                _write(figure, _folder(trainer, logger) / "figures" / key / f"{step}.png")
        except Exception as error:  # whatever a third-party logger raises must not end a training
            rank_zero_warn(f"{type(logger).__name__} could not log the figure {key}: {error}", UserWarning)


def log_figures(trainer: L.Trainer, key: str, figures: Mapping[str, Callable[[], Figure]]) -> None:
    """Draw the figures of a report and send them to all loggers; one that fails is warned of.

    Args:
        trainer: whose loggers to use.
        key: first part of the figures' names.
        figures: by name, functions that draw.
    """
    for name, draw in figures.items():
        try:
            log_figure(trainer, f"{key}/{name}", draw())
        except Exception as error:  # whatever a figure raises
            warnings.warn(f"{key}/{name} could not be drawn: {error}", UserWarning, stacklevel=2)


def curve_step(trainer: L.Trainer) -> int:
    """The step at which Lightning logs epoch-end metrics, so that figures and curves share their axis.

    Args:
        trainer: the trainer.

    Returns:
        Batches that made an optimizer step.

    Example:
        >>> curve_step(L.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False))
        0
    """
    loop = getattr(trainer.fit_loop, "epoch_loop", None)
    return int(getattr(loop, "_batches_that_stepped", trainer.global_step))


def _folder(trainer: L.Trainer, logger: Any) -> Path:
    return Path(getattr(logger, "log_dir", None) or getattr(logger, "save_dir", None) or trainer.default_root_dir)


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches="tight")
