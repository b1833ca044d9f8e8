"""Latent traversals: what each latent does to the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.evaluation.base import Context, Evaluation, Pass
from torchdisentangle.evaluation.latents import decode
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots.traversal import plot_traversals

_MOST_SHOWN = 20


class Traversals(NamedTuple):
    """Decoded data ``(latents, steps, *data_shape)``, the steps in standard deviations, and which latents they are."""

    data: Tensor
    values: Tensor
    latents: list[int]


@dataclass(frozen=True)
class TraversalEvaluation(Evaluation):
    """The data that are decoded while one latent at a time is moved.

    Args:
        num_steps: values of each latent.
        span: how far to both sides, in standard deviations of the prior.
        num_latents: how many latents to show, those first that move the data most; ``None``: at most 20.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> TraversalEvaluation(num_steps=7).abilities
        ('decode',)
    """

    family: ClassVar[str] = "latents"

    num_steps: int = 9
    span: float = 2.0
    num_latents: int | None = None

    def __post_init__(self) -> None:
        if self.num_steps < 2 or self.span <= 0 or (self.num_latents is not None and self.num_latents < 1):
            got = f"{self.num_steps}, {self.span} and {self.num_latents}"
            raise ValueError(f"at least 2 steps, a positive span and 1 latent are needed, got {got}")

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding."""
        return ("decode",)

    def rehearse(self, model: LatentModel, place: Place) -> None:
        """Decode from the centre of the prior."""
        self.traverse(model, center(model), None)

    def begin(self, model: LatentModel, place: Place, context: Context) -> TraversalPass:
        """Begin a pass."""
        return TraversalPass(self, model)

    def traverse(self, model: LatentModel, start: Tensor, labels: Tensor | None) -> Traversals:
        """Move each latent away from a start ``(1, d)``."""
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
            data = decode(model, z, None if labels is None else labels.expand(self.num_steps))
            decoded.append(data.detach().float().cpu())
        data = torch.stack(decoded)
        movement = data.flatten(2).std(1).square().sum(1)
        latents = movement.argsort(descending=True, stable=True)[: self.num_latents or _MOST_SHOWN]
        return Traversals(data[latents], values, latents.tolist())


class TraversalPass(Pass):
    """One evaluation of :class:`TraversalEvaluation`."""

    def __init__(self, evaluation: TraversalEvaluation, model: LatentModel) -> None:
        self.evaluation = evaluation
        self.model = model
        self.shown: Traversals | None = None

    def start(self) -> None:
        """Start from the centre of the prior if the model cannot encode."""
        if not self.model.supports("encode"):
            self.shown = self.evaluation.traverse(self.model, center(self.model), None)

    @property
    def done(self) -> bool:
        """Whether there is something to show."""
        return self.shown is not None

    def wants(self, index: Tensor) -> Tensor:
        """The first row."""
        return index == index[:1]

    def add(self, rows: Rows) -> None:
        """Start from the first row's posterior mean."""
        labels = None if self.model.num_classes is None else rows.labels[:1]
        self.shown = self.evaluation.traverse(self.model, rows.mean[:1], labels)

    def finish(self) -> Report:
        """The figure; no scalars."""
        if self.shown is None:  # this process had no rows
            return Report()
        data, values, latents = self.shown
        count = self.model.latent_dim
        figures = {"traversals": lambda: plot_traversals(data, values, labels=latents, num_latents=count)}
        matrices = {"traversals": data, "steps": values, "latents": torch.tensor(latents)}
        return Report({}, matrices, draws(figures), 1)


def center(model: LatentModel) -> Tensor:
    """The centre of the prior, of its first class if it has several, ``(1, d)``."""
    return model.prior.loc[:1].detach().to(model.like)
