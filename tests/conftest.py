"""Fixtures that several test files use."""

from __future__ import annotations

import io
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import lightning as L
import pytest
import torch
import torch.distributed as dist
from tqdm import tqdm

from tests.helpers import MakeTrainer, RunProcesses
from tests.missing_extras import SkipWithoutExtras

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes says nothing about truth
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs before anything looks for them, unless ``-m gpu`` asks for the tests of GPUs.

    The other tests fork, which no process may that has initialised CUDA, and take the CPU for granted.
    """
    config.pluginmanager.register(SkipWithoutExtras())
    tqdm.monitor_interval = 0  # no thread of its own, which may hold its lock while a test forks
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "gpu" or not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and -m gpu"))


@pytest.fixture(scope="session")
def run_processes(tmp_path_factory: pytest.TempPathFactory) -> RunProcesses:
    """``run_processes(n, function, *args)``: what ``function(rank, *args)`` returns in ``n`` joined processes."""
    numbers, folder = count(), tmp_path_factory.mktemp("processes")

    def run(world_size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
        context = multiprocessing.get_context("fork")
        rendezvous = folder / f"rendezvous-{next(numbers)}"
        pipes = [context.Pipe(duplex=False) for _ in range(world_size)]
        workers = [
            context.Process(target=_work, args=(rank, world_size, rendezvous, pipe[1], function, args))
            for rank, pipe in enumerate(pipes)
        ]
        for worker in workers:
            worker.start()
        results = []
        try:
            for receiver, _ in pipes:
                assert receiver.poll(120), "a process did not answer within two minutes"
                results.append(torch.load(io.BytesIO(receiver.recv_bytes()), weights_only=False))
            for worker in workers:
                worker.join(10)
        finally:
            for worker in workers:
                worker.kill()  # one that hangs may hold what the others, and this process, wait for
        for result in results:
            if isinstance(result, _Failure):
                raise RuntimeError(result.text)
        return results

    return run


class _Failure:
    def __init__(self, text: str) -> None:
        self.text = text


def _work(rank: int, world_size: int, rendezvous: Path, pipe: Any, function: Callable[..., Any], args: tuple) -> None:
    torch.set_num_threads(1)  # a forked process must not touch the parent's thread pool
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size, timeout=timedelta(seconds=30)
    )
    try:
        result = function(rank, *args)
    except Exception:
        result = _Failure(traceback.format_exc())
    buffer = io.BytesIO()
    torch.save(result, buffer)
    pipe.send_bytes(buffer.getvalue())
    pipe.close()
    os._exit(0)  # without the interpreter's exit handlers, which abort in gloo now and then


_STATES: dict[str, torch.Tensor] = {}


@pytest.fixture(autouse=True)
def the_same_random_numbers(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test draws the same whatever ran before it: from its module's generator, and from the seed of trainers."""
    generator = getattr(getattr(request, "module", None), "GENERATOR", None)
    if generator is not None:
        generator.set_state(_STATES.setdefault(request.module.__name__, generator.get_state()))
    yield
    os.environ.pop("PL_GLOBAL_SEED", None)  # which L.seed_everything leaves, for samplers to read


@pytest.fixture(autouse=True)
def _offline_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    def make(*callbacks: L.Callback, **settings: Any) -> L.Trainer:
        defaults = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 2,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "default_root_dir": tmp_path,
        }
        return L.Trainer(callbacks=list(callbacks), **{**defaults, **settings})  # type: ignore[arg-type]

    return make
