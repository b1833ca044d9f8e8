"""What is kept of a trained model of the sweep."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from torchdisentangle import ManifoldTotalCorrelation, MeanDecoderJacobian, Report
from torchdisentangle.functional import decoder_jacobian
from torchdisentangle.models import BetaVAE


class Run(NamedTuple):
    """A trained model's values, and its latents in the order of their entropies."""

    beta: float
    seed: int
    values: dict[str, float]  # logged by the callbacks
    spectrum: Tensor  # (d,) nats, descending
    num_active: int
    active_mtc: float  # total correlation of the active latents, nats
    columns: Tensor  # (D, d): the decoder's average Jacobian over the prior
    of_classes: Tensor  # (10, D, d): the same over the posteriors of each digit
    means: Tensor  # (10, D): decoded images of each digit, averaged

    @property
    def cliff(self) -> float | None:
        """From the last active latent to the first inactive one, in nats; ``None`` if there are not both."""
        if not 0 < self.num_active < len(self.spectrum):
            return None
        return float(self.spectrum[self.num_active - 1] - self.spectrum[self.num_active])

    @property
    def lead(self) -> float | None:
        """How much higher the cliff is than the largest other step of the spectrum, in nats."""
        if self.cliff is None:
            return None
        steps = -self.spectrum.diff()
        steps[self.num_active - 1] = -torch.inf
        return self.cliff - float(steps.max())


@torch.no_grad()
def run_of(
    model: BetaVAE, beta: float, seed: int, values: dict[str, float], report: Report, held_out: TensorDataset
) -> Run:
    """Add to the callback's last report the total correlation of the active latents, and average Jacobians by class."""
    decode = model.eval().decode
    spectrum, order = report.matrices["spectrum"].sort(descending=True)
    num_active = int(report["active_latents"])
    among = ManifoldTotalCorrelation()
    if num_active > 0:
        # the 1,024 latents that the callback takes by default
        z = torch.randn(1024, model.latent_dim, generator=torch.Generator().manual_seed(0))
        among.update(decoder_jacobian(decode, z)[:, :, order[:num_active]])
    images, labels = held_out.tensors
    mean, log_variance = model.encode(images[:1000])
    codes = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    of_classes = MeanDecoderJacobian(num_classes=10)
    of_classes.update(decoder_jacobian(decode, codes), labels=labels[:1000])
    decoded = decode(codes).flatten(1)
    return Run(
        beta,
        seed,
        values,
        spectrum,
        num_active,
        float(among.compute()) if num_active > 0 else 0.0,
        report.matrices["mean_jacobian"][:, order],
        of_classes.per_class()[:, :, order],
        torch.stack([decoded[labels[:1000] == digit].mean(0) for digit in range(10)]),
    )
