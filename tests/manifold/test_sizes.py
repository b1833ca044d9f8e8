"""What many latents cost: bytes of the state in closed form, and read-outs without products of whole matrices."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers import random_jacobian
from torchdisentangle import ManifoldEntropySpectrum, ManifoldTotalCorrelation, manifold_metrics
from torchdisentangle.manifold.base import ManifoldMetric


def state_bytes(metric: ManifoldMetric) -> int:
    return sum(getattr(metric, name).nbytes for name in metric.state_names)


@pytest.mark.parametrize(("num_latents", "data_dim", "num_classes"), [(4, 6, 1), (7, 9, 3), (40, 50, 2)])
@pytest.mark.parametrize("mean_jacobian", [True, False])
def test_bytes_of_the_state(num_latents: int, data_dim: int, num_classes: int, mean_jacobian: bool) -> None:
    """For each class m = d + 2 readings and their products, two sums for each pair, two and a count for each latent."""
    metric = ManifoldEntropySpectrum(mean_jacobian=mean_jacobian, num_classes=num_classes)
    metric.update(random_jacobian(6, data_dim, num_latents), labels=torch.arange(6) % num_classes)
    d, m = num_latents, num_latents + 2
    per_class = 1 + m + m * m + d * (d - 1) + 2 * d
    jacobian = num_classes * data_dim * d if mean_jacobian else 1
    counts = d + 4  # dead latents; samples that are not finite, saturated, singular, and without a volume
    assert state_bytes(metric) == 8 * (num_classes * per_class + jacobian + counts)


def test_a_spectrum_multiplies_no_matrices() -> None:
    """It is read from means and squares; with thousands of latents a product of matrices takes most of the time."""
    d = 48
    metrics = manifold_metrics()
    metrics.update(random_jacobian(5, d, d))
    singles = ManifoldTotalCorrelation()
    singles.update(random_jacobian(5, d, d))
    with FlopCounterMode(display=False) as flops:
        metrics["spectrum"].estimate()  # type: ignore[operator]
        metrics.compute()
        singles.decomposition()
    assert flops.get_total_flops() < 30 * d * d
