"""What an evaluation finds: scalars, matrices, and figures to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import Self


@dataclass(frozen=True)
class Report:
    """The result of one or more evaluations, the same on every process.

    Args:
        scalars: values by name, as Python floats. NaN stands for a value that cannot be known.
        matrices: tensors by name, such as spectra and matrices of mutual information.
        figures: functions by name that draw a figure when they are called.
        num_rows: number of rows, or of latents, that the values stand on.

    Example:
        >>> report = Report({"mig": 0.5}, num_rows=100)
        >>> report["mig"], report.to_dict()
        (0.5, {'mig': 0.5})
        >>> both = Report.combined({"disentanglement": report, "elbo": Report({"kl": 3.0})})
        >>> list(both)
        ['disentanglement/mig', 'elbo/kl']
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    matrices: Mapping[str, Tensor] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)
    num_rows: int = 0

    @classmethod
    def combined(cls, reports: Mapping[str, Report]) -> Report:
        """Several reports as one, whose names start with those given: ``elbo/kl``."""

        def merged(part: str) -> dict[str, Any]:
            return {f"{of}/{name}": value for of, one in reports.items() for name, value in getattr(one, part).items()}

        most = max((report.num_rows for report in reports.values()), default=0)
        return cls(merged("scalars"), merged("matrices"), merged("figures"), most)

    def kept(self) -> Self:
        """The same report with its matrices on the CPU, and without figures, which hold on to metrics and rows."""
        return replace(self, matrices={name: value.detach().cpu() for name, value in self.matrices.items()}, figures={})

    def __getitem__(self, name: str) -> float:
        """A scalar by its name."""
        return self.scalars[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scalars)

    def __len__(self) -> int:
        return len(self.scalars)

    def to_dict(self) -> dict[str, float]:
        """The scalars, as a new dictionary of floats."""
        return dict(self.scalars)

    def __str__(self) -> str:
        width = max(map(len, self.scalars), default=0)
        return "\n".join(f"{name:{width}}  {value:.6g}" for name, value in self.scalars.items())


def floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Tensors of one number as Python floats."""
    return {name: float(value.detach()) for name, value in values.items()}


def draws(drawings: Mapping[str, Callable[[], tuple[Figure, Any]]]) -> dict[str, Callable[[], Figure]]:
    """Functions that return a figure alone, of functions that return it with its axes."""
    return {name: (lambda draw=draw: draw()[0]) for name, draw in drawings.items()}  # type: ignore[misc]
