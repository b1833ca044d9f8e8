"""Latent traversals, in every validation epoch."""

from __future__ import annotations

from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import TraversalEvaluation


class LatentTraversalCallback(EvaluationCallback):
    """Shows what each latent does: the data that are decoded while it alone is moved.

    In every validation epoch the callback draws the figure ``<prefix>/latents/traversals``, with a row for each latent.
    The latent moves in equal steps over ``span`` standard deviations of its prior to both sides. The others stay at the
    code of the first validation datum, or at the centre of the prior if the model cannot encode. Training stays bitwise
    the same.

    Args:
        num_steps: values of each latent.
        span: how far to both sides, in standard deviations of the prior.
        num_latents: how many latents to show, those first that move the data most; ``None``: at most 20.
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
        **settings: Unpack[CallbackSettings],
    ) -> None:
        with misconfiguration():
            evaluation = TraversalEvaluation(num_steps, span, num_latents)
        super().__init__(evaluation, **settings)
