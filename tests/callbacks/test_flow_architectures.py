"""The manifold callback on flows with class-conditional priors, trained by the module."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.datasets import dequantize, handwritten_digits
from torchdisentangle.models import (
    NormalizingFlowModule,
    fit_prior,
    gin_flow,
    glow_flow,
    haar_scales,
    spline_flow,
    wavelet_flow,
)

FLOWS: dict[str, Callable[[], nn.Module]] = {
    "spline": lambda: spline_flow(16, num_blocks=1, hidden=8, num_classes=10),
    "Glow": lambda: glow_flow(16, num_blocks=2, hidden=8, num_classes=10),
    "GIN": lambda: gin_flow(16, num_blocks=2, hidden=8, num_classes=10),
    "wavelet": lambda: wavelet_flow((1, 4, 4), num_levels=1, num_blocks=2, hidden=8, num_classes=10),
}


@pytest.mark.parametrize("name", FLOWS)
def test_entropies_of_a_trained_class_conditional_flow(name: str, make_trainer: Callable[..., L.Trainer]) -> None:
    images, labels = handwritten_digits("validation").tensors
    grey = dequantize(images, 17, torch.Generator().manual_seed(0))[:, :, 2:6, 2:6].flatten(1)
    data = TensorDataset((grey - grey.mean()) / grey.std(), labels)
    torch.manual_seed(0)
    module = NormalizingFlowModule(FLOWS[name](), learning_rate=3e-3)
    fit_prior(module.flow, *data.tensors)
    with torch.no_grad():
        before = -float(module.flow.log_prob(*data.tensors).mean())
    scales = haar_scales((1, 4, 4), num_levels=1)
    callback = ManifoldEntropyCallback(50, partition=scales, data_std=float(grey.std()), figures=False)
    trainer = make_trainer(callback, max_epochs=4)
    trainer.fit(module, DataLoader(data, 60), DataLoader(data, 180))
    values = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert values["val/nll"] < before
    total, shared = values["val/manifold/total_correlation"], values["val/manifold/partition_total_correlation"]
    assert -1e-6 < shared <= total + 1e-6  # the rest is shared within scales
    if name == "GIN":  # makes no volume: the entropy is the prior's
        prior = module.latent_model().prior.entropies().double().sum(1).mean()
        expected = float(prior) + 16 * math.log(float(grey.std()))
        assert values["val/manifold/total_entropy"] == pytest.approx(expected, abs=1e-4)  # logged in float32
