"""Every cell of ``support.py``, in a trainer: the values of one process, or a refusal before training."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, SingleDeviceStrategy
from torch.utils.data import DataLoader, Dataset, DistributedSampler, WeightedRandomSampler

from tests.faults.conftest import Splitting
from tests.faults.support import (
    CELLS,
    DDP,
    DEEPSPEED,
    FORK,
    LOADERS,
    MESSAGES,
    NOTEBOOK,
    PRECISIONS,
    SHARDED,
    SINGLE,
    SPAWN,
    STRATEGIES,
    UNKNOWN_ROWS,
    UNTESTED,
    Cell,
    table,
)
from tests.faults.test_loaders import PLAIN
from tests.faults.test_loaders import table as rows
from tests.helpers import MakeTrainer
from torchdisentangle import evaluate
from torchdisentangle.callbacks import DisentanglementCallback, ELBODecompositionCallback
from torchdisentangle.callbacks.checks import check_strategy
from torchdisentangle.evaluation import DisentanglementEvaluation, ELBOEvaluation

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "max_epochs": 1,
    "limit_train_batches": 1,
    "num_sanity_val_steps": 1,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


MAKE: dict[str, Callable[[], DataLoader]] = {
    **{name: PLAIN[name] for name in LOADERS},
    "shuffled": lambda: DataLoader(rows(), 7, shuffle=True, generator=generator()),
    "weighted": lambda: DataLoader(
        rows(), 7, sampler=WeightedRandomSampler(torch.arange(1.0, 49).tolist(), 40, generator=generator())
    ),
    "an empty rank": lambda: DataLoader(rows(1), 7),
    "drop_last": lambda: DataLoader(rows(), 9, drop_last=True),
}


class Unchanging(Splitting):
    """Its training changes nothing, so that values of different numbers of processes can be compared."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def named(name: str, **settings: Any) -> Callable[[], Any]:
    """A strategy of that name, which would need other machines."""
    return lambda: type(name, (SingleDeviceStrategy,), settings)("cpu")


SPLITTING: dict[str, Callable[[], Any]] = {
    SHARDED[0]: FSDPStrategy,
    SHARDED[1]: named("ModelParallelStrategy"),
    SHARDED[2]: named("XLAFSDPStrategy"),
    SHARDED[3]: named("DeepSpeedStrategy", zero_stage_3=True),
}


class Trained(L.Callback):
    """Whether a step was trained."""

    seen = False

    def on_train_batch_start(self, *args: Any) -> None:
        self.seen = True


class Joined(LightningEnvironment):
    """Processes that are there already, as torchrun starts them."""

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return dist.get_world_size()

    def global_rank(self) -> int:
        return dist.get_rank()

    local_rank = global_rank


def callbacks() -> list[Any]:
    return [
        DisentanglementCallback(["mig", "sap"], figures=False),
        ELBODecompositionCallback(num_queries=10, figures=False),
    ]


def fitted(loader: DataLoader, precision: str, **settings: Any) -> dict[str, float] | str:
    """The values of a fit, or what it was refused with."""
    watching, trained = callbacks(), Trained()
    torch.manual_seed(5)
    trainer = L.Trainer(callbacks=[*watching, trained], precision=precision, **{**QUIET, **settings})  # type: ignore
    try:
        trainer.fit(Unchanging(), MAKE["default"](), loader)
    except Exception as error:
        return "too late" if trained.seen else str(error)
    return {f"{one.family}/{name}": value for one in watching for name, value in one.report.scalars.items()}


def in_order_of(loader: DataLoader) -> DataLoader:
    """What one process reads that reads in the order of several: that of Lightning's distributed sampler."""
    data: Dataset = loader.dataset
    order = list(DistributedSampler(data, 1, 0, shuffle=True))  # type: ignore[arg-type,var-annotated]
    return DataLoader(data, loader.batch_size, sampler=order)


HALF = {"bf16-true": torch.bfloat16, "16-true": torch.float16}


def expected(cell: Cell) -> Any:
    """The values of one process without a trainer, to rounding of float64 sums in another order.

    In true half precision the trainer rounds weights and data.
    """
    loader, dtype = MAKE[cell.loader](), HALF.get(cell.precision, torch.float64)
    if cell.strategy != SINGLE and cell.loader == "shuffled":
        loader = in_order_of(loader)
    next(iter(loader))  # a sanity check has drawn an order before
    values = evaluate(
        Unchanging().to(dtype),
        loader,
        [DisentanglementEvaluation(["mig", "sap"]), ELBOEvaluation(num_queries=10)],
        input_key=lambda batch: batch[0].to(dtype),
    )
    return pytest.approx(values.scalars, rel=1e-9, abs=1e-9, nan_ok=True)


