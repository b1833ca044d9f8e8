"""Counts what a GPU is asked to do, and how often a CPU waits for its answers. The counts hold on any machine."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchdisentangle.functional.device import Answer

WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2", "bincount")


class Launches(TorchDispatchMode):
    """Counts operations but for views, which launch nothing, and those whose answer a CPU has to wait for.

    An answer that was sent ahead costs a wait unless another wait has come in between.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        returns = func._schema.returns
        is_view = any(value.alias_info is not None and not value.alias_info.is_write for value in returns)
        self.operations[name] += not is_view
        by_mask = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        self.waits[name] += by_mask or name in WAITS
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Launches:
        tolist, send = Tensor.tolist, Answer.__init__
        sent: dict[Answer, int] = {}

        def waiting(tensor: Tensor) -> Any:
            self.waits["tolist"] += 1  # no operation on a CPU
            return tolist(tensor)

        def sending(answer: Answer, numbers: Tensor) -> None:
            send(answer, numbers)
            sent[answer] = self.waits.total()

        def reading(answer: Answer) -> list:
            self.waits["answer"] += self.waits.total() == sent[answer]
            return tolist(answer._numbers)

        self._patches = ExitStack()
        for owner, name, counted in (
            (Tensor, "tolist", waiting),
            (Answer, "__init__", sending),
            (Answer, "read", reading),
        ):
            self._patches.enter_context(mock.patch.object(owner, name, counted))
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._patches.close()
