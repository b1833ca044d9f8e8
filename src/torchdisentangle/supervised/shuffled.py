"""Scores of codes that know nothing: the floor that a score's estimates make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.statistics import readout
from torchdisentangle.supervised.base import SupervisedScore

_ROWS = ("keys", "codes", "factors")


@readout
def floor(score: SupervisedScore, permutations: int = 10, seed: int = 0) -> Tensor:
    """The score of codes that know nothing: mean over random pairings of the codes with the factors of other rows.

    A method of the scores whose noise does not score 0.

    Args:
        score: that keeps rows, and whose value is one number.
        permutations: how many pairings; each costs as much as the score.
        seed: of the pairings.

    Raises:
        ValueError: if no rows are kept, as for counts in fixed bins.
    """
    return shuffled_scores(score, permutations, seed).mean()


def shuffled_scores(score: SupervisedScore, permutations: int, seed: int) -> Tensor:
    """The score of the rows that are kept, with the factors of other rows: a permutation null.

    The codes stay what they are, and so do the factors, with all that they have to do with each other.

    Args:
        score: that keeps rows, and whose value is one number.
        permutations: how many random pairings.
        seed: of the pairings.

    Returns:
        ``(permutations,)``.

    Raises:
        ValueError: if there is no permutation, or the score keeps no rows.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}")
    if not all(hasattr(score, name) for name in _ROWS):
        raise ValueError(f"{score!r} keeps no rows that could be paired anew")
    score.require_samples(score.state.num_rows(score), "rows", 2)
    state: Any = score.state
    rows = getattr(state, "rows", state).read(score)
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(permutations):
        order = torch.randperm(len(rows), generator=generator).to(rows.keys.device)
        twin = score.copy_with(
            keys=rows.keys.clone(),  # other rows, of which nothing is known yet
            num_unnumbered=torch.zeros_like(score.num_unnumbered),
            **{**rows.columns, "factors": rows["factors"][order]},
        )
        values.append(twin.compute())
    return torch.stack(values)