def _fit_all(rank: int) -> dict[Cell, Any]:
    warnings.simplefilter("ignore")
    found, filters = {}, list(warnings.filters)
    for cell in CELLS:
        if cell.strategy == DDP:
            settings = {"strategy": DDPStrategy(cluster_environment=Joined()), "devices": dist.get_world_size()}
            found[cell] = fitted(MAKE[cell.loader](), cell.precision, **settings)
            assert warnings.filters == filters, "the process's warnings are filtered"
    return found


ONCE = pytest.mark.xdist_group("processes of the strategies")  # on one worker, which starts the processes once


@pytest.fixture(scope="module")
def found(run_processes: Callable[..., list[Any]]) -> dict[int, list[dict[Cell, Any]]]:
    return {size: run_processes(size, _fit_all) for size in (2, 3)}


def cells(*strategies: str) -> Any:
    chosen = [cell for cell in CELLS if cell.strategy in strategies]
    return pytest.mark.parametrize("cell", chosen, ids=lambda cell: "-".join(cell[:3]))


def check(cell: Cell, value: Any) -> None:
    if cell.refused:
        assert isinstance(value, str), value
        assert MESSAGES[cell.loader] in value
    else:
        assert value == expected(cell)


@ONCE
@pytest.mark.parametrize("world_size", [2, 3])
@cells(DDP)
@pytest.mark.filterwarnings("ignore")
def test_several_processes(found: Any, cell: Cell, world_size: int) -> None:
    for values in found[world_size]:
        check(cell, values[cell])


@cells(SINGLE)
@pytest.mark.filterwarnings("ignore")
def test_one_process(cell: Cell) -> None:
    check(cell, fitted(MAKE[cell.loader](), cell.precision, devices=1))


class Untrained(L.Callback):
    """Ends a process that trains a step."""

    def on_train_batch_start(self, *args: Any) -> None:
        raise AssertionError("too late")


@cells(FORK, NOTEBOOK, SPAWN)
@pytest.mark.filterwarnings("ignore")
def test_processes_that_lightning_starts(cell: Cell, make_trainer: MakeTrainer) -> None:
    """What the processes log is in float32."""
    watching = [*callbacks(), *([Untrained()] if cell.refused else [])]
    strategy = cell.strategy.strip("`")
    trainer = make_trainer(*watching, precision=cell.precision, strategy=strategy, devices=2, max_epochs=1)
    loaders = MAKE["default"](), MAKE[cell.loader]()
    if cell.refused:
        with pytest.raises(Exception, match=MESSAGES[cell.loader]):
            trainer.fit(Unchanging(), *loaders)
        return
    trainer.fit(Unchanging(), *loaders)
    logged = {name.removeprefix("val/"): float(value) for name, value in trainer.callback_metrics.items()}
    assert logged == pytest.approx(expected(cell).expected, rel=1e-6, nan_ok=True)


def test_what_lightning_does_not_do_on_a_cpu(make_trainer: MakeTrainer) -> None:
    """As the reasons say for which a precision and a strategy are untested."""
    assert set(UNTESTED) == {f"`{PRECISIONS[-1]}`", DEEPSPEED}
    with pytest.warns(UserWarning, match="fp16 is not supported on"):
        assert make_trainer(precision="16-mixed").precision == "bf16-mixed"
    strategy = object.__new__(DeepSpeedStrategy)  # which to make as usual needs DeepSpeed
    strategy.accelerator = CPUAccelerator()
    with pytest.raises(RuntimeError, match="only supported on CUDA"):
        strategy.setup_environment()


@pytest.mark.parametrize("name", SHARDED)
def test_split_parameters_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="splits the parameters between processes"):
        check_strategy(type("Trainer", (), {"strategy": SPLITTING[name]()})())


def test_the_documentation_shows_this_list() -> None:
    """Each cell of its table is tested here, or called untested."""
    header, _, *lines = [
        [part.strip() for part in line.strip("| ").split("|")] for line in table().splitlines() if line
    ]
    shown = lines[: lines.index(["loader", "what it is", "several processes"])]
    assert header == ["strategy", "precision", *LOADERS]
    tested = {cell[:3]: "refused" if cell.refused else "exact" for cell in CELLS}
    claimed = {
        (strategy, precision, loader): outcome
        for strategy, precision, *outcomes in shown
        if strategy not in SHARDED
        for loader, outcome in zip(LOADERS, outcomes, strict=True)
        if outcome != "untested"
    }
    assert claimed == tested
    assert {line[0] for line in shown} == {*STRATEGIES, *SHARDED}
    assert {cell.loader for cell in CELLS if cell.refused} == set(UNKNOWN_ROWS) == set(MESSAGES)
