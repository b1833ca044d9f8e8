"""What the story reads off a trained flow: its spectrum, its shared information in blocks, its prior's scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from scipy.stats import spearmanr
from torch import Tensor

from torchdisentangle import Report
from torchdisentangle.models import NormalizingFlowModule


class Found(NamedTuple):
    """A trained flow. Entropies are of data in grey levels, so pure dequantisation noise has about 0 nats."""

    bits: float  # per dimension, of held-out data
    bits_at_first: float  # after the first epoch
    total_correlation: float  # nats
    effective_dimension: float
    active_latents: float
    mean_pairwise: float  # nats
    volume: float  # that the flow makes: what the total entropy is above the prior's, nats
    left_out: int  # Jacobians that overflowed
    spectrum: Tensor  # (d,) nats
    pairwise: Tensor  # (d, d) nats
    log_std: Tensor  # (d,) of the prior, averaged over classes
    blocks: list[list[int]]  # the latents of each block

    @property
    def quarter(self) -> int:
        """As many latents as one would look at."""
        return len(self.spectrum) // 4

    @property
    def block_matrix(self) -> Tensor:
        """Mean MPMI of the pairs of each block, and of each two blocks, ``(blocks, blocks)``, nats."""
        matrix = self.pairwise.clone().fill_diagonal_(torch.nan)
        return torch.stack(
            [torch.stack([matrix[rows][:, columns].nanmean() for columns in self.blocks]) for rows in self.blocks]
        )

    @property
    def within(self) -> float:
        """Mean MPMI within blocks, each of which counts the same."""
        return float(self.block_matrix.diagonal().mean())

    @property
    def between(self) -> float:
        """Mean MPMI between blocks, each pair of which counts the same."""
        size = len(self.blocks)
        return float((self.block_matrix.sum() - self.block_matrix.trace()) / (size * size - size))

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of the prior's standard deviations and the entropies."""
        return float(spearmanr(self.log_std, self.spectrum).statistic)

    def hidden(self, top: int) -> list[int]:
        """Latents that are among the first by entropy, but not among the first by the prior's standard deviation."""
        return sorted(_first(self.spectrum, top) - _first(self.log_std, top))

    def hidden_by(self, top: int) -> float:
        """How much larger the entropies of the hidden latents are than of those shown in their place, nats."""
        shown = sorted(_first(self.log_std, top) - _first(self.spectrum, top))
        return float(self.spectrum[self.hidden(top)].mean() - self.spectrum[shown].mean()) if shown else 0.0


def found_in(
    module: NormalizingFlowModule,
    history: Sequence[Mapping[str, float]],
    report: Report,
    std: float,
    sizes: list[int],
    scales: list[list[int]] | None,
) -> Found:
    """Put together what was logged and the callback's last report.

    Blocks are the scales, if the flow knows any, else latents in the order of their entropies, in blocks as large.
    """
    spectrum, prior = report.matrices["spectrum"], module.latent_model().prior
    order = spectrum.argsort(descending=True)
    names = ("total_correlation", "effective_dimension", "active_latents", "mpmi_mean")
    prior_entropy = float(prior.entropies().double().sum(1).mean()) + len(order) * math.log(std)
    return Found(
        *((step["val/nll"] / len(order) + math.log(std)) / math.log(2) for step in (history[-1], history[0])),
        *(report[name] for name in names),
        report["total_entropy"] - prior_entropy,
        int(report.scalars.get("num_nonfinite", 0)),
        spectrum,
        report.matrices["pairwise"],
        prior.scale.detach().log().mean(0),
        scales or [part.tolist() for part in order.split(sizes)],
    )


def _first(values: Tensor, top: int) -> set[int]:
    return set(values.argsort(descending=True)[:top].tolist())
