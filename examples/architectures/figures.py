"""The figures of the story: spectra, shared information in blocks, and what the prior's scales hide."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import torch
from analysis import Found
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.functional import effective_dimension
from torchdisentangle.plots import BLUE, GREEN, GREY, ORANGE, figure_style

COLOURS = {"Glow": GREY, "spline": GREEN, "GIN": ORANGE, "wavelet": BLUE}


def draw_spectra(runs: Mapping[str, list[Found]]) -> Figure:
    """Sorted spectra, one line a start, and effective dimension against total correlation, one point a start."""
    with figure_style():
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        spectra, plane = figure.subplots(1, 2, width_ratios=(1.5, 1))
        for name, found in runs.items():
            for number, one in enumerate(found):
                height = one.spectrum.sort(descending=True).values
                label = name if number == 0 else None
                spectra.plot(range(1, len(height) + 1), height, color=COLOURS[name], lw=1.1, alpha=0.85, label=label)
                share = one.total_correlation / len(height)
                plane.plot(float(effective_dimension(one.spectrum)), share, "o", color=COLOURS[name], ms=5, label=label)
        spectra.axhline(0, color="#444444", lw=0.6, ls=":")
        spectra.annotate("noise of one grey level", (1, 0.0), (0, 3), textcoords="offset points", fontsize=6.5)
        spectra.set(xlabel="rank", ylabel="manifold entropy $H_i$ (nats)", title="sorted spectra")
        spectra.legend()
        plane.set(
            xlabel="effective dimension (low: aligned)",
            ylabel="total correlation (nats per dimension)\n(low: disentangled)",
            title="alignment and disentanglement",
            xlim=(0, None),
            ylim=(0, None),
        )
        for ax in (spectra, plane):
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
            ax.set_axisbelow(True)
    return figure


def draw_pairwise(found: Mapping[str, Found], tile: int = 1) -> Figure:
    """MPMI of all pairs of latents, in blocks, as Linfoot's coefficients on one scale; means over square tiles."""
    colours = mpl.colormaps["magma_r"].with_extremes(bad="#DDDDDD")
    with figure_style():
        figure = Figure(figsize=(7.2, 2.15), layout="constrained")
        axes = figure.subplots(1, len(found))
        matrices = {name: _linfoot(one, tile) for name, one in found.items()}
        highest = max(float(matrix.nan_to_num().quantile(0.995)) for matrix in matrices.values())
        for ax, (name, one) in zip(axes, found.items(), strict=True):
            image = ax.imshow(matrices[name], cmap=colours, vmin=0, vmax=round(highest, 1), interpolation="nearest")
            for end in torch.tensor([len(block) for block in one.blocks]).cumsum(0)[:-1].tolist():
                ax.axhline(end / tile - 0.5, color=BLUE, lw=0.7)
                ax.axvline(end / tile - 0.5, color=BLUE, lw=0.7)
            ax.set(title=f"{name}, ratio {one.within / one.between:.1f}", xticks=[], yticks=[])
            ax.set_xlabel("by scale" if name == "wavelet" else "by entropy")
            ax.spines[:].set_visible(False)
        axes[0].set_ylabel("latent")
        bar = figure.colorbar(image, ax=list(axes), fraction=0.015, pad=0.01)
        bar.set_label("MPMI (Linfoot coefficient)")
        bar.outline.set_visible(False)
    return figure


def _linfoot(one: Found, tile: int) -> Tensor:
    """Linfoot's coefficients of the mean MPMI in square tiles of latents, block after block."""
    order = torch.tensor([latent for block in one.blocks for latent in block])
    pairs = one.pairwise[order][:, order].clone().fill_diagonal_(torch.nan)
    means = pairs.reshape(len(pairs) // tile, tile, -1, tile).nanmean(dim=(1, 3))
    return (1 - (-2 * means).exp()).clamp(min=0).sqrt()


def draw_hidden(one: Found, top: int) -> Figure:
    """The prior's standard deviations against the entropies, and the spectrum in both orders."""
    by_std, hidden = one.log_std.argsort(descending=True), one.hidden(top)
    rank = torch.arange(1, len(by_std) + 1)
    many = len(by_std) > 100
    size, width = (1.5, 0.3) if many else (3, 1.0)
    with figure_style():
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        plane, ordered = figure.subplots(1, 2, width_ratios=(1, 1.5))
        plane.plot(one.log_std, one.spectrum, "o", color=GREY, ms=size)
        plane.plot(one.log_std[hidden], one.spectrum[hidden], "o", color=ORANGE, ms=size + 1)
        ends = torch.stack([one.log_std.min(), one.log_std.max()])
        offset = float((one.spectrum - one.log_std).mean())
        plane.plot(ends, ends + offset, color="#444444", lw=0.6, ls=":", label="equally long tangent vectors")
        plane.set(xlabel=r"prior: mean of $\log \sigma_i$ over classes", ylabel="manifold entropy $H_i$ (nats)")
        plane.legend(loc="upper left")
        height = one.spectrum[by_std]
        is_hidden = torch.tensor([int(latent) in hidden for latent in by_std])
        ordered.vlines(rank, height.min() - 0.2, height, color=GREY, lw=width, alpha=0.5)
        ordered.plot(rank[~is_hidden], height[~is_hidden], "o", color=GREY, ms=size)
        ordered.plot(
            rank[is_hidden],
            height[is_hidden],
            "o",
            color=ORANGE,
            ms=size + 1,
            label=f"hidden: of the {top} first by entropy",
        )
        ordered.plot(rank, height.sort(descending=True).values, color=BLUE, lw=1.2, label="sorted by entropy")
        ordered.axvline(top + 0.5, color="#444444", lw=0.6, ls="--")
        ordered.set(xlabel=r"rank by the prior's $\sigma_i$", ylabel="manifold entropy $H_i$ (nats)")
        ordered.legend(loc="lower left", frameon=True, edgecolor="none", framealpha=0.9)
        for ax in (plane, ordered):
            ax.grid(axis="y", color="#E5E5E5", lw=0.5)
            ax.set_axisbelow(True)
    return figure
