"""Whole spaces of runs in ``torchdisentangle compare``: a few lines of text, and a table of all pairs."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import torch

from torchdisentangle.similarity.space_comparison import SpaceComparison

LABELS = {
    "linear_cka": "linear CKA",
    "svcca": "SVCCA",
    "procrustes_distance": "Procrustes distance",
    "rsa": "RSA",
}


def describe_spaces(comparison: SpaceComparison) -> str:
    """Mean and extremes of each measure over all pairs of runs.

    Args:
        comparison: of at least two runs.

    Example:
        >>> eye = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
        >>> print(describe_spaces(SpaceComparison(["a", "b"], eye, eye, 1 - eye, eye, 100)))
        whole spaces of 2 runs at 100 points
        linear CKA           0.50
        SVCCA                0.50
        Procrustes distance  0.50
        RSA                  0.50
    """
    lines = [f"whole spaces of {len(comparison.names)} runs at {comparison.num_points} points"]
    upper = torch.triu_indices(len(comparison.names), len(comparison.names), 1)
    for name, label in LABELS.items():
        values = getattr(comparison, name)[upper[0], upper[1]]
        extremes = f", from {values.min():.2f} to {values.max():.2f}" if len(values) > 1 else ""
        lines.append(f"{label:20} {values.mean():.2f}{extremes}")
    return "\n".join(lines)


def write_spaces(path: Path, comparison: SpaceComparison) -> None:
    """Write a table with a line for each pair of runs.

    Args:
        path: of the file.
        comparison: of at least two runs.
    """
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["run_a", "run_b", *LABELS])
        for i, j in combinations(range(len(comparison.names)), 2):
            values = [f"{float(getattr(comparison, name)[i, j]):.6g}" for name in LABELS]
            table.writerow([comparison.names[i], comparison.names[j], *values])
