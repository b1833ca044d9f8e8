"""The topological penalty: added to the loss, differentiable, and smaller for a disentangled decoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchdisentangle.models import BetaVAE, TopDisTCVAE, TopDisVAE

SHAPE: dict[str, Any] = {"data_shape": (1, 4, 4), "latent_dim": 3, "hidden": (16,)}


def test_without_weight_it_is_the_beta_vae() -> None:
    torch.manual_seed(0)
    plain, penalised = BetaVAE(**SHAPE, beta=2.0), TopDisVAE(**SHAPE, beta=2.0, topdis_weight=0.0)
    penalised.load_state_dict(plain.state_dict())
    x = torch.rand(8, 1, 4, 4)
    terms = []
    for model in (plain, penalised):
        torch.manual_seed(1)
        terms.append(model.terms(x))
    assert terms[0] == terms[1]


@pytest.mark.parametrize("build", [TopDisVAE, lambda **kwargs: TopDisTCVAE(dataset_size=100, **kwargs)])
def test_penalty_is_added_and_reaches_the_weights(build: Any) -> None:
    torch.manual_seed(0)
    model = build(**SHAPE, topdis_weight=3.0, topdis_rows=8)
    x = torch.rand(16, 1, 4, 4)
    torch.manual_seed(2)
    terms = model.terms(x)
    model.topdis_weight = 0.0
    torch.manual_seed(2)
    without = model.terms(x)
    assert float(terms["topological_divergence"]) > 0
    assert float(terms["loss"]) == pytest.approx(
        float(without["loss"]) + 3.0 * float(terms["topological_divergence"]), rel=1e-6
    )
    terms["topological_divergence"].backward()
    gradients = [p.grad for p in model.decoder.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert max(float(g.abs().max()) for g in gradients) > 0


def test_only_while_training_and_only_after_the_start() -> None:
    model = TopDisVAE(**SHAPE, topdis_start=1)
    assert "topological_divergence" not in model.terms(torch.rand(4, 1, 4, 4))
    model.topdis_start = 0
    assert "topological_divergence" in model.terms(torch.rand(4, 1, 4, 4))
    assert "topological_divergence" not in model.eval().terms(torch.rand(4, 1, 4, 4))


class Rotated(nn.Module):
    """Independent curves of three latents, which are turned first where the model is entangled."""

    def __init__(self, rotation: Tensor) -> None:
        super().__init__()
        self.rotation = rotation

    def forward(self, z: Tensor) -> Tensor:
        u = 2 * torch.special.ndtr(z @ self.rotation)
        return torch.cat([(torch.pi * u).cos(), (0.5 * torch.pi * u).sin(), u.square()], dim=1)


def test_entangled_traversals_change_the_topology_more() -> None:
    mixing = torch.eye(3) - 2 / 3
    z = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    means = []
    for rotation in (torch.eye(3), mixing):
        model = TopDisVAE(**SHAPE, likelihood="gaussian")
        model.decoder = Rotated(rotation)
        torch.manual_seed(0)
        means.append(float(torch.stack([model.topological_divergence(z) for _ in range(12)]).mean()))
    assert means[0] < 0.8 * means[1]


def test_a_single_row_and_bad_settings() -> None:
    model = TopDisVAE(**SHAPE)
    assert float(model.topological_divergence(torch.zeros(1, 3))) == 0
    for settings, message in (
        ({"topdis_weight": -1.0}, "topdis_weight"),
        ({"topdis_step": 1.0}, "topdis_step"),
        ({"topdis_rows": 1}, "topdis_rows"),
    ):
        with pytest.raises(ValueError, match=message):
            TopDisVAE(**SHAPE, **settings)
