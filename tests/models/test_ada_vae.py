"""Ada-GVAE and Ada-ML-VAE: what is averaged, the loss of pairs, and the axes that pairs reveal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer
from torchdisentangle import MCC
from torchdisentangle.callbacks import DisentanglementCallback
from torchdisentangle.datasets import FactorPairs, Sprites
from torchdisentangle.functional import gaussian_kl
from torchdisentangle.models import AdaGVAE, AdaMLVAE, BetaVAE
from torchdisentangle.models.ada_vae import posterior_kl

Make = Callable[..., Any]


def two_posteriors() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 20, 5, generator=generator).double()
    return (values[0], values[1]), (values[2], values[3])


def test_divergence_of_two_gaussians() -> None:
    one, other = two_posteriors()
    normals = [Normal(mean, (0.5 * log_variance).exp()) for mean, log_variance in (one, other)]
    torch.testing.assert_close(posterior_kl(one, other), kl_divergence(*normals))
    standard = torch.zeros_like(one[0]), torch.zeros_like(one[0])
    torch.testing.assert_close(posterior_kl(one, standard), gaussian_kl(*one))


def test_averages() -> None:
    one, other = (
        (torch.tensor([[1.0]]), torch.tensor([[4.0]]).log()),
        (torch.tensor([[3.0]]), torch.tensor([[1.0]]).log()),
    )
    mean, log_variance = AdaGVAE((4,), 1).average(one, other)
    assert (mean.item(), log_variance.exp().item()) == pytest.approx((2.0, 2.5))
    mean, log_variance = AdaMLVAE((4,), 1).average(one, other)
    # precisions 1/4 and 1: their mean 5/8, and (1/4 + 3) / (5/4)
    assert (mean.item(), log_variance.exp().item()) == pytest.approx((2.6, 1.6))


@pytest.mark.parametrize("kind", [AdaGVAE, AdaMLVAE])
def test_latents_below_the_middle_are_shared(kind: type[AdaGVAE]) -> None:
    model, (one, other) = kind((4,), 5), two_posteriors()
    first, second, shared = model.share(one, other)
    average = model.average(one, other)
    for row in range(20):
        kl = posterior_kl(one, other)[row]
        middle = (float(kl.min()) + float(kl.max())) / 2
        assert 1 <= shared[row].sum() <= 4
        for latent in range(5):
            assert bool(shared[row, latent]) == (float(kl[latent]) < middle)
            for found, own in ((first, one), (second, other)):
                for part in range(2):
                    expected = average[part] if shared[row, latent] else own[part]
                    assert found[part][row, latent] == expected[row, latent]


def test_equal_data_share_all_that_can_be_shared(make: Make, images: Tensor) -> None:
    model = make("ada_gvae")
    torch.manual_seed(0)
    of_pairs = model.pair_terms(images[:8], images[:8])
    assert of_pairs["num_shared"] == 0  # none differs less than the others, and it makes no difference
    mean, log_variance = model.encode(images[:8])
    torch.testing.assert_close(of_pairs["kl"], gaussian_kl(mean, log_variance).sum(1).mean())


def test_the_loss_is_that_of_both_data(make: Make, images: Tensor) -> None:
    model, (x, other) = make("ada_gvae", beta=3.0), images[:16].chunk(2)
    torch.manual_seed(0)
    found = model.pair_terms(x, other)
    torch.manual_seed(0)
    first, second, shared = model.share(model.encode(x), model.encode(other))
    noise = torch.randn(16, 3).chunk(2)
    kl = reconstruction = torch.zeros(())
    for data, (mean, log_variance), one in zip((x, other), (first, second), noise, strict=True):
        reconstruction = reconstruction + model.reconstruction(data, mean + (0.5 * log_variance).exp() * one).mean() / 2
        kl = kl + gaussian_kl(mean, log_variance).sum(1).mean() / 2
    torch.testing.assert_close(found["loss"], reconstruction + 3 * kl)
    assert found["num_shared"] == shared.sum() / 8


def test_batches_of_anything_else_are_single_data(make: Make, images: Tensor) -> None:
    model = make("ada_gvae")
    assert "num_shared" in model.batch_terms([images[:4], images[4:8]])
    for batch in (images[:4], [images[:4]], [images[:4], torch.zeros(4, 5)], [images[:4], (images[:4] > 0).long()]):
        assert "num_shared" not in model.batch_terms(batch)


def rotated_pairs(num_pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of points of a plane whose axes are turned by 45 degrees, one factor shared; and the factors."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(num_pairs, 2, generator=generator)
    changed = torch.rand(num_pairs, 1, generator=generator) < 0.5
    moved = torch.where(torch.cat([changed, ~changed], dim=1), torch.randn(num_pairs, 2, generator=generator), factors)
    turn = 4 * torch.tensor([[1.0, 1.0], [-1.0, 1.0]]) / 2**0.5  # four times the standard deviation of the likelihood
    return factors @ turn, moved @ turn, factors


def test_pairs_reveal_the_axes_that_no_single_datum_does() -> None:
    """A round normal distribution has no axes: a VAE's are an accident of its start, and pairs tell the true ones."""
    x, other, factors = rotated_pairs(2048)
    found = {}
    for kind in (BetaVAE, AdaGVAE, AdaMLVAE):
        torch.manual_seed(1)
        model = kind((2,), 2, likelihood="gaussian", hidden=[32])
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for rows in torch.randint(len(x), (150, 128)):
            loss = model.batch_terms([x[rows], other[rows]])["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        mcc = MCC()
        mcc.update(model.encode(x)[0], factors)
        found[kind.__name__] = float(mcc.compute())
    assert found["BetaVAE"] < 0.95, found
    assert min(found["AdaGVAE"], found["AdaMLVAE"]) > 0.99, found


def test_it_trains_on_pairs_and_is_scored(make: Make, dataset: Sprites, make_trainer: MakeTrainer) -> None:
    model = make("ada_gvae")
    L.seed_everything(0, verbose=False)
    pairs = DataLoader(FactorPairs(dataset, 192), 32, shuffle=True)
    singles = DataLoader(dataset, 64)
    watch = DisentanglementCallback(["mig"], sampler_rows=0)
    trainer = make_trainer(watch, max_epochs=2, check_val_every_n_epoch=2)
    trainer.fit(model, pairs, singles)
    assert 0 < trainer.callback_metrics["train/num_shared"] < 3
    assert trainer.callback_metrics["val/disentanglement/mig"] >= 0
    assert trainer.callback_metrics["val/loss"] > 0


def test_a_pair_data_set_of_tensors_will_do(make: Make, images: Tensor, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(make("ada_ml_vae"), DataLoader(TensorDataset(images[:64], images[64:128]), 32))
    assert "train/num_shared" in trainer.callback_metrics
