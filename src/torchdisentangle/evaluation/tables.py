"""The matrices of a report as tables, for loggers and data frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from torchdisentangle.evaluation.report import Report

Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[float]]]
"""Names of the columns, and rows."""

_LARGEST = 10_000  # numbers; more is no table that anyone reads


def tables_of(report: Report) -> dict[str, Table]:
    """One table with a row for each latent and all values that latents have, and one for each matrix of latents.

    Args:
        report: of one evaluation.

    Returns:
        Tables by name: ``latents``, and the names of the matrices.

    Example:
        >>> import torch
        >>> matrices = {"kl": torch.tensor([2.0, 0.5]), "mutual_information": torch.eye(2)}
        >>> report = Report({}, matrices, columns={"mutual_information": ["shape", "size"]})
        >>> tables_of(report)["mutual_information"]
        (['latent', 'shape', 'size'], [[0, 1.0, 0.0], [1, 0.0, 1.0]])
        >>> tables_of(report)["latents"]
        (['latent', 'kl'], [[0, 2.0], [1, 0.5]])
    """
    tables: dict[str, Table] = {}
    vectors = {name: value for name, value in report.matrices.items() if value.ndim == 1}
    lengths = Counter(len(value) for value in vectors.values())
    if lengths:
        ((length, _),) = lengths.most_common(1)
        columns = {name: value for name, value in vectors.items() if len(value) == length}
        rows = zip(*(value.tolist() for value in columns.values()), strict=True)
        tables["latents"] = (["latent", *columns], [[number, *row] for number, row in enumerate(rows)])
    for name, matrix in report.matrices.items():
        if matrix.ndim == 2 and 0 < matrix.numel() <= _LARGEST:
            tables[name] = _table(matrix, report.columns.get(name))
    return tables


def _table(matrix: Tensor, names: Sequence[str] | None) -> Table:
    columns = list(names or map(str, range(matrix.shape[1])))
    return ["latent", *columns], [[number, *row] for number, row in enumerate(matrix.tolist())]
