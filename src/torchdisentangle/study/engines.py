"""Where attempts are made: in this process, or in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from torchdisentangle.study.attempt import Attempt
from torchdisentangle.study.places import places

_SERVER = "torchdisentangle.study.server"

Ended = tuple[str, "str | None"]
"""The name of a run, and the error that its attempt ended with."""


class Engine(ABC):
    """Makes attempts, as many at once as it has room for."""

    @property
    @abstractmethod
    def room(self) -> int:
        """The most attempts at once, at this time."""

    @abstractmethod
    def start(self, attempt: Attempt) -> None:
        """Begin an attempt."""

    @abstractmethod
    def ended(self) -> list[Ended]:
        """Wait until at least one attempt has ended; a worker's death is an end with an error."""

    @abstractmethod
    def close(self) -> None:
        """End the workers, whatever they are doing."""


class ThisProcess(Engine):
    """One attempt after the other, here: to look for faults with a debugger."""

    room = 1

    def __init__(self) -> None:
        self._ended: list[Ended] = []

    def start(self, attempt: Attempt) -> None:
        """Make the attempt."""
        self._ended.append((attempt.name, attempt()))

    def ended(self) -> list[Ended]:
        """What was started last."""
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Nothing is left to end."""


class Processes(Engine):
    """A process for each attempt, so that whatever kills one of them touches no other.

    They are forked off a server that has imported the user's function, and has done nothing else: they start at once,
    and can use CUDA. Where there is no such server (on Windows), they are started afresh.

    Args:
        workers: the most processes at once; ``None``: as many as there are cores, and GPUs, for.
        num_cpus: cores of a process.
        num_gpus: GPUs of a process, also a fraction of one; with 0 all see all of them.

    Raises:
        ValueError: if there are not so many GPUs.
    """

    def __init__(self, workers: int | None, num_cpus: int, num_gpus: float) -> None:
        self._free = places(workers, num_cpus, num_gpus)
        self._environment = {
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),  # the server is not told otherwise
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(num_cpus)),
        }
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self._working: dict[int, _Worker] = {}

    @property
    def room(self) -> int:
        """Number of processes at once."""
        return len(self._working) + len(self._free)

    def start(self, attempt: Attempt) -> None:
        """Start a process."""
        if self._context.get_start_method() == "forkserver":
            self._context.set_forkserver_preload(["__main__", attempt.run.__module__, _SERVER])
        receiver, sender = self._context.Pipe(duplex=False)
        place = self._free.pop()
        process = self._context.Process(target=_work, args=(attempt, place, sender), name=attempt.name)
        with _environment(self._environment):
            process.start()
        sender.close()
        self._working[process.sentinel] = _Worker(process, receiver, place)

    def ended(self) -> list[Ended]:
        """Wait for the first process to end."""
        return [self._end_of(sentinel) for sentinel in wait(list(self._working))]  # type: ignore[arg-type]

    def close(self) -> None:
        """Kill the processes."""
        for process, receiver, _ in self._working.values():
            process.kill()
            process.join()
            receiver.close()
        self._working.clear()

    def _end_of(self, sentinel: int) -> Ended:
        process, receiver, place = self._working.pop(sentinel)
        self._free.append(place)
        process.join()
        try:
            error = receiver.recv()
        except EOFError:
            code = process.exitcode or 0
            error = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        receiver.close()
        return process.name, error


class _Worker(NamedTuple):
    process: BaseProcess
    receiver: Connection
    place: str | None


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """For the server, which the first process that is started in this one starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _work(attempt: Attempt, place: str | None, sender: Connection) -> None:
    if place is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sender.send(attempt())


def _die_with_parent() -> None:
    """Otherwise the workers of a study that was killed would go on unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
