"""Attempts as tasks of Ray, on the cores and GPUs of one machine or of a cluster."""

from __future__ import annotations

import logging
import os
from typing import Any

from torchdisentangle.study.attempt import Attempt
from torchdisentangle.study.engines import Ended, Engine


class RayTasks(Engine):
    """A task of Ray for each attempt.

    If Ray has been initialised before, its cluster is used, and left as it is.

    Args:
        workers: the most tasks at once; ``None``: as many as the cluster has room for at any time.
        num_cpus: that a task takes.
        num_gpus: that a task takes, also a fraction of one.
        address: of a cluster; ``"local"``: a new one on this machine; ``None``: the one that ``RAY_ADDRESS`` names or
            that this machine is part of, or else a new one.

    Raises:
        ImportError: if Ray is missing.
    """

    def __init__(self, workers: int | None, num_cpus: int, num_gpus: float, address: str | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("this engine needs ray: pip install 'torchdisentangle[study]'") from error
        self._ray = ray
        self._workers, self._needs = workers, {"CPU": num_cpus, "GPU": num_gpus}
        self._owned = not ray.is_initialized()
        if self._owned:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as without Ray, and no warning of it
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
            ray.init(address, include_dashboard=False, **quiet)
        # the study counts attempts, for errors as well as for deaths, so Ray does not
        self._task = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0)(_work)
        self._working: dict[Any, str] = {}

    @property
    def room(self) -> int:
        """Tasks that the nodes of the cluster can hold, or as many as were asked for."""
        if self._workers is not None:
            return self._workers
        there = self._ray.cluster_resources()
        return max(1, min(int(there.get(name, 0) / need) for name, need in self._needs.items() if need))

    def start(self, attempt: Attempt) -> None:
        """Submit a task."""
        self._working[self._task.options(name=attempt.name).remote(attempt)] = attempt.name

    def ended(self) -> list[Ended]:
        """Wait for the first task to end."""
        ready, _ = self._ray.wait(list(self._working))
        return [(self._working.pop(task), self._error_of(task)) for task in ready]

    def close(self) -> None:
        """Cancel the tasks, and end Ray if it was begun here."""
        for task in self._working:
            self._ray.cancel(task, force=True)
        self._working.clear()
        if self._owned:
            self._ray.shutdown()

    def _error_of(self, task: Any) -> str | None:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return str(getattr(error, "cause", None) or error).splitlines()[0]


def _work(attempt: Attempt) -> str | None:
    return attempt()
