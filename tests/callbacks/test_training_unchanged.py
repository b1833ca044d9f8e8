"""Training with the callback is, bit for bit, the training without it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from torchdisentangle.callbacks import ManifoldEntropyCallback, undisturbed


def train(
    make_trainer: Callable[..., L.Trainer], model: Any, data: Any, *callbacks: L.Callback, **settings: Any
) -> Any:
    L.seed_everything(3, verbose=False)
    model = copy.deepcopy(model)
    trainer = make_trainer(*callbacks, max_epochs=3, num_sanity_val_steps=2, **settings)
    trainer.fit(model, DataLoader(data, 10, shuffle=True), DataLoader(data, 10))
    return model, trainer.optimizers[0].state_dict()["state"], torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002


def assert_identical(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_identical(a[key], b[key])
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("source", ["prior", "posterior"])
def test_bitwise_the_same(
    make_trainer: Callable[..., L.Trainer], tiny_vae: Any, loader: DataLoader, source: Any, precision: Any
) -> None:
    without = train(make_trainer, tiny_vae, loader.dataset, precision=precision)
    probed = ManifoldEntropyCallback(8, prefix="second", seed=4, estimator="probes", num_probes=4, max_seconds=60)
    callbacks = [ManifoldEntropyCallback(16, source=source), probed]
    with_callback = train(make_trainer, tiny_vae, loader.dataset, *callbacks, precision=precision)
    assert without[0].losses == with_callback[0].losses
    assert len(without[0].losses) == 12
    for mine, theirs in zip(with_callback[:2], without[:2], strict=True):
        if isinstance(mine, nn.Module):
            mine, theirs = dict(mine.state_dict()), dict(theirs.state_dict())
        assert_identical(mine, theirs)
    assert torch.equal(with_callback[2], without[2])
    assert (with_callback[3] == without[3]).all()


def test_layers_that_are_built_by_their_first_batch(
    make_trainer: Callable[..., L.Trainer], tiny_vae: Any, loader: DataLoader
) -> None:
    """Decoding before training would draw the decoder's weights before those of the encoder."""
    tiny_vae.encoder[1], tiny_vae.body[0] = nn.LazyLinear(16), nn.LazyLinear(16)
    without = train(make_trainer, tiny_vae, loader.dataset)
    callback = ManifoldEntropyCallback(16)
    with_callback = train(make_trainer, tiny_vae, loader.dataset, callback)
    assert callback.report is not None
    assert without[0].losses == with_callback[0].losses
    assert_identical(dict(with_callback[0].state_dict()), dict(without[0].state_dict()))


def test_the_comparison_can_fail(make_trainer: Callable[..., L.Trainer], tiny_vae: Any, loader: DataLoader) -> None:
    class Careless(L.Callback):
        def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            torch.randn(1)

    without = train(make_trainer, tiny_vae, loader.dataset)
    careless = train(make_trainer, tiny_vae, loader.dataset, Careless())
    assert without[0].losses != careless[0].losses


class Fickle(nn.Module):
    """A layer that changes itself whenever it is called, in place and by assignment, and uses random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.replaced = torch.ones(1)
        self.weight.data = self.weight.data * 2
        return x * self.weight + torch.randn(2)


def test_undisturbed_restores_everything() -> None:
    module = nn.Sequential(Fickle(), nn.BatchNorm1d(2).eval(), nn.Dropout())
    weight, modes = module[0].weight, [child.training for child in module.modules()]
    weight.grad = torch.full((2,), 7.0)
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    with torch.inference_mode(), undisturbed(module):
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not any(child.training for child in module.modules())
        module(torch.ones(4, 2))
        assert module[0].calls == 1
    assert_identical(dict(module.state_dict()), dict(before))
    assert [child.training for child in module.modules()] == modes
    assert module[0].weight is weight
    assert weight.grad.tolist() == [7.0, 7.0]
    assert torch.equal(torch.get_rng_state(), state)


def test_undisturbed_restores_after_an_error() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).bfloat16()

    def fail() -> None:
        with undisturbed(module):
            assert module[0].weight.dtype == torch.float32
            raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert module[0].weight.dtype == torch.bfloat16
    assert module[1].training


def test_undisturbed_keeps_the_hooks_of_distributed_training() -> None:
    """DDP hooks the nodes that accumulate gradients, which a parameter loses when its dtype changes in place."""
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.LSTM(2, 2)).bfloat16()
    module[1].weight = module[0].weight
    accumulators = {name: p.expand_as(p).grad_fn.next_functions[0][0] for name, p in module.named_parameters()}
    called = set()
    for name, accumulator in accumulators.items():
        accumulator.register_hook(lambda *_, name=name: called.add(name))
    with undisturbed(module):
        assert {p.dtype for p in module.parameters()} == {torch.float32}
        assert module[1].weight is module[0].weight
        assert module(torch.ones(4, 2))[0].dtype == torch.float32
    module(torch.ones(4, 2, dtype=torch.bfloat16))[0].sum().backward()
    assert called == accumulators.keys()
