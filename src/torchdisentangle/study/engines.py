"""Where attempts are made: in this process, or in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from multiprocessing.connection import Connection, wait

from torchdisentangle.study.attempt import Attempt

_SERVER = "torchdisentangle.study.server"

Ended = tuple[str, "str | None"]
"""The name of a run, and the error that its attempt ended with."""


class Engine(ABC):
    """Makes attempts, as many at once as it has room for.

    Args:
        room: the most attempts at once.
    """

    def __init__(self, room: int) -> None:
        self.room = room

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

    def __init__(self) -> None:
        super().__init__(1)
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

    They are forked off a server that has imported the user's function, and nothing else: they start at once, and use
    CUDA. Where there is no such server (on Windows), they are started afresh.

    Args:
        workers: number of processes at once.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        methods = multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self._working: dict[int, tuple[str, multiprocessing.process.BaseProcess, Connection]] = {}

    def start(self, attempt: Attempt) -> None:
        """Start a process."""
        if hasattr(self._context, "set_forkserver_preload"):
            self._context.set_forkserver_preload(["__main__", attempt.run.__module__, _SERVER])
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(attempt, sender), name=attempt.name)
        process.start()
        sender.close()
        self._working[process.sentinel] = (attempt.name, process, receiver)

    def ended(self) -> list[Ended]:
        """Wait for the first process to end."""
        return [self._end_of(sentinel) for sentinel in wait(list(self._working))]  # type: ignore[arg-type]

    def close(self) -> None:
        """Kill the processes."""
        for _, process, receiver in self._working.values():
            process.kill()
            process.join()
            receiver.close()
        self._working.clear()

    def _end_of(self, sentinel: int) -> Ended:
        name, process, receiver = self._working.pop(sentinel)
        process.join()
        try:
            error = receiver.recv()
        except EOFError:
            code = process.exitcode or 0
            error = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        receiver.close()
        return name, error


def _work(attempt: Attempt, sender: Connection) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sender.send(attempt())


def _die_with_parent() -> None:
    """Otherwise the workers of a study that was killed would go on unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
