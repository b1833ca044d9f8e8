"""Which similarity is meant, and in which unit."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from torchdisentangle.functional.similarity.channels import NATS_PER_BIT
from torchdisentangle.functional.similarity.comparison import ChannelComparison

Measure = Literal["nmi", "vi"]
Unit = Literal["nats", "bits"]


def similarity_matrix(comparison: ChannelComparison, measure: Measure = "nmi", unit: Unit = "nats") -> Tensor:
    """NMI or VI of all pairs, clipped to the values they can have.

    Args:
        comparison: of ``M`` with ``N`` channels.
        measure: ``"nmi"``, in [0, 1], or ``"vi"``, at least 0.
        unit: of VI, ``"nats"`` or ``"bits"``.

    Returns:
        ``(M, N)``.

    Raises:
        ValueError: for an unknown measure or unit.

    Example:
        >>> import torch
        >>> from torchdisentangle.functional import compare_channels
        >>> similarity_matrix(compare_channels(torch.eye(4)[None], torch.ones(1, 4, 4)), "vi", "bits")
        tensor([[2.]])
    """
    if check_measure(measure) == "nmi":
        return comparison.normalized_mutual_information.clamp(0, 1)
    return in_unit(comparison.variation_of_information.clamp(min=0), unit)


def best_match(similarity: Tensor, rows: Tensor, columns: Tensor, measure: Measure = "nmi") -> Tensor:
    """How well channels are found again: for each the similarity with the most similar other, averaged.

    Args:
        similarity: NMI or VI, ``(M, N)``.
        rows: which channels to look for, booleans ``(M,)``.
        columns: among which, booleans ``(N,)``.
        measure: ``"nmi"``, of which the largest is best, or ``"vi"``, of which the smallest.

    Returns:
        A scalar; NaN if there are no rows or no columns.

    Example:
        >>> import torch
        >>> similarity = torch.tensor([[0.5, 0.9], [0.75, 0.25], [1.0, 0.0]])
        >>> best_match(similarity, torch.tensor([True, True, False]), torch.tensor([True, False]))
        tensor(0.6250)
    """
    chosen = similarity[rows][:, columns]
    if chosen.numel() == 0:
        return similarity.new_tensor(float("nan"))
    return (chosen.amax(1) if check_measure(measure) == "nmi" else chosen.amin(1)).mean()


def measure_label(measure: Measure, unit: Unit = "nats") -> str:
    """What to write at a colour bar."""
    return "NMI" if measure == "nmi" else f"VI ({unit})"


def in_unit(nats: Tensor, unit: Unit) -> Tensor:
    """Nats in the unit asked for."""
    return nats / NATS_PER_BIT if check_unit(unit) == "bits" else nats


def check_measure(measure: Measure) -> Measure:
    """Refuse what is neither ``"nmi"`` nor ``"vi"``."""
    if measure not in get_args(Measure):
        raise ValueError(f"measure must be one of {get_args(Measure)}, got {measure!r}")
    return measure


def check_unit(unit: Unit) -> Unit:
    """Refuse what is neither ``"nats"`` nor ``"bits"``."""
    if unit not in get_args(Unit):
        raise ValueError(f"unit must be one of {get_args(Unit)}, got {unit!r}")
    return unit
