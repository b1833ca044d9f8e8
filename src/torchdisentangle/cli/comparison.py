"""The comparison of runs' latent channels as text, JSON, CSV and figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

import torchdisentangle
from torchdisentangle.cli.output import without_nan
from torchdisentangle.cli.spaces import LABELS
from torchdisentangle.plots import plot_similarity
from torchdisentangle.similarity.ensemble import EnsembleComparison
from torchdisentangle.similarity.hot_spots import HotSpots
from torchdisentangle.similarity.measure import Measure, Unit, in_unit, measure_label, similarity_matrix
from torchdisentangle.similarity.space_comparison import SpaceComparison

_WIDEST = 20  # columns that are printed


class Comparison:
    """Similarities of the channels of runs, by one measure.

    Args:
        ensemble: the channels of all runs.
        measure: of similarity.
        unit: of information.
    """

    def __init__(self, ensemble: EnsembleComparison, measure: Measure, unit: Unit) -> None:
        self.ensemble, self.measure, self.unit = ensemble, measure, unit
        self.label = measure_label(measure, unit)
        self.matrix = similarity_matrix(ensemble.comparison, measure, unit)
        self.information = in_unit(ensemble.comparison.information_a, unit)

    @property
    def names(self) -> Sequence[str]:
        """Of the channels."""
        return self.ensemble.names

    def described_channels(self, order: Tensor, table: Path) -> str:
        """The similarities of informative channels, as many as there is room for.

        Args:
            order: the channels, ``(M,)``.
            table: the file with all of them.
        """
        shown = order[:_WIDEST].tolist()
        left_out = f"\n... and {len(order) - len(shown)} more, see {table}" if len(shown) < len(order) else ""
        return (
            f"{self.label} of {len(order)} informative channels at {self.ensemble.num_points} points\n\n"
            f"{format_matrix([self.names[i] for i in shown], self.matrix[shown][:, shown])}{left_out}"
        )

    def described_spots(self, spots: HotSpots) -> str:
        """Hot spots in words: their members, how similar those of different runs are, and how much they tell."""
        runs = [name.rpartition(":")[0] for name in self.names]
        lines = []
        for number, members in enumerate(_members(spots)):
            across = [float(self.matrix[i, j]) for i in members for j in members if runs[i] != runs[j]]
            similarity = f"mean {self.label} across runs {sum(across) / len(across):.2f}, " if across else ""
            lines.append(
                f"hot spot {number}: {len(members)} channels of {len({runs[i] for i in members})} runs, {similarity}"
                f"information {self.information[members].mean():.2f} {self.unit}: "
                f"{' '.join(self.names[i] for i in members)}"
            )
        return "\n".join(lines) if lines else "no hot spots"

    def figures(self, spots: HotSpots) -> dict[str, Figure]:
        """The informative channels against each other, and against the labels if all runs have the same ones."""
        ordered, order = [self.names[i] for i in spots.order], spots.order
        labels = spots.labels[order]
        figure, _ = plot_similarity(
            self.matrix[order][:, order],
            reachability=spots.reachability,
            hot_spots=labels,
            row_labels=ordered,
            label=self.label,
        )
        figures = {"similarity.png": figure}
        if self.ensemble.with_labels is not None:
            with_labels = similarity_matrix(self.ensemble.with_labels, self.measure, self.unit)[order]
            columns = [f"label {k}" for k in range(with_labels.shape[1])]
            figures["labels.png"], _ = plot_similarity(
                with_labels, row_labels=ordered, column_labels=columns, label=self.label
            )
        return figures

    def to_csv(self) -> str:
        """CSV with a row for each channel: its information, and its similarity with every channel."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["channel", "information", *self.names])
        for name, value, row in zip(self.names, self.information.tolist(), self.matrix.tolist(), strict=True):
            table.writerow([name, *(f"{x:.6g}" for x in (value, *row))])
        return text.getvalue()

    def to_json(self, files: Sequence[Path], spots: HotSpots, spaces: SpaceComparison | None) -> str:
        """JSON of all matrices, and of the members of each hot spot."""
        content = {
            "files": [str(file) for file in files],
            "measure": self.measure,
            "unit": self.unit,
            "points": self.ensemble.num_points,
            "channels": list(self.names),
            "information": self.information.tolist(),
            "similarity": self.matrix.tolist(),
            "hot_spots": [[self.names[i] for i in members] for members in _members(spots)],
            "spaces": {} if spaces is None else {name: getattr(spaces, name).tolist() for name in LABELS},
            "version": torchdisentangle.__version__,
        }
        return json.dumps(without_nan(content), indent=2, allow_nan=False)


def _members(spots: HotSpots) -> list[list[int]]:
    return [(spots.labels == label).nonzero()[:, 0].tolist() for label in range(int(spots.labels.max()) + 1)]


def format_matrix(names: Sequence[str], matrix: Tensor) -> str:
    """A matrix as text, with names of rows and numbers of columns.

    Args:
        names: of the rows, which are the columns too.
        matrix: ``(M, M)``.

    Example:
        >>> import torch
        >>> print(format_matrix(["a:0", "b:0"], torch.tensor([[1.0, 0.25], [0.25, 1.0]])))
                 1    2
        1 a:0 1.00 0.25
        2 b:0 0.25 1.00
    """
    width, digits = max(map(len, names)), len(str(len(names)))
    head = " " * (digits + width + 1) + "".join(f" {i + 1:4d}" for i in range(len(names)))
    lines = [
        f"{i + 1:{digits}d} {name:{width}}" + "".join(f" {value:4.2f}" for value in row)
        for i, (name, row) in enumerate(zip(names, matrix.tolist(), strict=True))
    ]
    return "\n".join([head, *lines])
