"""The Wasserstein GAN: its game, its penalty, and what it learns in seconds."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tests.helpers import MakeTrainer
from torchdisentangle import evaluate
from torchdisentangle.callbacks import ManifoldEntropyCallback
from torchdisentangle.models import WGANGP, as_latent_model
from torchdisentangle.models.wgan import gradient_penalty


def plane(num_rows: int = 512) -> Tensor:
    """Points on a plane in three dimensions, longer than wide."""
    z = torch.randn(num_rows, 2, generator=torch.Generator().manual_seed(0))
    return z * torch.tensor([2.0, 0.5]) @ torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]) / 2**0.5


def test_penalty_of_a_known_slope() -> None:
    x, other = torch.randn(64, 3), torch.randn(64, 3)
    direction = torch.tensor([[1.0], [2.0], [2.0]])  # of length 3
    assert float(gradient_penalty(lambda x: x @ direction, x, other)) == pytest.approx(4, abs=1e-5)
    assert float(gradient_penalty(lambda x: x @ direction / 3, x, other)) == pytest.approx(0, abs=1e-10)


def test_the_slope_is_taken_between_the_data() -> None:
    """Of a critic whose slope is twice its only input, which is uniform between 0 and 1: E (2u - 1)^2 = 1/3."""
    torch.manual_seed(0)
    penalty = gradient_penalty(torch.square, torch.ones(20_000, 1), torch.zeros(20_000, 1))
    assert penalty.item() == pytest.approx(1 / 3, abs=0.011)  # five standard errors of sqrt(4/45/20000)


def test_losses_are_those_of_the_game() -> None:
    torch.manual_seed(0)
    model, x = WGANGP((3,), latent_dim=2, bounded=False, hidden=[8]), plane(32)
    torch.manual_seed(1)
    found = model.terms(x)
    torch.manual_seed(1)
    fake = model.decode(torch.randn(32, 2))
    torch.testing.assert_close(found["generator"], -model.critic(fake).mean())
    torch.testing.assert_close(found["wasserstein"], model.critic(x).mean() - model.critic(fake).mean())
    total = found["generator"] - found["wasserstein"] + 10 * found["penalty"]
    torch.testing.assert_close(found["loss"], total)


def test_no_side_trains_the_other() -> None:
    model, x = WGANGP((3,), latent_dim=2, bounded=False, hidden=[8]), plane(32)
    found = model.terms(x)
    generator, critic = list(model.generator.parameters()), list(model.critic.parameters())
    options = {"retain_graph": True, "allow_unused": True}
    assert all(gradient is None for gradient in torch.autograd.grad(found["generator"], critic, **options))
    for loss in ("wasserstein", "penalty"):
        assert all(gradient is None for gradient in torch.autograd.grad(found[loss], generator, **options))
        assert any(
            gradient.any() for gradient in torch.autograd.grad(found[loss], critic, **options) if gradient is not None
        )
    assert all(gradient.any() for gradient in torch.autograd.grad(found["generator"], generator, retain_graph=True))


def test_it_moves_to_the_data_and_is_watched(make_trainer: MakeTrainer) -> None:
    L.seed_everything(0, verbose=False)
    model = WGANGP((3,), latent_dim=2, bounded=False, hidden=[32], learning_rate=5e-3, critic_learning_rate=2e-2)
    z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    far = 3 + plane()  # about five away from what a new generator makes
    with torch.no_grad():
        before = (model.decode(z).mean(0) - far.mean(0)).norm()
    loader = DataLoader(TensorDataset(far), 64)
    watch = ManifoldEntropyCallback(num_samples=32, figures=False)
    trainer = make_trainer(watch, max_epochs=20, check_val_every_n_epoch=20)
    trainer.fit(model, loader, loader)
    assert trainer.callback_metrics["val/manifold/total_entropy"].isfinite()
    assert trainer.callback_metrics["val/penalty"] < 0.5  # of which a constant critic has 1
    with torch.no_grad():
        after = (as_latent_model(model).decode(z).mean(0) - far.mean(0)).norm()
    assert after < 0.3 * before
    again = WGANGP(**model.hparams)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.decode(z), model.decode(z))


def test_the_evaluation_of_its_topology() -> None:
    pytest.importorskip("gudhi", reason="needs gudhi, of the extra topology")
    from torchdisentangle.evaluation import TopologyEvaluation

    model = WGANGP((3,), latent_dim=2, bounded=False, hidden=[8])
    report = evaluate(model, None, [TopologyEvaluation(num_samples=20, num_values=2, num_draws=2, num_landmarks=8)])
    assert len(report)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="penalty must not be negative"):
        WGANGP((3,), penalty=-1.0)
