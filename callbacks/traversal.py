"""Latent traversals, in every validation epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.models import LatentModel
from torchdisentangle.plots.traversal import plot_traversals


class LatentTraversalCallback(EvaluationCallback):
    """Shows what each latent does: the data that are decoded while it alone is moved.

    Logs the figure ``<prefix>/latents/traversals``: a row for each latent, moved in equal steps over ``span`` standard
    deviations of its prior to both sides, while the others stay where the first validation datum is encoded (at the
    centre of the prior where the model cannot encode). Nothing about the training changes.

    Args:
        num_steps: values of each latent.
        span: how far to both sides, in standard deviations of the prior.
        num_latents: how many latents to show, those first that move the data most; ``None``: at most 20.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`: ``prefix``,
            ``every_n_epochs``, ``figures``, ``seed``, ``dataloader_idx``, ``input_key``, ``label_key``,
            ``latent_dim``, ``num_classes``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model cannot decode.

    Example:
        >>> callback = LatentTraversalCallback(num_steps=7, every_n_epochs=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "latents"

    def __init__(self, num_steps: int = 9, span: float = 2.0, num_latents: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_steps < 2 or span <= 0 or (num_latents is not None and num_latents < 1):
            raise MisconfigurationException(
                f"at least 2 steps, a positive span and 1 latent are needed, got {num_steps}, {span} and {num_latents}"
            )
        self.num_steps, self.span, self.num_latents = num_steps, span, num_latents
        self._shown: tuple[Tensor, Tensor, list[int]] | None = None

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding."""
        return ("decode",)

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Decode from the centre of the prior."""
        self._traverse(model, self._center(model), None)

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Nothing is shown yet."""
        self._shown = None

    @property
    def done(self) -> bool:
        """After one batch."""
        return self._shown is not None

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Move the latents of the batch's first datum."""
        if model.supports("encode"):
            first = self.take(batch, self.input_key)[:1]
            labels = None if model.num_classes is None else self.take(batch, self.label_key)[:1]
            like = next((p for p in model.module.parameters() if p.is_floating_point()), first)
            posterior = model.encode(first.to(like) if first.is_floating_point() else first, labels)
            self._shown = self._traverse(model, posterior.mean, labels)
        else:
            self._shown = self._traverse(model, self._center(model), None)

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """The figure; no curves."""
        if self._shown is None:  # this process had no batch
            return {}, {}
        data, values, latents = self._shown
        return {}, {"traversals": lambda: plot_traversals(data, values, labels=latents)[0]}

    def _center(self, model: LatentModel) -> Tensor:
        like = next((p for p in model.module.parameters() if p.is_floating_point()), torch.empty(0))
        return model.prior.loc[:1].to(like)

    def _traverse(self, model: LatentModel, start: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, list[int]]:
        """Decoded data ``(latents, steps, *data_shape)``, the values in standard deviations, and which latents."""
        values = torch.linspace(-self.span, self.span, self.num_steps)
        if labels is None and model.num_classes is not None:
            labels = torch.zeros(1, dtype=torch.int64, device=start.device)
        prior = model.prior
        row = int(labels) if labels is not None and len(prior.loc) > 1 else 0
        loc, std = prior.loc[row].to(start), prior.standard_deviations()[row].to(start)
        decoded = []
        for latent in range(model.latent_dim):
            z = start.repeat(self.num_steps, 1)
            z[:, latent] = loc[latent] + std[latent] * values.to(start)
            data = model.decode(z) if labels is None else model.decode(z, labels.expand(self.num_steps))
            decoded.append(data.detach().float().cpu())
        data = torch.stack(decoded)
        movement = data.flatten(2).std(1).square().sum(1)
        latents = movement.argsort(descending=True, stable=True)[: self.num_latents or 20]
        return data[latents], values, latents.tolist()
