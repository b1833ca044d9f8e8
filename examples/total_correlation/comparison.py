"""What the runs say together, and how far other seeds might have said something else."""

from __future__ import annotations

import numpy as np
from figure import Run
from numpy.typing import NDArray
from scipy.stats import spearmanr
from verdicts import Interval, resampled

Array = NDArray[np.float64]
COLUMNS = ("reconstruction", "total_correlation", "mig")


class Runs:
    """The values of all runs, (betas, seeds, columns) for each model; each model has every seed at every beta.

    Intervals leave out a seed with all its runs: models of the same seed start from the same autoencoder, so that they
    are not independent.
    """

    def __init__(self, runs: list[Run]) -> None:
        self.seeds = len({run.seed for run in runs})
        self.values: dict[str, Array] = {}
        for name in dict.fromkeys(run.model for run in runs):
            found = sorted((run for run in runs if run.model == name), key=lambda run: (run.beta, run.seed))
            table = np.array([[getattr(run, column) for column in COLUMNS] for run in found])
            self.values[name] = table.reshape(-1, self.seeds, len(COLUMNS))

    def rank_correlation(self) -> Interval:
        """Spearman's correlation of total correlation and MIG over all runs."""

        def statistic(seeds: NDArray[np.intp]) -> float:
            table = np.concatenate([values[:, seeds].reshape(-1, len(COLUMNS)) for values in self.values.values()])
            return float(spearmanr(table[:, 1], table[:, 2]).statistic)

        return resampled(statistic, self.seeds)

    def gain(self, column: str) -> Interval:
        """By what the beta-TCVAE is above the beta-VAE of the same reconstruction.

        The means over seeds of the beta-VAE are interpolated between its betas. NaN if the beta-TCVAE's reconstruction
        is out of their range.
        """
        number = COLUMNS.index(column)

        def statistic(seeds: NDArray[np.intp]) -> float:
            curve, (mean,) = (self.values[name][:, seeds].mean(1)[:, [0, number]] for name in self.values)
            curve = curve[curve[:, 0].argsort()]
            return float(mean[1] - np.interp(mean[0], *curve.T, left=np.nan, right=np.nan))

        return resampled(statistic, self.seeds)

    def table(self, betas: dict[str, tuple[float, ...]]) -> str:
        """Means over seeds in Markdown, and the range of MIG."""
        lines = ["| model | beta | reconstruction | total correlation | MIG | MIG, lowest to highest |"]
        lines.append("| --- |" + " ---: |" * 5)
        for name, values in self.values.items():
            for beta, found in zip(sorted(betas[name]), values, strict=True):
                reconstruction, correlation, mig = found.mean(0)
                low, high = found[:, 2].min(), found[:, 2].max()
                numbers = f"{reconstruction:.2f} | {correlation:.3f} | {mig:.2f} | {low:.2f} to {high:.2f}"
                lines.append(f"| {name} | {beta:g} | {numbers} |")
        return "\n".join(lines)
