"""The demo's figure: what the two models' latents do."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle import ManifoldEntropySpectrum, ManifoldPairwiseMutualInformation, MeanDecoderJacobian
from torchdisentangle.datasets import two_moons
from torchdisentangle.functional import decoder_jacobian
from torchdisentangle.models import as_latent_model
from torchdisentangle.plots import BLUE, ORANGE, figure_style, plot_pairwise, plot_spectrum


def draw_overview(digits: Any, moons: Any) -> Figure:
    """Moons: data and latent grid. Digits: spectrum, pairwise information, averaged Jacobian columns."""
    with figure_style():
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        top, bottom = figure.subfigures(2, 1, height_ratios=[2.4, 1.0], hspace=0.04)
        grid, spectrum, pairwise = top.subplots(1, 3, width_ratios=[1.35, 1.0, 1.1])
        _draw_moons(grid, moons.eval())
        latents = torch.randn(1024, digits.latent_dim, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            jacobian = decoder_jacobian(digits.eval().decode, latents)
        entropies, errors, order = _spectrum(jacobian)
        plot_spectrum(entropies[order], errors[order], ax=spectrum)
        spectrum.set(xlabel="latent, by entropy", title="digits: entropy spectrum")
        spectrum.set_xticks(range(len(order)), [str(int(i)) for i in order])
        pairs = ManifoldPairwiseMutualInformation()
        pairs.update(jacobian)
        plot_pairwise(pairs.compute(), order=order, ax=pairwise)
        pairwise.set(title="digits: pairwise information", xlabel="latent, by entropy", ylabel="")
        mean = MeanDecoderJacobian()
        mean.update(jacobian)
        _draw_columns(bottom, mean.compute(), order)
    return figure


def _spectrum(jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    metric = ManifoldEntropySpectrum()
    metric.update(jacobian)
    entropies = metric.compute()
    return entropies, metric.standard_error(), entropies.argsort(descending=True)


def _draw_moons(ax: Any, moons: Any) -> None:
    """Lines through the decoder along which only one latent changes; blue is the latent of most entropy."""
    model = as_latent_model(moons)
    ax.scatter(*two_moons(1500, noise=0.1, seed=1).T, s=1.5, color="#C8C8C8", linewidths=0)
    with torch.no_grad():
        jacobian = decoder_jacobian(model.decode, torch.randn(512, 2, generator=torch.Generator().manual_seed(0)))
        entropies, _, order = _spectrum(jacobian)
        core, detail = order.tolist()
        along = torch.linspace(-2.3, 2.3, 300)
        for value in torch.linspace(-2, 2, 9):
            for moving, colour in ((core, BLUE), (detail, ORANGE)):
                z = torch.full((len(along), 2), float(value))
                z[:, moving] = along
                label = f"$H_{{{moving}}}$ = {float(entropies[moving]):.2f} nats" if value == 0 else None
                weight = {"lw": 0.6, "alpha": 0.6} if value else {"lw": 1.6}
                ax.plot(*model.decode(z).T, color=colour, label=label, **weight)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, handlelength=1.2, columnspacing=1.0)
    ax.set(title="two moons: latent grid", xticks=[], yticks=[], aspect="equal", xlim=(-1.5, 2.5), ylim=(-1.1, 1.6))
    ax.spines[:].set_visible(False)


def _draw_columns(figure: Any, mean: Tensor, order: Tensor) -> None:
    axes = figure.subplots(1, len(order))
    for ax, latent in zip(axes, order.tolist(), strict=True):
        column = mean[:, latent].reshape(8, 8)
        ax.imshow(column / column.abs().max().clamp(min=1e-12), cmap="RdBu_r", vmin=-1, vmax=1)
        ax.set_title(f"latent {latent}", fontsize=7)
        ax.set_axis_off()
    figure.suptitle("digits: what each latent adds to the image (averaged Jacobian columns)", fontsize=9)
