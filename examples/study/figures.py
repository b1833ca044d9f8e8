"""The study's figures: how scores agree, what predicts them, and what they are made of and cost."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from analysis import EFFECTS, Scored
from matplotlib.figure import Figure
from rules import Findings
from scores import COMPARED, GROUPS, UNSUPERVISED, kind_of, question_of

from torchdisentangle.plots import BLUE, GREEN, GREY, ORANGE, figure_style


def _order(names: Sequence[str]) -> list[int]:
    """By question, in each as they come."""
    questions = [*GROUPS, None]
    return sorted(range(len(names)), key=lambda number: questions.index(question_of(names[number])))


def draw_agreement(tables: Sequence[Scored], found: Findings) -> Figure:
    """Rank correlations of all pairs of scores, means over data sets, and of those without factors with all."""
    names = tables[0].names
    order = _order(names)
    pairs = sum(one.pairs for one in found.agreements) / len(tables)
    predicted = sum(one.predicted for one in found.agreements) / len(tables)
    others = [*UNSUPERVISED, *COMPARED]
    values = np.concatenate([pairs.numpy()[order][:, order], predicted.numpy()[:, order]])
    labels = [*(names[number] for number in order), *others]
    with figure_style():
        figure, ax = plt.subplots(figsize=(8.2, 8.6), layout="constrained")
        image = ax.imshow(values, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
        ax.set_yticks(range(len(labels)), labels, fontsize=5)
        ax.set_xticks(range(len(order)), labels[: len(order)], fontsize=5, rotation=90)
        sizes = np.cumsum([sum(question_of(name) == question for name in names) for question in GROUPS])
        for edge in sizes:
            ax.axvline(edge - 0.5, color="black", linewidth=0.6)
            ax.axhline(edge - 0.5, color="black", linewidth=0.6)
        ax.axhline(len(order) - 0.5, color="black", linewidth=1.5)
        for middle, question in zip((sizes + np.array([0, *sizes[:-1]])) / 2, GROUPS, strict=True):
            ax.text(middle - 0.5, -1, question, ha="center", fontsize=7)
        figure.colorbar(image, ax=ax, label="rank correlation, mean of the data sets", shrink=0.4, aspect=30)
    return figure


def draw_predictors(tables: Sequence[Scored], found: Findings) -> Figure:
    """What is known without factors, against the consensus of the scores that know them."""
    names = [*UNSUPERVISED, *COMPARED]
    with figure_style():
        figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
        for number, (table, one) in enumerate(zip(tables, found.agreements, strict=True)):
            ends = np.array([one.with_all[name] for name in names])
            y = np.arange(len(names))[::-1] + 0.15 * (1 - 2 * number)
            reach = np.abs(ends[:, 1:] - ends[:, :1]).T
            ax.errorbar(
                ends[:, 0],
                y,
                xerr=reach,
                fmt="os"[number],
                color=(BLUE, ORANGE)[number],
                markersize=4,
                label=table.name,
            )
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.axhline(len(COMPARED) - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        signs = {**UNSUPERVISED, **COMPARED}
        ax.set_yticks(range(len(names))[::-1], [f"{'less ' if signs[name] < 0 else ''}{name}" for name in names])
        ax.set_xlabel("rank correlation with the consensus of all scores with factors")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def draw_shares(tables: Sequence[Scored], found: Findings) -> Figure:
    """Left: what the variance of each score belongs to. Right: what it costs with its interval."""
    names = tables[0].names
    order = _order(names)
    shares = sum(found.shares) / len(tables)
    rows = [*order, *(len(names) + number for number in range(len(UNSUPERVISED)))]
    labels = [*(names[number] for number in order), *UNSUPERVISED]
    costs = [_seconds(tables, name) for name in labels]
    y = np.arange(len(rows))
    with figure_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(7.6, 8.6), layout="constrained", sharey=True, width_ratios=(3, 1)
        )
        start = np.zeros(len(rows))
        for effect, part, colour in zip(EFFECTS, shares.numpy()[:, rows], (BLUE, GREEN, ORANGE), strict=True):
            left.barh(y, part, left=start, color=colour, label=effect, height=0.8)
            start = start + part
        left.set_yticks(y, labels, fontsize=5)
        left.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="share of the variance, mean of the data sets")
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        right.plot(costs, y, "o", color="black", markersize=3)
        right.set(xscale="log", xlim=(5e-4, 20), xticks=(1e-3, 1e-2, 0.1, 1, 10), xlabel="seconds, with interval")
        right.axvline(1, color=GREY, linewidth=0.6)
    return figure


def _seconds(tables: Sequence[Scored], name: str) -> float:
    """Of one core; several scores may come of one evaluation."""
    entry = kind_of(name) or name.partition("/")[0]
    return sum(table.costs[entry] for table in tables) / len(tables)
