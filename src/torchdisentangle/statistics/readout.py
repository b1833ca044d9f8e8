"""The decorator that makes what a metric returns to a user global."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Reducible(Protocol):
    """Anything with a context in which its states are those over all processes."""

    def reduced(self) -> object:
        """The context."""


S = TypeVar("S", bound=Reducible)


def readout(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Make a method of a metric return its value over all processes.

    Every public method of a metric that returns something to the user carries this decorator; ``compute`` is global
    already. Methods without it are local, and private. Nested read-outs reduce once.

    Args:
        method: a method of a :class:`~torchdisentangle.statistics.Statistic`.

    Returns:
        The method, which enters :meth:`~torchdisentangle.statistics.Statistic.reduced` first.

    Example:
        >>> import torch
        >>> from torchdisentangle.statistics import Statistic
        >>> class Rows(Statistic):
        ...     def __init__(self):
        ...         super().__init__("rows")
        ...         self.add_sum("num_rows", dtype=torch.int64)
        ...     def update(self, codes):
        ...         self.accumulate(num_rows=torch.tensor(len(codes)))
        ...     @readout
        ...     def count(self):
        ...         return int(self.num_rows)
        ...     compute = count
        >>> rows = Rows()
        >>> rows.update(torch.zeros(3, 2))
        >>> rows.count()
        3
    """

    @wraps(method)
    def over_all_processes(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.reduced():  # type: ignore[attr-defined]
            return method(self, *args, **kwargs)

    over_all_processes.is_readout = True  # type: ignore[attr-defined]
    return over_all_processes
