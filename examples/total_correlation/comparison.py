"""What the runs say together, and how far other seeds might have said something else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from figure import Run
from numpy.typing import NDArray
from scipy.stats import spearmanr

Array = NDArray[np.float64]
COLUMNS = ("reconstruction", "total_correlation", "mig")
DRAWS = 2000


class Runs:
    """The values of all runs, (weights, seeds, columns) for each model; each model has every seed at every weight."""

    def __init__(self, runs: list[Run]) -> None:
        self.seeds = np.unique([run.seed for run in runs])
        self.values: dict[str, Array] = {}
        for name in dict.fromkeys(run.model for run in runs):
            found = sorted((run for run in runs if run.model == name), key=lambda run: (run.weight, run.seed))
            table = np.array([[getattr(run, column) for column in COLUMNS] for run in found])
            self.values[name] = table.reshape(-1, len(self.seeds), len(COLUMNS))

    def rank_correlation(self, seeds: Array) -> float:
        """Spearman's correlation of total correlation and MIG over all runs with these seeds."""
        table = np.concatenate([values[:, seeds].reshape(-1, len(COLUMNS)) for values in self.values.values()])
        return float(spearmanr(table[:, 1], table[:, 2]).statistic)

    def gain(self, name: str, column: str, seeds: Array) -> float:
        """By what a model is above the beta-VAE of the same reconstruction, from means over these seeds.

        Averaged over those weights of the model at which its reconstruction is in the range of the beta-VAE's, between
        whose betas the column is interpolated. NaN where there are none.
        """
        number = COLUMNS.index(column)
        curve, means = (self.values[which][:, seeds].mean(1)[:, [0, number]] for which in ("beta-VAE", name))
        curve = curve[curve[:, 0].argsort()]
        inside = means[(means[:, 0] >= curve[0, 0]) & (means[:, 0] <= curve[-1, 0])]
        return float((inside[:, 1] - np.interp(inside[:, 0], *curve.T)).mean()) if len(inside) else float("nan")

    def estimate(self, statistic: Callable[[Array], float]) -> tuple[float, float, float]:
        """A statistic of all seeds, and the ends of its 90% interval by the bootstrap over seeds.

        A seed is drawn with all its runs: models of the same seed start from the same autoencoder, so that they are
        not independent.
        """
        everything = np.arange(len(self.seeds))
        draws = np.random.default_rng(0).integers(len(everything), size=(DRAWS, len(everything)))
        low, high = np.nanquantile([statistic(draw) for draw in draws], [0.05, 0.95])
        return statistic(everything), float(low), float(high)

    def table(self, weights: dict[str, tuple[float, ...]]) -> str:
        """Means over seeds in Markdown, and the range of MIG."""
        lines = ["| model | weight | reconstruction | total correlation | MIG | MIG, lowest to highest |"]
        lines.append("| --- |" + " ---: |" * 5)
        for name, values in self.values.items():
            for weight, found in zip(sorted(weights[name]), values, strict=True):
                reconstruction, correlation, mig = found.mean(0)
                low, high = found[:, 2].min(), found[:, 2].max()
                numbers = f"{reconstruction:.2f} | {correlation:.3f} | {mig:.2f} | {low:.2f} to {high:.2f}"
                lines.append(f"| {name} | {weight:g} | {numbers} |")
        return "\n".join(lines)
