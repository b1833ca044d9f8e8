"""An interactive page of latents: what each does to the data, and what a report says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.evaluation.latent_moves import LatentFrames
from torchdisentangle.evaluation.pictures import Scale, numbers
from torchdisentangle.evaluation.report import Report

_TEMPLATES = Path(__file__).with_name("page")
_OF_LATENTS = {
    "manifold/spectrum": "manifold entropy",
    "informativeness/informativeness": "informativeness",
    "elbo/latent_kl": "KL divergence",
    "similarity/information": "information",
}
_OF_PAIRS = {
    "manifold/pairwise": "MPMI of latents",
    "informativeness/pairwise": "mutual information of latents",
}


def latent_page(frames: LatentFrames, report: Report) -> str:
    """A page that needs no other file and no network.

    Args:
        frames: what it shows.
        report: whose matrices it shows too: of pairs of latents, of latents and factors, and values of latents.

    Returns:
        HTML.
    """
    return render(f"Latents of {frames.model}", content(frames, report))


def render(title: str, content: dict[str, Any]) -> str:
    """A page of what :func:`content` returns.

    Args:
        title: of the page.
        content: what it knows.
    """
    import jinja2  # late: it takes a tenth of a second

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("latents.html").render(title=title, content=content)


def content(frames: LatentFrames, report: Report) -> dict[str, Any]:
    """All that the page knows, as JSON has it.

    Args:
        frames: what it shows.
        report: whose matrices it shows too.
    """
    return {
        "latents": frames.latents,
        "values": numbers(frames.values),
        "startValues": numbers(frames.start_values),
        "start": frames.start,
        "pairs": frames.pairs,
        "pairValues": numbers(frames.pair_values),
        "columns": list(_columns(frames, report.matrices)),
        "matrices": list(_matrices(frames, report)),
        "notes": list(_notes(frames)),
        **(_images(frames) if frames.are_images else _vectors(frames)),
    }


def _images(frames: LatentFrames) -> dict[str, Any]:
    scale = _scale(frames)
    return {
        "kind": "images",
        "size": list(frames.strips.shape[:-3:-1]),
        "base": scale.png(frames.base[None, None]),
        "strips": [scale.png(strip[None]) for strip in frames.strips],
        "pairSize": list(frames.grids.shape[:-3:-1]),
        "grids": [scale.png(grid) for grid in frames.grids],
    }


def _vectors(frames: LatentFrames) -> dict[str, Any]:
    parts = {"base": frames.base, "strips": frames.strips, "grids": frames.grids}
    kind = "points" if len(frames.base) == 2 else "curves"
    return {"kind": kind, **{name: numbers(part) for name, part in parts.items()}}


def _scale(frames: LatentFrames) -> Scale:
    return Scale.of(frames.base, frames.strips, frames.grids)


def _columns(frames: LatentFrames, matrices: Mapping[str, Tensor]) -> Iterator[dict[str, Any]]:
    """Values of the latents, by which they can be sorted."""
    for name, label in _OF_LATENTS.items():
        values = matrices.get(name)
        if values is not None and values.shape == (frames.num_latents,):
            yield {"label": label, "values": numbers(values[frames.latents])}


def _matrices(frames: LatentFrames, report: Report) -> Iterator[dict[str, Any]]:
    """Those of pairs of latents, and those of latents and factors."""
    shown, count = torch.tensor(frames.latents), frames.num_latents
    for name, label in _OF_PAIRS.items():
        matrix = report.matrices.get(name)
        if matrix is not None and matrix.shape == (count, count):
            yield {"label": label, "values": numbers(matrix[shown][:, shown])}
    for name, matrix in report.matrices.items():
        family, _, score = name.rpartition("/")
        if family == "disentanglement" and matrix.ndim == 2 and len(matrix) == count:
            label = f"{score.removesuffix('_matrix').replace('_', ' ')} of latents and factors"
            names = report.columns.get(name) or [f"factor {number}" for number in range(matrix.shape[1])]
            yield {"label": label, "factors": list(names), "values": numbers(matrix[shown])}


def _notes(frames: LatentFrames) -> Iterator[str]:
    """What is not as one would expect."""
    shown, pairs = len(frames.latents), len(frames.pairs)
    if shown < frames.num_latents:
        yield f"Shown are the {shown} of {frames.num_latents} latents that move the data most."
    if pairs < shown * (shown - 1) // 2:
        yield f"Moved together are the {pairs} pairs of latents that share most, by a rough estimate of their MPMI."
    if frames.are_images:
        yield from _notes_of_images(frames)
    else:
        yield from _notes_of_vectors(frames)
    lost = sum(int((~part.flatten(2).isfinite()).any(-1).sum()) for part in (frames.strips, frames.grids.flatten(0, 1)))
    if lost:
        yield f"{lost} of the decoded data hold numbers that are not finite."


def _notes_of_images(frames: LatentFrames) -> Iterator[str]:
    full, scale = " × ".join(map(str, frames.data_shape[-2:])), _scale(frames)
    parts = [frames.strips, *([frames.grids] if frames.pairs else [])]
    sizes = dict.fromkeys(" × ".join(map(str, part.shape[-2:])) for part in parts)
    if list(sizes) != [full]:
        yield f"Images of {full} pixels are shown at {' and '.join(sizes)}."
    if (scale.low, scale.high) != (0, 1):
        yield f"Black is {scale.low:.3g} and white {scale.high:.3g}."


def _notes_of_vectors(frames: LatentFrames) -> Iterator[str]:
    shown, entries = len(frames.base), torch.Size(frames.data_shape).numel()
    if shown == 2:
        yield "A datum is a point. Grey is the start, with the way that a latent takes it."
        return
    scale = _scale(frames)
    of_all = "" if shown == entries else f"{shown} of "
    span = f"from {scale.low:.3g} to {scale.high:.3g}"
    yield f"Curves run over {of_all}the {entries} entries of a datum, {span}. Grey is the start."
