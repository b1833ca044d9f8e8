"""One attempt at a run: everything happens in a folder of its own, which gets the run's name when all is done."""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from torchdisentangle.study.run import CONFIG, LOG, PARTIAL

RunFunction = Callable[[dict[str, Any], Path], object]


@dataclass(frozen=True)
class Attempt:
    """A call of the user's function, for a worker to make.

    Args:
        name: of the run.
        config: of the run.
        study: folder of the study.
        run: the user's function.
        num_threads: of torch.
    """

    name: str
    config: dict[str, Any]
    study: Path
    run: RunFunction
    num_threads: int

    def __call__(self) -> str | None:
        """Do the run.

        Returns:
            The error that it ended with, in one line; ``None`` if it is finished.
        """
        try:
            self._do()
        except (Exception, SystemExit) as error:
            return " ".join(traceback.format_exception_only(error)[-1].split())[:1000]
        return None

    def _do(self) -> None:
        folder, done = self.study / f".{self.name}{PARTIAL}{uuid4().hex[:8]}", self.study / self.name
        folder.mkdir()
        (folder / CONFIG).write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")
        start = time.perf_counter()
        with _printing_to(folder / LOG), _threads(self.num_threads):
            print(f"{self.name} started {time.strftime('%Y-%m-%d %H:%M:%S')} on {platform.node()}")
            try:
                if "seed" in self.config:
                    seed_everything(self.config["seed"])
                self.run(dict(self.config), folder)
            except BaseException:
                traceback.print_exc()
                raise
            print(f"finished in {time.perf_counter() - start:.1f} s")
        if not (folder / CONFIG).exists():
            raise FileNotFoundError("what the run had written was deleted: is another execution doing the same run?")
        try:
            folder.rename(done)
        except OSError:
            if not done.exists():
                raise
            shutil.rmtree(folder)  # another execution of the study was faster


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch, of all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (what older libraries draw from)
    torch.manual_seed(seed)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Whatever is printed goes to a file, also by libraries in C and by handlers that hold on to the old streams."""
    with (
        path.open("a", buffering=1, encoding="utf-8") as log,
        _redirected(1, log.fileno()),
        _redirected(2, log.fileno()),
        redirect_stdout(log),
        redirect_stderr(log),
        warnings.catch_warnings(),  # a worker's next run says again what this one was warned of
    ):
        yield


@contextmanager
def _redirected(descriptor: int, target: int) -> Iterator[None]:
    sys.stdout.flush()
    kept = os.dup(descriptor)
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
