"""The figures of the story: spectra beside the true one, shared information, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.plots import BLUE, ORANGE, figure_style

COLOURS = (ORANGE, BLUE)  # maximum likelihood, principal manifolds


def latent_names(size: int) -> list[str]:
    """The true latents: angles, then radii."""
    return [rf"$\theta_{{{i + 1}}}$" for i in range(size // 2)] + [rf"$r_{{{i + 1}}}$" for i in range(size // 2)]


def draw_spectra(truth: Tensor, spectra: Mapping[str, Sequence[Tensor]]) -> Figure:
    """The sorted spectra, as one would see them without the truth, and errors of matched latents, a line a seed."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        ordered, errors = figure.subplots(1, 2)
        rank = range(1, len(truth) + 1)
        ordered.plot(rank, truth.sort(descending=True).values, color="#333333", lw=4, alpha=0.25, label="true process")
        position = truth.argsort(descending=True)
        for (name, of_seeds), colour in zip(spectra.items(), COLOURS, strict=True):
            for number, spectrum in enumerate(of_seeds):
                style: dict[str, Any] = {"color": colour, "marker": "o", "ms": 2.5, "lw": 0.8, "alpha": 0.8}
                label = name if number == 0 else None
                ordered.plot(rank, spectrum.sort(descending=True).values, label=label, **style)
                errors.plot(rank, (spectrum - truth)[position], **style | {"lw": 0.0})
        ordered.set(xlabel="rank", ylabel="manifold entropy $H_i$ (nats)", title="sorted spectra")
        ordered.legend()
        errors.axhline(0, color="#333333", lw=4, alpha=0.25)
        names = latent_names(len(truth))
        errors.set_xticks(rank, [names[i] for i in position.tolist()], fontsize=6.5)
        errors.set(xlabel="true latent, by entropy", ylabel="error (nats)", title="error of the matched latent")
        for ax in (ordered, errors):
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
            ax.set_axisbelow(True)
    return figure


def draw_information(truth: Tensor, recovered: Mapping[str, Any]) -> Figure:
    """Manifold cross-pairwise mutual information with the true latents, and Pearson correlations, on one scale."""
    order = truth.argsort(descending=True)
    names = latent_names(len(truth))
    with figure_style():
        figure = Figure(figsize=(6.4, 5.6), layout="constrained")
        grid = figure.subplots(2, len(recovered), sharex=True, sharey=True, squeeze=False)
        for column, (name, found) in zip(grid.T, recovered.items(), strict=True):
            for ax, matrix in zip(column, (found.information, found.correlation), strict=True):
                image = ax.imshow(matrix[order][:, order], cmap="magma_r", vmin=0, vmax=1, interpolation="nearest")
                ax.set_yticks(range(len(truth)), [names[i] for i in order.tolist()], fontsize=6)
                ax.set_xticks([])
                ax.tick_params(length=0)
                ax.spines[:].set_visible(False)
            column[0].set_title(name)
            column[-1].set_xlabel("model latent, by its match")
        for row, label in zip(grid, ("MCPMI (Linfoot coefficient)", "|Pearson correlation|"), strict=True):
            row[0].set_ylabel("true latent, by entropy")
            bar = figure.colorbar(image, ax=row.tolist(), fraction=0.03, pad=0.02)
            bar.set_label(label)
            bar.outline.set_visible(False)
    return figure


def draw_curves(curves: Mapping[str, Sequence[Mapping[str, float]]], true_entropy: float) -> Figure:
    """Likelihood and total correlation over the epochs."""
    shown = {
        "nll": "negative log-likelihood (nats)",
        "manifold/total_correlation": "total correlation (nats)",
    }
    with figure_style():
        figure = Figure(figsize=(6.4, 2.5), layout="constrained")
        for ax, (key, label) in zip(figure.subplots(1, 2), shown.items(), strict=True):
            for (name, history), colour in zip(curves.items(), COLOURS, strict=True):
                epochs, height = zip(*((values["epoch"], values[f"val/{key}"]) for values in history), strict=True)
                ax.plot(epochs, height, color=colour, marker="o", ms=3, lw=1.2, label=name)
            ax.set(xlabel="epoch", ylabel=label)
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
            if key == "nll":
                ax.axhline(true_entropy, color="#333333", lw=4, alpha=0.25, label="entropy of the true process")
                ax.legend()
    return figure
