"""What is special to Weights & Biases: few panels, best values in the summary, settings, tables, one row a figure."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning as L
from matplotlib.figure import Figure
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.evaluation.base import Goal
from torchdisentangle.evaluation.tables import Table

_STEP = "trainer/global_step"  # the axis of all curves that Lightning's logger draws


def is_wandb(logger: Any) -> bool:
    """Whether a logger writes to Weights & Biases."""
    return hasattr(logger, "log_image") and hasattr(getattr(logger, "experiment", None), "define_metric")


def introduce(trainer: L.Trainer, key: str, settings: str, headlines: Mapping[str, Goal]) -> None:
    """Tell all runs of a trainer what will be logged; a failure is only a warning.

    Args:
        trainer: whose loggers to use.
        key: first part of the logged keys.
        settings: of the callback.
        headlines: see :func:`set_up`.
    """
    for logger in trainer.loggers if trainer.is_global_zero else ():
        try:
            if is_wandb(logger):
                set_up(logger, key, settings, headlines)
        except Exception as error:  # whatever a third-party logger raises must not end a training
            rank_zero_warn(f"{type(logger).__name__} could not be told about {key}: {error}", UserWarning)


def set_up(logger: Any, key: str, settings: str, headlines: Mapping[str, Goal]) -> None:
    """Tell a run what will be logged, before training.

    The run's configuration gets the settings. Values that are no headline get no panel by themselves, and the summary
    of a headline with a goal is its best value, as ``<key>.max`` or ``<key>.min``.

    Args:
        logger: of Weights & Biases.
        key: first part of the logged keys.
        settings: of the callback.
        headlines: the values that get a panel, and what is best; without any, all get one.
    """
    run = logger.experiment
    run.config.update({"torchdisentangle": {**run.config.get("torchdisentangle", {}), key: settings}}, True)
    if headlines:
        run.define_metric(f"{key}/*", step_metric=_STEP, hidden=True)
    for name, goal in headlines.items():
        summary = None if goal == "none" else f"{goal},last"
        run.define_metric(f"{key}/{name}", step_metric=_STEP, hidden=False, summary=summary)


def log_media(logger: Any, figures: Mapping[str, Figure], tables: Mapping[str, Table], step: int) -> None:
    """Log the figures and tables of one evaluation in one row of the history.

    Args:
        logger: of Weights & Biases.
        figures: by key.
        tables: by key.
        step: of the curves.
    """
    wandb: Any = import_module("wandb")
    media: dict[str, Any] = {key: [wandb.Image(figure)] for key, figure in figures.items()}  # as log_image does
    for key, (columns, rows) in tables.items():
        family, _, name = key.rpartition("/")
        media[f"{family}/tables/{name}"] = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
    if media:
        logger.log_metrics(media, step=step)


def log_html(logger: Any, key: str, page: Path, step: int) -> None:
    """Log a page, which a panel shows.

    Args:
        logger: of Weights & Biases.
        key: of the panel.
        page: an HTML file.
        step: of the curves.
    """
    wandb: Any = import_module("wandb")
    with page.open(encoding="utf-8") as file:
        logger.log_metrics({key: wandb.Html(file, inject=False)}, step=step)
