"""Where figures, tables and pages go: every logger of a trainer that can show them, and files for the others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.callbacks.weights_and_biases import is_wandb, log_html, log_media
from torchdisentangle.evaluation.tables import Table

_SAVED: dict[str, Any] = {"dpi": 150, "bbox_inches": "tight"}


@rank_zero_only
def log_figure(trainer: L.Trainer, key: str, figure: Figure) -> None:
    """Send a figure to all loggers of a trainer; call it on every process, only the first one acts.

    Weights & Biases (and any logger with ``log_image``), TensorBoard and Comet show it at the step of the curves;
    MLflow and LitLogger keep it as an artifact. For any other logger it is written to
    ``<log folder>/figures/<key>/<step>.png``. If a logger fails, a warning says so and the training goes on.

    Args:
        trainer: whose loggers to use; without any, nothing happens.
        key: for instance ``val/manifold/spectrum``.
        figure: a matplotlib figure.

    Example:
        >>> trainer = L.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
        >>> log_figure(trainer, "val/manifold/spectrum", Figure())
    """
    _send(trainer, {key: figure}, dict)


@rank_zero_only
def log_figures(
    trainer: L.Trainer, key: str, figures: Mapping[str, Callable[[], Figure]], tables: Callable[[], Mapping[str, Table]]
) -> None:
    """Draw the figures of a report and send them to all loggers, with its tables; a failure is only a warning.

    Args:
        trainer: whose loggers to use.
        key: first part of the names.
        figures: by name, functions that draw.
        tables: makes the tables, by name; called only for loggers that keep tables: Weights & Biases, Comet, and
            MLflow if pandas is installed.
    """
    drawn = {}
    for name, draw in figures.items():
        try:
            drawn[f"{key}/{name}"] = draw()
        except Exception as error:  # whatever a figure raises
            warnings.warn(f"{key}/{name} could not be drawn: {error}", UserWarning, stacklevel=2)
    _send(trainer, drawn, lambda: {f"{key}/{name}": table for name, table in tables().items()})


@rank_zero_only
def log_page(trainer: L.Trainer, key: str, page: Path) -> None:
    """Send a page to the loggers that can keep it: Weights & Biases, MLflow, Comet and LitLogger.

    Args:
        trainer: whose loggers to use.
        key: for instance ``val/latents``.
        page: an HTML file.
    """
    loggers: list[Any] = trainer.loggers
    for logger in loggers:
        with _warned(logger, f"the page {key}"):
            experiment: Any = getattr(logger, "experiment", None)
            if is_wandb(logger):
                log_html(logger, f"{key}/page", page, curve_step(trainer))
            elif _is_mlflow(logger) and callable(getattr(experiment, "log_artifact", None)):
                experiment.log_artifact(logger.run_id, str(page), f"pages/{key.rpartition('/')[0]}")
            elif callable(getattr(experiment, "log_asset", None)):  # Comet
                experiment.log_asset(str(page), f"pages/{key}.html")
            elif callable(getattr(logger, "log_file", None)):  # LitLogger
                experiment[f"pages/{key}.html"] = import_module("litlogger").File(str(page))


def run_folder(trainer: L.Trainer) -> Path | None:
    """Where files of this run belong; ``None`` if the trainer has no logger.

    Args:
        trainer: the trainer.
    """
    logger: Any = trainer.logger
    if logger is None:
        return None
    place = getattr(logger, "log_dir", None)
    if place is None and getattr(logger, "save_dir", None) is not None:  # of all runs, as with Weights & Biases
        place = Path(logger.save_dir, str(logger.name), str(logger.version))
    return Path(place or trainer.default_root_dir)


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


def _send(trainer: L.Trainer, figures: Mapping[str, Figure], tables: Callable[[], Mapping[str, Table]]) -> None:
    step = curve_step(trainer)
    for logger in trainer.loggers:
        with _warned(logger, ", ".join(figures)):
            if is_wandb(logger):
                log_media(logger, figures, tables(), step)
                continue
            for key, figure in figures.items():
                with _warned(logger, f"the figure {key}"):
                    _log_one(logger, key, figure, step, Path(trainer.default_root_dir))
            if _keeps_tables(logger):
                for key, table in tables().items():
                    with _warned(logger, f"the table {key}"):
                        _log_table(logger, key, table, step)


@contextmanager
def _warned(logger: Any, what: str) -> Iterator[None]:
    """Whatever a third-party logger raises must not end a training."""
    try:
        yield
    except Exception as error:
        rank_zero_warn(f"{type(logger).__name__} could not log {what}: {error}", UserWarning)


def _log_one(logger: Any, key: str, figure: Figure, step: int, default: Path) -> None:
    """Log a figure the way that a logger knows, judged by what it can do: two packages have classes of each name."""
    experiment: Any = getattr(logger, "experiment", None)
    if hasattr(logger, "log_image"):
        logger.log_image(key, [figure], step=step)
    elif callable(getattr(experiment, "add_figure", None)):  # TensorBoard
        experiment.add_figure(key, figure, global_step=step, close=False)
    elif callable(getattr(experiment, "log_figure", None)):
        if _is_mlflow(logger):
            experiment.log_figure(logger.run_id, figure, f"figures/{key}/{step}.png", save_kwargs=_SAVED)
        else:  # Comet
            experiment.log_figure(figure_name=key, figure=figure, step=step)
    elif callable(getattr(logger, "log_file", None)):  # LitLogger
        path = _write(figure, Path(logger.log_dir) / "figures" / key / f"{step}.png")
        experiment[f"figures/{key}/{step}.png"] = import_module("litlogger").File(str(path))
    else:
        folder = getattr(logger, "log_dir", None) or getattr(logger, "save_dir", None) or default
        _write(figure, Path(folder) / "figures" / key / f"{step}.png")


def _is_mlflow(logger: Any) -> bool:
    return hasattr(logger, "run_id")


def _keeps_tables(logger: Any) -> bool:
    """Whether this is MLflow, whose tables need pandas, or Comet."""
    known = callable(getattr(getattr(logger, "experiment", None), "log_table", None))
    return known and (not _is_mlflow(logger) or find_spec("pandas") is not None)


def _log_table(logger: Any, key: str, table: Table, step: int) -> None:
    columns, rows = table
    if _is_mlflow(logger):
        data = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        logger.experiment.log_table(logger.run_id, data, f"tables/{key}/{step}.json")
    else:
        logger.experiment.log_table(f"tables/{key}/{step}.csv", [list(row) for row in rows], list(columns))


def _write(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, **_SAVED)
    return path
