"""An evaluation leaves the module bitwise as it was, whatever its layers write, and copies no weights for that."""

from __future__ import annotations

import copy
import gc
import random
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from torchdisentangle.evaluation.undisturbed import undisturbed

X = torch.linspace(-1, 2, 12).view(4, 3)
LARGE = 2**15
"""Numbers in a buffer that is too large to be copied without a reason."""


class Layer(nn.Module):
    """A layer with a weight and two buffers, one large; subclasses write to them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.register_buffer("state", torch.zeros(3))
        self.register_buffer("large", torch.zeros(LARGE))

    def forward(self, x: Tensor) -> Tensor:
        self.write(x)
        return x * self.weight + self.state + self.large[:3]

    def write(self, x: Tensor) -> None:
        """Change something."""


class SelfInitialising(Layer):
    """An activation normalisation: the first batch sets the weight."""

    def write(self, x: Tensor) -> None:
        if not self.state.any():
            self.weight.data.copy_(1 / x.std(0))
            self.state.fill_(1)


class BatchStatistics(Layer):
    """Batch normalisation that updates its running statistics in eval mode, which makes no new version of them."""

    def write(self, x: Tensor) -> None:
        batch_norm(x, self.state, self.large[:3], training=True)


class WritesBuffers(Layer):
    def write(self, x: Tensor) -> None:
        self.state += x.mean(0)
        self.large += 1


class AssignsBuffers(Layer):
    def write(self, x: Tensor) -> None:
        self.state, self.large = self.state + x.mean(0), self.large + 1


class WritesParameter(Layer):
    def write(self, x: Tensor) -> None:
        with torch.no_grad():
            self.weight.mul_(2)


class WritesData(Layer):
    def write(self, x: Tensor) -> None:
        self.weight.data.mul_(2)
        self.large.data.add_(1)


class AssignsData(Layer):
    def write(self, x: Tensor) -> None:
        self.weight.data = self.weight.data * 2


class AlwaysTraining(nn.Module):
    """Spectral normalisation that iterates even in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net = spectral_norm(nn.Linear(3, 3))
        self.net.parametrizations.weight[0]._u = torch.ones(3) / 3**0.5  # the iteration has not converged there

    def train(self, mode: bool = True) -> AlwaysTraining:
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


