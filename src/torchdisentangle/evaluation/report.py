"""What an evaluation finds: scalars with their intervals, matrices, and figures to draw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import Self

from torchdisentangle.evaluation.group_values import GroupValues

if TYPE_CHECKING:
    import pandas

_PLAIN = ("scalars", "intervals", "ceilings", "groups", "columns")  # what JSON can hold
_PARTS = (*_PLAIN, "matrices", "figures", "pages")
_NEAR = 0.95  # of a ceiling: a value above is about the ceiling
_HEAD, _MATRIX = "report", "matrix/"  # names in a saved file


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """The result of one or more evaluations, the same on every process.

    Args:
        scalars: values by name; numbers and tensors of one number become floats. NaN stands for a value that cannot be
            known.
        matrices: tensors by name, such as spectra and matrices of mutual information.
        figures: functions by name that draw a figure when they are called.
        num_rows: number of rows, or of latents, that the values stand on.
        intervals: both ends of the confidence intervals of the scalars that have one, by the scalars' names.
        ceilings: the best values that the data allow, by the names of the scalars that have one.
        groups: of the scalars that have an interval and stand on rows with an index.
        columns: names of the columns of matrices, such as those of the factors, by the matrices' names.
        pages: functions by name that make an interactive page (HTML) of a report; on the first process only.

    Example:
        >>> report = Report({"mig": 0.5, "sap": 0.2}, num_rows=100, intervals={"mig": (0.4, 0.6)})
        >>> report
        Report of 2 values and 0 matrices, from 100 rows
        mig  0.5  [0.4, 0.6]
        sap  0.2
        >>> report["mig"], report.to_dict()
        (0.5, {'mig': 0.5, 'sap': 0.2})
        >>> both = Report.combined({"disentanglement": report, "elbo": Report({"kl": 3.0})})
        >>> list(both)
        ['disentanglement/mig', 'disentanglement/sap', 'elbo/kl']
        >>> (report - Report({"mig": 0.25})).to_dict()
        {'mig': 0.25}
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    matrices: Mapping[str, Tensor] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)
    num_rows: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict, kw_only=True)
    ceilings: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    groups: Mapping[str, GroupValues] = field(default_factory=dict, kw_only=True)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict, kw_only=True)
    pages: Mapping[str, Callable[[Report], str]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        intervals = {name: (float(low), float(high)) for name, (low, high) in self.intervals.items()}
        object.__setattr__(self, "scalars", floats(self.scalars))
        object.__setattr__(self, "intervals", intervals)
        object.__setattr__(self, "ceilings", floats(self.ceilings))
        object.__setattr__(self, "groups", {name: GroupValues(*parts) for name, parts in self.groups.items()})

    @classmethod
    def joined(cls, *reports: Report) -> Report:
        """Several reports as one.

        Raises:
            ValueError: if two of them have a value of the same name.
        """

        def merged(part: str) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for report in reports:
                values = getattr(report, part)
                twice = sorted(found.keys() & values.keys())
                if twice:
                    raise ValueError(f"two reports have {part} called {', '.join(twice)}")
                found |= values
            return found

        most = max((report.num_rows for report in reports), default=0)
        return cls(num_rows=most, **{part: merged(part) for part in _PARTS})

    @classmethod
    def combined(cls, reports: Mapping[str, Report]) -> Report:
        """Several reports as one, whose names start with those given: ``elbo/kl``."""
        return cls.joined(*(report.prefixed(name) for name, report in reports.items()))

    def prefixed(self, prefix: str) -> Report:
        """The same report with longer names: ``kl`` is ``elbo/kl`` after ``prefixed("elbo")``."""

        def renamed(part: str) -> dict[str, Any]:
            return {f"{prefix}/{name}": value for name, value in getattr(self, part).items()}

        changed: dict[str, Any] = {part: renamed(part) for part in _PARTS}
        return replace(self, **changed)

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

    def __sub__(self, other: Report) -> Report:
        """:meth:`difference` with 95 % intervals."""
        return self.difference(other) if isinstance(other, Report) else NotImplemented

    def difference(self, other: Report, level: float = 0.95) -> Report:
        r"""Differences of the scalars that both reports have, in this one's order, with paired intervals.

        A difference has an interval if both scalars have one and were computed from the same rows: the two models must
        have been given the same data with the same numbering. A hash of the rows' index divides them into twenty
        groups, and rows count as the same if the groups have the same sizes and the same mean of each factor. The
        interval is that of :func:`~torchdisentangle.functional.jackknife.replicate_interval`, from :math:`a - b`
        without each group. What both models find in the same rows cancels, so it is mostly narrower than those of the
        two scalars.

        Args:
            other: the report that is taken from this one.
            level: probability that an interval covers.

        Raises:
            ValueError: if they have no scalar in common.

        Example:
            >>> from torchdisentangle.evaluation import score
            >>> factors = torch.randn(500, 2)
            >>> noise = torch.randn(500, 2)
            >>> a, b = (score(factors + s * noise, factors, ["sap"], continuous=True) for s in (0.1, 0.5))
            >>> low, high = (a - b).intervals["sap"]
            >>> 0 < low < high
            True
        """
        shared = [name for name in self if name in other.scalars]
        if not shared:
            raise ValueError("these reports have no scalar in common")
        scalars = {name: self[name] - other[name] for name in shared}
        groups, intervals = {}, {}
        for name in shared:
            mine, theirs = (report.groups.get(name) for report in (self, other))
            if mine is not None and theirs is not None and mine.of_same_rows(theirs):
                groups[name] = mine - theirs
                intervals[name] = groups[name].interval(level)
        num_rows = min(self.num_rows, other.num_rows)
        return Report(scalars, num_rows=num_rows, intervals=intervals, groups=groups)

    def to_dict(self) -> dict[str, float]:
        """The scalars, as a new dictionary of floats."""
        return dict(self.scalars)

    def to_log(self) -> dict[str, float]:
        """The scalars with the ends of their intervals, as ``<name>_low`` and ``<name>_high``.

        Example:
            >>> Report({"mig": 0.5}, intervals={"mig": (0.4, 0.6)}).to_log()
            {'mig': 0.5, 'mig_low': 0.4, 'mig_high': 0.6}
        """
        lows = {f"{name}_low": low for name, (low, _) in self.intervals.items()}
        return self.to_dict() | lows | {f"{name}_high": high for name, (_, high) in self.intervals.items()}

    def caution(self, name: str, advice: str) -> str | None:
        """What to say of a scalar that stands within 5 % of its ceiling, where that is no merit; else nothing.

        Args:
            name: of the scalar.
            advice: the end of the sentence.

        Example:
            >>> Report({"bits": 3.0}, ceilings={"bits": 3.1}).caution("bits", "give more rows")
            'bits is 3, within 5 % of its ceiling, 3.1: give more rows'
        """
        value, ceiling = self.scalars.get(name, 0.0), self.ceilings.get(name, 0.0)
        if not value >= _NEAR * ceiling > 0:
            return None
        return f"{name} is {value:.4g}, within 5 % of its ceiling, {ceiling:.4g}: {advice}"

    def to_pandas(self) -> pandas.DataFrame:
        """The scalars as a :class:`pandas.DataFrame` with columns ``value``, ``low``, ``high`` and ``ceiling``.

        Raises:
            ImportError: if pandas is missing.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'torchdisentangle[tables]'") from error
        columns = {
            "value": self.scalars,
            "low": {name: low for name, (low, _) in self.intervals.items()},
            "high": {name: high for name, (_, high) in self.intervals.items()},
            "ceiling": self.ceilings,
        }
        index = pandas.Index(list(self), name="name")
        return pandas.DataFrame({name: pandas.Series(column, index, float) for name, column in columns.items()})

    def save(self, path: str | Path) -> Path:
        """Save all but the figures and pages, as a ``.npz`` file that NumPy reads without pickle.

        Args:
            path: of the file; its folder is made.

        Example:
            >>> import tempfile
            >>> path = Report({"mig": 0.5}, {"joint": torch.eye(2)}).save(f"{tempfile.mkdtemp()}/report.npz")
            >>> Report.load(path).matrices["joint"].tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        path = Path(path)
        head = {name: getattr(self, name) for name in (*_PLAIN, "num_rows")}
        arrays: dict[str, Any] = {_HEAD: np.array(json.dumps(head))}
        arrays |= {f"{_MATRIX}{name}": matrix.detach().cpu().numpy() for name, matrix in self.matrices.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    def save_page(self, path: str | Path) -> Path:
        """Save the page of ``"latents"``, where one drags each latent, as one HTML file that needs no network.

        Args:
            path: of the file; its folder is made.

        Raises:
            ValueError: if the report has no page.

        Example:
            >>> import tempfile
            >>> report = Report({"mig": 0.5}, pages={"latents": lambda report: str(report["mig"])})
            >>> report.save_page(f"{tempfile.mkdtemp()}/latents.html").read_text()
            '0.5'
        """
        if not self.pages:
            raise ValueError('this report has no page: evaluate "latents"; of several processes the first one has it')
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(next(iter(self.pages.values()))(self), encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Load a report that :meth:`save` has written; it has no figures and no pages.

        Args:
            path: of the file.

        Raises:
            ValueError: if the file is no report.
        """
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile) or _HEAD not in file.files:
            raise ValueError(f"{path} is no saved report")
        with file:
            saved = [name for name in file.files if name.startswith(_MATRIX)]
            matrices = {name.removeprefix(_MATRIX): torch.from_numpy(file[name]) for name in saved}
            return cls(matrices=matrices, **json.loads(file[_HEAD].item()))

    def __repr__(self) -> str:
        head = f"{type(self).__name__} of {len(self)} values and {len(self.matrices)} matrices"
        return "\n".join([f"{head}, from {self.num_rows} rows", *self._lines()])

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        width = max(map(len, self.scalars), default=0)
        ends = {name: f"  [{low:.6g}, {high:.6g}]" for name, (low, high) in self.intervals.items()}
        return [f"{name:{width}}  {value:.6g}{ends.get(name, '')}" for name, value in self.scalars.items()]


def floats(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Numbers and tensors of one number as Python floats."""
    return {name: float(value.detach() if isinstance(value, Tensor) else value) for name, value in values.items()}


def draws(drawings: Mapping[str, Callable[[], tuple[Figure, Any]]]) -> dict[str, Callable[[], Figure]]:
    """Functions that return a figure alone, of functions that return it with its axes."""
    return {name: (lambda draw=draw: draw()[0]) for name, draw in drawings.items()}  # type: ignore[misc]
