"""Latent traversals, in every validation epoch."""

from __future__ import annotations

import warnings
from pathlib import Path

import lightning as L
from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.figures import log_page, run_folder
from torchdisentangle.callbacks.hooks import evaluation_callbacks
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import Report, TraversalEvaluation


class LatentTraversalCallback(EvaluationCallback):
    """Shows what each latent does: the data that are decoded while it alone is moved.

    In every validation epoch the callback draws the figure ``<prefix>/latents/traversals``, with a row for each latent.
    The latent moves in equal steps over ``span`` standard deviations of its prior to both sides. The others stay at the
    code of the first validation datum, or at the centre of the prior if the model cannot encode. Training stays bitwise
    the same.

    With the figure comes an interactive page, ``<log folder>/pages/<prefix>/latents.html``, always of the last
    evaluation. On it one drags each latent and sees what it does; and for each cell of the matrices that the trainer's
    other callbacks have found at the same step (MPMI, mutual information of latents and factors), what the pair does.
    At the end of the run the page goes to the loggers that can keep it: Weights & Biases shows it in a panel,
    ``<prefix>/latents/page``; MLflow, Comet and LitLogger keep the file.

    Args:
        num_steps: values of each latent.
        span: how far to both sides, in standard deviations of the prior.
        num_latents: how many latents to show, those first that move the data most; ``None``: at most 20 in the figure
            and 64, which is the most, on the page.
        page: whether to make the page; or the file to write it to, also if the trainer has no logger.
        settings: of :class:`EvaluationCallback`, such as ``every_n_epochs`` and ``input_key``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model cannot decode.

    Example:
        >>> import lightning as L
        >>> callback = LatentTraversalCallback(num_steps=7, every_n_epochs=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    def __init__(
        self,
        num_steps: int = 9,
        span: float = 2.0,
        num_latents: int | None = None,
        page: bool | str = True,
        **settings: Unpack[CallbackSettings],
    ) -> None:
        with misconfiguration():
            evaluation = TraversalEvaluation(num_steps, span, num_latents, page=bool(page))
        super().__init__(evaluation, **settings)
        self.page = page
        self._written: Path | None = None
        self._written_at: tuple[str, int] | None = None

    def forget(self) -> None:
        """A run begins without a page."""
        super().forget()
        self._written = self._written_at = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the page, when all callbacks have their reports."""
        super().on_validation_end(trainer, pl_module)
        self._write(trainer)
        if trainer.state.fn != "fit":
            self._send(trainer)

    on_test_end = on_validation_end

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the page of an evaluation that ended the fit, and send the last page to the loggers."""
        self._write(trainer)
        self._send(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        now = (self.stage(trainer), trainer.global_step)
        if self.report is None or not self.report.pages or self.found_at != now or self._written_at == now:
            return
        path = self._path(trainer)
        if path is None:
            return
        found = {one.family: one.report for one in evaluation_callbacks(trainer) if one.found_at == now}
        try:
            self._written = Report.combined(found).save_page(path)
            self._written_at = now
        except Exception as error:  # a full disk, say
            warnings.warn(f"{type(self).__name__} could not write {path}: {error}", UserWarning, stacklevel=2)

    def _path(self, trainer: L.Trainer) -> Path | None:
        if isinstance(self.page, str):
            return Path(self.page)
        folder = run_folder(trainer)
        return None if folder is None else folder / "pages" / self.stage(trainer) / f"{self.family}.html"

    def _send(self, trainer: L.Trainer) -> None:
        if self._written is not None:
            log_page(trainer, f"{self.stage(trainer)}/{self.family}", self._written)