WRITERS = [
    SelfInitialising,
    BatchStatistics,
    WritesBuffers,
    AssignsBuffers,
    WritesParameter,
    WritesData,
    AssignsData,
    AlwaysTraining,
]


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def places(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Which tensor is where."""
    return {name: (id(tensor), tensor.data_ptr()) for name, tensor in tensors(module).items()}


def assert_restored(module: nn.Module, evaluate: Callable[[], Any], **settings: bool) -> None:
    values, where = copy.deepcopy(tensors(module)), places(module)
    with undisturbed(module, **settings):
        evaluate()
    assert places(module) == where
    for name, tensor in tensors(module).items():
        assert torch.equal(tensor, values[name]), name


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_a_layer_writes(writer: type[nn.Module]) -> None:
    """At the first evaluation as at later ones, to which the training has brought other values."""
    module = nn.Sequential(writer(), nn.Linear(3, 1))
    before = copy.deepcopy(tensors(module))
    module.eval()(X)
    assert not all(torch.equal(tensor, before[name]) for name, tensor in tensors(module).items()), "it writes nothing"
    module = nn.Sequential(writer(), nn.Linear(3, 1)).train()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(4):
        assert_restored(module, lambda: module(X))
        assert_restored(module, lambda: (module(X), module(X)))
        module(X).square().mean().backward()
        optimizer.step()


class Copies(TorchDispatchMode):
    """Counts what is copied, and notes the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0
        self.operations: list[str] = []
        self.made: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.operations.append(name)
        if name in ("clone", "copy_", "_to_copy", "_foreach_copy_"):
            self.num_bytes += result.nbytes
        if name == "clone":
            self.made.append(weakref.ref(result))
        return result


def copies(module: nn.Module, evaluate: Callable[[], Any] = lambda: None, **settings: bool) -> Copies:
    with Copies() as counted, undisturbed(module, **settings):
        evaluate()
    return counted


def test_weights_are_copied_once_and_let_go() -> None:
    module = nn.Sequential(nn.Linear(3, 200), nn.BatchNorm1d(200), nn.Linear(200, 200))
    weights = sum(parameter.nbytes for parameter in module.parameters())
    statistics = sum(buffer.nbytes for buffer in module.buffers())
    first = copies(module, lambda: module(X))
    assert first.num_bytes >= weights
    assert all(reference() is None for reference in first.made)
    for _ in range(2):
        later = copies(module, lambda: module(X))
        assert later.num_bytes == 2 * statistics  # there and back
        assert {"equal", "_local_scalar_dense"}.isdisjoint(later.operations)  # a GPU would be waited for
    assert copies(module, rehearsal=True).num_bytes >= weights


def test_only_what_changes_is_copied() -> None:
    module = nn.Sequential(WritesParameter(), nn.Linear(3, 300))
    copies(module, lambda: module(X))
    layer = module[0]
    assert copies(module, lambda: module(X)).num_bytes == 2 * (layer.weight.nbytes + layer.state.nbytes)


def test_half_precision() -> None:
    module = nn.Sequential(WritesBuffers(), WritesParameter(), nn.Linear(3, 3)).bfloat16()
    for _ in range(3):
        assert_restored(module, lambda: module(X))


class Autoencoder(nn.Module):
    """Its encoder writes to its weight, which nobody sees who only decodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = WritesParameter(), nn.Linear(3, 3)


def test_a_late_change_is_named_and_does_not_happen_again() -> None:
    module = Autoencoder()
    assert_restored(module, lambda: module.decoder(X))
    with pytest.warns(UserWarning, match=r"evaluating Autoencoder changed encoder\.weight, which"), undisturbed(module):
        module.encoder(X)
    assert_restored(module, lambda: module.encoder(X))


def test_a_rehearsal_prevents_late_changes() -> None:
    module = Autoencoder()
    assert_restored(module, lambda: module.decoder(X))
    assert_restored(module, lambda: module.encoder(X), rehearsal=True)
    assert_restored(module, lambda: module.encoder(X))


def test_small_buffers_need_no_rehearsal() -> None:
    module = Autoencoder()
    module.encoder = BatchStatistics()
    module.encoder.large = module.encoder.large[:3].clone()
    assert_restored(module, lambda: module.decoder(X))
    assert_restored(module, lambda: module.encoder(X))


def test_an_evaluation_that_fails_is_no_rehearsal() -> None:
    module = Autoencoder()
    with pytest.raises(ZeroDivisionError), undisturbed(module):
        module.encoder(1 / 0)
    assert_restored(module, lambda: module.encoder(X))


def test_layers_that_are_built_by_their_first_call() -> None:
    class Building(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net: nn.Module | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.net is None:
                self.net = WritesParameter()
            return self.net(x)

    module = nn.Sequential(nn.LazyLinear(3), Building(), nn.LazyBatchNorm1d())
    with undisturbed(module):
        module(X)
    assert module[0].weight.shape == (3, 3)
    for _ in range(3):
        assert_restored(module, lambda: module(X))


class Counts(nn.Module):
    """Numbers its calls, and scales by what it remembers of them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.last = 0, None
        self.cache: object = None
        self.running = torch.ones(3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.detach()
        self.seen = getattr(self, "seen", 0) + len(x)
        self.running = 0.9 * self.running + 0.1 * x.detach().mean(0)
        self.cache = self.cache or (lambda: None)
        return x * self.running / self.calls


def test_numbers_and_tensors_in_ordinary_attributes() -> None:
    module = nn.Sequential(Counts()).train()
    expected = copy.deepcopy(module)
    for _ in range(3):
        with undisturbed(module):
            module(X)
        assert torch.equal(module(X), expected(X))
    counts = module[0]
    assert (counts.calls, counts.seen) == (3, 3 * len(X))
    assert callable(counts.cache)  # what is built by the first call stays


def test_buffers_made_in_inference_mode_have_no_version() -> None:
    module = WritesBuffers()
    with torch.inference_mode():
        module.state, module.large = torch.ones(3), torch.ones(LARGE)
        with undisturbed(module):
            pass  # they are seen not to change
        for _ in range(3):
            values, where = copy.deepcopy(tensors(module)), places(module)
            with undisturbed(module), torch.inference_mode():
                module(X)
            assert places(module) == where
            assert all(torch.equal(tensor, values[name]) for name, tensor in tensors(module).items())


def test_the_generators() -> None:
    def draw() -> list[float]:
        return [random.random(), np.random.rand(), float(torch.rand(1))]  # noqa: NPY002

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    expected, module = draw(), nn.Linear(1, 1)
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    with undisturbed(module):
        assert draw() == expected
    with pytest.raises(ZeroDivisionError), undisturbed(module):
        1 / (draw()[0] * 0)
    assert draw() == expected


def test_modules_can_be_freed() -> None:
    module = nn.Linear(3, 3)
    with undisturbed(module):
        module(X)
    reference = weakref.ref(module.weight)
    del module
    gc.collect()
    assert reference() is None


def test_sparse_and_meta_tensors() -> None:
    module = nn.Linear(3, 3)
    module.register_buffer("graph", torch.eye(3).to_sparse())
    module.register_buffer("shape_only", torch.empty(3, device="meta"))
    weight = module.weight.detach().clone()
    with undisturbed(module):
        module(X)
    assert torch.equal(module.weight, weight)
