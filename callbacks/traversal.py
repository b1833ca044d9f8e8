"""Latent traversals, in every validation epoch."""

from __future__ import annotations

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.evaluation import TraversalEvaluation
from torchdisentangle.evaluation.rows import Key


class LatentTraversalCallback(EvaluationCallback):
    """Shows what each latent does: the data that are decoded while it alone is moved.

    In every validation epoch the callback draws the figure ``<prefix>/latents/traversals``: a row for each latent,
    moved in equal steps over ``span`` standard deviations of its prior to both sides, while the others stay where the
    first validation datum is encoded (at the centre of the prior where the model cannot encode). Training is bitwise
    unchanged.

    Args:
        num_steps: values of each latent.
        span: how far to both sides, in standard deviations of the prior.
        num_latents: how many latents to show, those first that move the data most; ``None``: at most 20.
        prefix: first part of the logged keys; by default ``val`` in fit and validate, ``test`` in test. Two callbacks
            of one family need different ones.
        every_n_epochs: how often to evaluate in a fit (validate and test always evaluate).
        figures: draw figures at every ``figures``-th evaluation of a fit; ``True``: at each, ``False``: never.
        dataloader_idx: which validation data loader to use where there are several.
        input_key: where the data are in a batch: a position, a key or an attribute (dotted: ``"meta.image"``), or a
            function of the batch; ``None``: the batch itself if it is a tensor, else its first element.
        label_key: where the labels are in a batch, likewise.
        latent_dim: number of latents, if the model does not tell.
        num_classes: number of classes of a conditional model, if it does not tell.

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
        *,
        prefix: str | None = None,
        every_n_epochs: int = 1,
        figures: bool | int = True,
        dataloader_idx: int = 0,
        input_key: Key = None,
        label_key: Key = 1,
        latent_dim: int | None = None,
        num_classes: int | None = None,
    ) -> None:
        with misconfiguration():
            evaluation = TraversalEvaluation(num_steps, span, num_latents)
        super().__init__(
            evaluation,
            prefix=prefix,
            every_n_epochs=every_n_epochs,
            figures=figures,
            dataloader_idx=dataloader_idx,
            input_key=input_key,
            label_key=label_key,
            latent_dim=latent_dim,
            num_classes=num_classes,
        )
