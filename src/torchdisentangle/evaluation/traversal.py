"""Latent traversals: what each latent does to the data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from torchdisentangle.evaluation.base import Context, Evaluation, Pass
from torchdisentangle.evaluation.latent_moves import MOST_LATENTS, LatentFrames, Start
from torchdisentangle.evaluation.latent_page import latent_page
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots.traversal import plot_traversals

_MOST_SHOWN = 20


@dataclass(frozen=True)
class TraversalEvaluation(Evaluation):
    """The data that are decoded while one latent at a time is moved.

    Args:
        num_steps: values of each latent.
        span: how far to both sides, in standard deviations of the prior.
        num_latents: how many latents to show, those first that move the data most; ``None``: at most 20 in the figure,
            and 64 on the page.
        page: whether the report has an interactive page, :meth:`~torchdisentangle.Report.save_page`.

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
    page: bool = True

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
        self.traverse(center(model))

    def begin(self, model: LatentModel, place: Place, context: Context) -> TraversalPass:
        """Begin a pass."""
        return TraversalPass(self, model, with_page=self.page and context.figures and place.rank == 0)

    @property
    def values(self) -> Tensor:
        """What each latent is moved to, in standard deviations of the prior, ``(num_steps,)``."""
        return torch.linspace(-self.span, self.span, self.num_steps)

    def traverse(self, start: Start) -> tuple[list[int], Tensor]:
        """Move each latent away from a start.

        Returns:
            The latents, those first that move the data most, and what is decoded, in the latents' own order,
            ``(d, num_steps, *data_shape)``.
        """
        steps = self.values[:, None]
        data = torch.stack([start.decoded([latent], steps) for latent in range(start.model.latent_dim)])
        movement = data.flatten(2).std(1).square().sum(1)
        return movement.argsort(descending=True, stable=True).tolist(), data


class TraversalPass(Pass):
    """One evaluation of :class:`TraversalEvaluation`."""

    def __init__(self, evaluation: TraversalEvaluation, model: LatentModel, with_page: bool) -> None:
        self.evaluation = evaluation
        self.model = model
        self.with_page = with_page
        self.report: Report | None = None

    def start(self) -> None:
        """Start from the centre of the prior if the model cannot encode."""
        if not self.model.supports("encode"):
            self._show(center(self.model), "the centre of the prior")

    @property
    def done(self) -> bool:
        """Whether there is something to show."""
        return self.report is not None

    def wants(self, index: Tensor) -> Tensor:
        """The first row."""
        return index == index[:1]

    def add(self, rows: Rows) -> None:
        """Start from the first row's posterior mean."""
        labels = None if self.model.num_classes is None else rows.labels[:1]
        self._show(Start(self.model, rows.mean[:1], labels), "the code of the first datum")

    def finish(self) -> Report:
        """The figure and the page; no scalars, and nothing on a process that had no rows."""
        return Report() if self.report is None else self.report

    def _show(self, start: Start, description: str) -> None:
        settings, values = self.evaluation, self.evaluation.values
        latents, data = settings.traverse(start)
        few = latents[: settings.num_latents or _MOST_SHOWN]
        matrices = {"traversals": data[few], "steps": values, "latents": torch.tensor(few)}
        figures = {
            "traversals": partial(
                plot_traversals, matrices["traversals"], values, labels=few, num_latents=self.model.latent_dim
            )
        }
        pages = {}
        if self.with_page:
            many = latents[: min(settings.num_latents or MOST_LATENTS, MOST_LATENTS)]
            pages["latents"] = partial(latent_page, LatentFrames.decode(start, description, many, values, data[many]))
        self.report = Report({}, matrices, draws(figures), 1, pages=pages)


def center(model: LatentModel) -> Start:
    """The centre of the prior, of its first class if it has several."""
    labels = None if model.num_classes is None else torch.zeros(1, dtype=torch.int64, device=model.like.device)
    return Start(model, model.prior.loc[:1].detach().to(model.like), labels)
