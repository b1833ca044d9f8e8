"""What a trained flow knows of the process that made its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle import ManifoldCrossPairwiseMutualInformation, ManifoldEntropySpectrum
from torchdisentangle.datasets import Torus
from torchdisentangle.functional import decoder_jacobian, match_latents
from torchdisentangle.models import NormalizingFlowModule, as_latent_model


class Recovered(NamedTuple):
    """A trained flow beside the process, its latents in the order of the true ones that they match."""

    nll: float  # of held-out data, nats
    total_entropy: float  # nats, over the prior, as the total correlation
    total_correlation: float
    spectrum: Tensor  # (d,), nats
    truth: Tensor  # (d,), nats: the spectrum of the process
    information: Tensor  # MCPMI, true latents by model latents, as Linfoot's coefficients in [0, 1]
    correlation: Tensor  # absolute Pearson correlations of the latents, alike

    @property
    def missing(self) -> float:
        """By how much the flow misses the entropy of the process, nats per dimension."""
        return (self.nll - float(self.truth.sum())) / len(self.truth)

    @property
    def mean_error(self) -> float:
        """Of the spectrum, nats."""
        return float((self.spectrum - self.truth).abs().mean())

    @property
    def largest_error(self) -> float:
        """Of the spectrum, nats."""
        return float((self.spectrum - self.truth).abs().max())

    @property
    def diagonal(self) -> float:
        """The mean coefficient of a true latent with its match."""
        return float(self.information.diagonal().mean())

    @property
    def elsewhere(self) -> float:
        """The mean coefficient of all other pairs."""
        size = len(self.information)
        return float((self.information.sum() - self.information.diagonal().sum()) / (size * size - size))

    @property
    def correlated(self) -> float:
        """The mean absolute correlation of a true latent with its match."""
        return float(self.correlation.diagonal().mean())


@torch.no_grad()
def recover(torus: Torus, model: NormalizingFlowModule, data: Tensor, values: Mapping[str, float]) -> Recovered:
    """Compare the model with the process: spectra over the priors, tangent vectors and latents at the same data.

    Args:
        torus: the process.
        model: the trained flow.
        data: held-out samples of the process.
        values: what the training logged last.
    """
    latent = as_latent_model(model.eval())
    true_codes, codes = torus.encode(data), latent.encode(data).mean
    cross = ManifoldCrossPairwiseMutualInformation(normalize=True)
    cross.update(decoder_jacobian(torus.decode, true_codes), decoder_jacobian(latent.decode, codes))
    information = cross.compute()
    match = match_latents(information)
    spectrum = ManifoldEntropySpectrum()
    prior = torch.randn(len(data), torus.latent_dim, generator=torch.Generator().manual_seed(0))
    spectrum.update(decoder_jacobian(latent.decode, prior))
    both = torch.corrcoef(torch.cat([true_codes, codes[:, match]], dim=1).double().mT).abs()
    correlation = both[: torus.latent_dim, torus.latent_dim :]
    logged = [values[f"val/{key}"] for key in ("nll", "manifold/total_entropy", "manifold/total_correlation")]
    return Recovered(*logged, spectrum.compute()[match], torus.spectrum(), information[:, match], correlation)
