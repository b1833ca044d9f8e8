"""``evaluate`` in other people's loops: the model and the loader that Fabric or accelerate has prepared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from tests.evaluation.test_session import CountingVAE, every_evaluation, loader
from tests.helpers import RunProcesses
from torchdisentangle import evaluate
from torchdisentangle.evaluation import ManifoldEvaluation
from torchdisentangle.models import as_latent_model

NUM_ROWS = 47  # seven batches, the last one shorter: two processes pad


def with_fabric(world_size: int, data: DataLoader) -> tuple[Any, Any]:
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=world_size, strategy="ddp" if world_size > 1 else "auto")
    fabric.launch()
    return fabric.setup(CountingVAE()), fabric.setup_dataloaders(data)


def with_accelerate(world_size: int, data: DataLoader, **settings: Any) -> tuple[Any, Any]:
    import accelerate

    config = accelerate.utils.DataLoaderConfiguration(**settings)
    accelerator = accelerate.Accelerator(cpu=True, dataloader_config=config)
    assert accelerator.num_processes == world_size
    model, prepared = accelerator.prepare(CountingVAE(), data)
    assert prepared is not data
    return model, prepared


PREPARE: dict[str, Callable[..., tuple[Any, Any]]] = {
    "fabric": with_fabric,
    "accelerate": with_accelerate,
    "accelerate, dispatched": partial(with_accelerate, dispatch_batches=True),
}


@pytest.fixture(autouse=True)
def state_of_accelerate() -> Iterator[None]:
    """Accelerate keeps the processes that it has found, for good."""
    yield
    try:
        from accelerate.state import AcceleratorState
    except ImportError:
        return
    AcceleratorState._reset_state(True)


def found(rank: int, world_size: int, prepare: str, settings: dict[str, Any]) -> dict[str, float]:
    if world_size > 1:  # as torchrun says it
        told = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": world_size}
        told |= {"LOCAL_WORLD_SIZE": world_size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1, "TORCHELASTIC_RUN_ID": 1}
        os.environ.update({name: str(value) for name, value in told.items()})
    model, data = PREPARE[prepare](world_size, loader(NUM_ROWS, **settings))
    return evaluate(model, data, every_evaluation()).to_dict()


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("prepare", PREPARE)
@pytest.mark.parametrize("settings", [{}, {"drop_last": True}], ids=["", "drop_last"])
@pytest.mark.filterwarnings("ignore:.*the fingerprint has")
def test_prepared_models_and_loaders_give_the_same_numbers(
    run_processes: RunProcesses, world_size: int, prepare: str, settings: dict[str, Any]
) -> None:
    if prepare != "fabric":
        pytest.importorskip("accelerate")
    expected = evaluate(CountingVAE(), loader(NUM_ROWS, **settings), every_evaluation()).to_dict()
    run: Callable[..., list[Any]] = run_processes if world_size > 1 else lambda n, function, *args: [function(0, *args)]
    for values in run(world_size, found, world_size, prepare, settings):
        assert values == pytest.approx(expected, rel=1e-5, abs=1e-6)  # float32 models on other batch sizes


def test_the_loop_of_accelerate_is_not_disturbed() -> None:
    """It remembers which loader is read, and an evaluation stops where it has rows enough."""
    accelerate = pytest.importorskip("accelerate")
    model, data = with_accelerate(1, loader())
    evaluate(model, data, [ManifoldEvaluation(9, source="posterior")])
    assert not accelerate.state.GradientState().in_dataloader


def test_which_loader_of_several_is_said() -> None:
    several = CombinedLoader({"only": loader()})
    assert evaluate(CountingVAE(), several, ["elbo"]).num_rows == 48
    for idx in (1, -1):
        with pytest.raises(ValueError, match=f"holds 1 data loaders: say which one .* got {idx}"):
            evaluate(CountingVAE(), several, ["elbo"], dataloader_idx=idx)
    with pytest.raises(ValueError, match="chooses from a CombinedLoader, got DataLoader"):
        evaluate(CountingVAE(), loader(), ["elbo"], dataloader_idx=0)


def test_what_fabric_wraps_is_what_is_evaluated() -> None:
    model, _ = with_fabric(1, loader())
    assert as_latent_model(model).module is model.module
