"""The example's figure: scores against the correlation of the factors."""

from __future__ import annotations

from matplotlib.figure import Figure

from torchdisentangle.evaluation import Report
from torchdisentangle.plots import BLUE, GREY, ORANGE, figure_style


def draw_scores(
    correlations: list[float], exact: list[float], scores: dict[str, list[Report]], labels: dict[str, str]
) -> Figure:
    """One panel for each score, with a curve for the perfect and one for the mixed codes."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.1), layout="constrained")
        axes = figure.subplots(1, len(labels), sharey=True)
        for ax, (score, label) in zip(axes, labels.items(), strict=True):
            for (name, found), colour, marker in zip(scores.items(), (BLUE, ORANGE), ("o", "s"), strict=True):
                values = [row[score] for row in found]
                ax.plot(
                    correlations, values, marker, ls="-", color=colour, markersize=3.5, lw=1.2, label=f"{name} codes"
                )
            ax.set(title=label, xlabel="correlation of paired factors", ylim=(-0.03, 1.05))
        axes[0].plot(correlations, exact, color=GREY, lw=3, alpha=0.4, zorder=0, label="perfect, exact")
        axes[0].set(ylabel="score")
        axes[1].legend(*axes[0].get_legend_handles_labels(), loc="lower left")  # where no curve is
    return figure
