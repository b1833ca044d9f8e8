"""A study: runs of one function for many configurations, each of which is done once."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from torchdisentangle.study.attempt import Attempt, RunFunction
from torchdisentangle.study.engines import Engine, Processes, ThisProcess
from torchdisentangle.study.on_ray import RayTasks
from torchdisentangle.study.run import CONFIG, FAILED, LOG, PARTIAL, Run, checked_name, name_of


class Study:
    """Runs of one function for many configurations.

    A run that is finished is a folder with its name in the folder of the study, with the configuration
    (``config.json``), what was printed (``log.txt``), and what the function has written, see
    :func:`~torchdisentangle.study.save_run`. Until then its folder has another, hidden name. So whatever is killed, and
    whenever, costs the runs in flight alone: :meth:`execute` does what is not finished.

    Args:
        folder: of the study; with several machines, one that all of them see.
        run: called as ``run(config, folder)``; trains a model and writes what it finds into the folder. Workers import
            it, so it is a function of a module, and a script that executes a study does so under
            ``if __name__ == "__main__":``. Before the call, ``config["seed"]``, if it is there, seeds the generators of
            Python, NumPy and torch.
        configurations: of the runs by name, dictionaries that JSON can hold; or a list of them, and their values make
            the names.

    Raises:
        ValueError: if two runs have one name, a name cannot be that of a folder, a configuration has a NaN, or a
            finished run had another configuration.
        TypeError: if JSON cannot hold a configuration.

    Example:
        >>> import tempfile
        >>> from torchdisentangle import Report
        >>> from torchdisentangle.study import save_run
        >>> def run(config, folder):
        ...     save_run(folder, report=Report({"square": config["x"] ** 2}))
        >>> study = Study(tempfile.mkdtemp(), run, [{"x": 2}, {"x": 3}])
        >>> [(run.name, run.report["square"]) for run in study.execute(workers=0)]
        [('x=2', 4.0), ('x=3', 9.0)]
    """

    def __init__(
        self,
        folder: str | Path,
        run: RunFunction,
        configurations: Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]],
    ) -> None:
        self.folder = Path(folder).resolve()
        self.run = run
        self.configurations = _named(configurations)
        self.finished()

    def finished(self) -> list[Run]:
        """The runs of this study that are finished, in the order of the configurations.

        Raises:
            ValueError: if one of them had another configuration.
        """
        runs = [Run(self.folder / name) for name in self.configurations if (self.folder / name / CONFIG).exists()]
        for run in runs:
            if run.config != self.configurations[run.name]:
                raise ValueError(
                    f"{run.folder} is finished, but with the configuration {run.config}, not with "
                    f"{self.configurations[run.name]}: use another name or folder, or delete it"
                )
        return runs

    def execute(
        self,
        workers: int | None = None,
        engine: Literal["processes", "ray"] = "processes",
        *,
        retries: int = 1,
        num_cpus: int = 1,
        num_gpus: float = 0.0,
        address: str | None = None,
        progress: bool | None = None,
    ) -> list[Run]:
        """Do the runs that are not finished.

        Args:
            workers: how many runs at once; 0: one after the other in this process, whatever the engine; ``None``: as
                many as there is room for.
            engine: ``"processes"`` of this machine, one for each run; or tasks of ``"ray"``, which can be on many
                machines, and needs the extra ``study``.
            retries: how often a run that fails, or whose worker dies, is begun anew.
            num_cpus: cores and torch threads of a run.
            num_gpus: GPUs of a run; with 0.25, four runs share one. A process sees no others; with 0 it sees all that
                there are.
            address: of Ray's cluster, see :func:`ray.init`; by default the one that this machine is part of, or else a
                new one for this study.
            progress: whether to show how many runs are done, in flight and failed; ``None``: if the standard error is a
                terminal.

        Returns:
            All runs, in the order of the configurations.

        Raises:
            ValueError: if the engine is unknown, a number is out of range, or there are not enough GPUs.
            ImportError: if Ray is missing.
            RuntimeError: at the end, if runs have failed. Their logs are kept in folders whose names end in
                ``.failed``; the next execution tries them again.
        """
        if engine not in ("processes", "ray"):
            raise ValueError(f"engine must be 'processes' or 'ray', got {engine!r}")
        if num_cpus < 1 or (workers is not None and workers < 0):
            raise ValueError(f"num_cpus must be positive and workers not negative, got {num_cpus} and {workers}")
        done = {run.name for run in self.finished()}
        todo = deque(name for name in self.configurations if name not in done)
        if todo:
            self.folder.mkdir(parents=True, exist_ok=True)
            workshop: Engine
            if workers == 0:
                workshop = ThisProcess()
            elif engine == "ray":
                workshop = RayTasks(workers, num_cpus, num_gpus, address)
            else:
                workshop = Processes(workers, num_cpus, num_gpus)
            total, hidden = len(self.configurations), None if progress is None else not progress
            with tqdm(total=total, initial=len(done), desc="runs", disable=hidden) as bar, closing(workshop):
                failed = self._do(todo, workshop, retries, num_cpus, bar)
            if failed:
                lines = "".join(f"\n  {self.folder / name}{FAILED}: {error}" for name, error in failed.items())
                raise RuntimeError(f"{len(failed)} of {total} runs failed:{lines}")
        return [Run(self.folder / name) for name in self.configurations]

    def _do(self, todo: deque[str], engine: Engine, retries: int, num_cpus: int, bar: tqdm) -> dict[str, str]:
        """Do the runs, and return the errors of those that fail."""
        attempts = dict.fromkeys(todo, 0)
        failed: dict[str, str] = {}
        in_flight = 0
        while todo or in_flight:
            while todo and in_flight < engine.room:
                name = todo.popleft()
                self._discard(name)
                engine.start(Attempt(name, self.configurations[name], self.folder, self.run, num_cpus))
                attempts[name] += 1
                in_flight += 1
            bar.set_postfix({"in flight": in_flight, "failed": len(failed)})
            for name, error in engine.ended():
                in_flight -= 1
                if error is None:
                    bar.update()
                elif attempts[name] <= retries:
                    todo.append(name)
                else:
                    failed[name] = error
                    self._keep(name, error)
        return failed

    def _partial(self, name: str) -> list[Path]:
        return list(self.folder.glob(f".{name}{PARTIAL}*"))

    def _discard(self, name: str) -> None:
        """Delete what attempts have left."""
        for folder in [*self._partial(name), self.folder / f"{name}{FAILED}"]:
            shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, name: str, error: str) -> None:
        """Keep what the last attempt has left, with the error at the end of its log."""
        kept = self.folder / f"{name}{FAILED}"
        for folder in self._partial(name)[:1]:
            folder.rename(kept)
        kept.mkdir(exist_ok=True)
        with (kept / LOG).open("a", encoding="utf-8") as log:
            log.write(f"failed: {error}\n")


def _named(
    configurations: Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Configurations as JSON holds them, by name."""
    if isinstance(configurations, Mapping):
        pairs = [(checked_name(name), dict(config)) for name, config in configurations.items()]
    else:
        pairs = [(name_of(dict(config)), dict(config)) for config in configurations]
    named: dict[str, dict[str, Any]] = {}
    for name, config in pairs:
        if name in named:
            raise ValueError(f"two configurations have the name {name}: {named[name]} and {config}")
        named[name] = json.loads(json.dumps(config, allow_nan=False))
    return named
