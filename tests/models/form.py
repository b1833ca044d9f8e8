"""A way to write a model, and what it can do: what the lists of models consist of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from torchdisentangle.models import Posterior


class Made(NamedTuple):
    """A model of some form, and what its abilities should give, by its own means.

    Args:
        module: the model.
        encode: the mean and the log-variance (or ``None``) of data; takes labels, too, of a conditional model.
        decode: the data of latents, likewise.
        data_shape: of one row.
        latent_dim: the number of latents.
        settings: of ``as_latent_model``.
    """

    module: Any
    encode: Callable[..., tuple[Tensor, Tensor | None] | Posterior] | None = None
    decode: Callable[..., Tensor] | None = None
    data_shape: tuple[int, ...] = (6,)
    latent_dim: int = 2
    settings: dict[str, int] = {}  # noqa: RUF012


class Form(NamedTuple):
    """A way to write a model.

    Args:
        name: how a user says it; ``{}`` stands for the variants.
        make: makes a model, of a variant if there are any.
        encodes: ``"yes"``; ``"mean only"``, if there is no variance; ``"no"``.
        decodes: whether it decodes.
        log_det: whether it gives the log-determinant of its decoder.
        note: what the user has to know.
        variants: names or classes that do the same.
        refused: what the error says, of a form that is refused.
    """

    name: str
    make: Callable[..., Made]
    encodes: str = "yes"
    decodes: bool = True
    log_det: bool = False
    note: str = ""
    variants: tuple[str, ...] = ()
    refused: str = ""

    @property
    def title(self) -> str:
        """The name with its variants."""
        *others, last = [f"`{variant}`" for variant in self.variants] or [""]
        return self.name.format(f"{', '.join(others)} or {last}" if others else last)


def table(forms: list[Form]) -> str:
    """The forms as a table in Markdown.

    Example:
        >>> print(table([Form("a {}", Made, "mean only", variants=("Flow",))]).splitlines()[2])
        | a `Flow` | mean only | yes | no |  |
    """
    rows = [["model", "encodes", "decodes", "log-determinant", "note"], ["---"] * 5]
    for form in forms:
        able = [form.encodes, *("yes" if has else "no" for has in (form.decodes, form.log_det))]
        rows.append([form.title, *(["refused"] * 3 if form.refused else able), form.note])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
