"""Arrays from files: ``.npy``, ``.npz``, ``.pt``, ``.csv``, ``.tsv`` and ``.parquet``.

No file can run code: pickled objects are refused.
"""

from __future__ import annotations

import csv
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CODES = ("codes", "mean", "means", "mu", "z", "latents")
FACTORS = ("factors", "labels", "latents_classes", "y", "targets")


@dataclass(frozen=True)
class Arrays:
    """What a file holds.

    Args:
        path: of the file.
        arrays: by name; the only array of a file without names is called ``""``.
        columns: names of the columns, if the file is a table.
    """

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    columns: Sequence[str] = field(default=())

    def find(self, *names: str) -> NDArray[Any] | None:
        """The first array with one of these names, if there is one."""
        return next((self.arrays[name] for name in names if name in self.arrays), None)

    def choose(self, *names: str) -> NDArray[Any]:
        """The only array, or the first with one of these names.

        Raises:
            ValueError: if there are several arrays, of other names.
        """
        if len(self.arrays) == 1:
            return next(iter(self.arrays.values()))
        found = self.find(*names)
        if found is None:
            has = ", ".join(self.arrays)
            raise ValueError(
                f"{self.path} holds the arrays {has}: choose one, as in {self.path}:{next(iter(self.arrays))}"
            )
        return found


def read_arrays(name: str) -> Arrays:
    """The arrays of a file.

    Args:
        name: a path, or ``PATH:ARRAY`` for one array of a ``.npz`` or ``.pt`` file.

    Raises:
        ValueError: if the file cannot be read, naming it.
        FileNotFoundError: if there is none.
        ImportError: if a package is missing that the format needs.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/rows.csv"
        >>> _ = Path(path).write_text("size,shape\\n0.5,square\\n1.5,heart\\n")
        >>> file = read_arrays(path)
        >>> file.columns, as_numbers(file.choose(), path, text=True).tolist()
        (['size', 'shape'], [[0.5, 1.0], [1.5, 0.0]])
    """
    path, _, array = (name, "", "") if Path(name).exists() else name.rpartition(":") if ":" in name else (name, "", "")
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {name}")
    if file.suffix.lower() not in READERS:
        raise ValueError(f"{path} is of no known format: it must end in {', '.join(READERS)}")
    try:
        arrays = READERS[file.suffix.lower()](file)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read: it is broken, or holds more than arrays") from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {_sentence(error)}") from error
    if array and array not in arrays.arrays:
        raise ValueError(f"{path} has no array {array!r}; it has {', '.join(arrays.arrays)}")
    return Arrays(file, {array: arrays.arrays[array]}, arrays.columns) if array else arrays


def as_numbers(array: NDArray[Any], name: object, text: bool = False) -> Tensor:
    """An array as a tensor.

    Args:
        array: of numbers or of text.
        name: for errors.
        text: whether columns of text are allowed; their values are numbered in alphabetical order.

    Raises:
        ValueError: if an entry is neither a number nor allowed text.
    """
    if array.dtype.kind in "OUS":
        columns = array.reshape(len(array), -1).T
        return torch.stack([_column(column, f"{name}, column {i}", text) for i, column in enumerate(columns)], dim=1)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got {array.dtype}")
    if array.dtype.kind == "f":
        array = array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)
    elif array.dtype not in (np.uint8, np.bool_):
        array = array.astype(np.int64, copy=False)
    return torch.from_numpy(np.ascontiguousarray(array))


def _column(column: NDArray[Any], name: str, text: bool) -> Tensor:
    """Numbers written as text, or text as the numbers of its values."""
    cells = [str(cell).strip() for cell in column]
    try:
        return torch.from_numpy(np.array([cell or "nan" for cell in cells], dtype=np.float64))
    except ValueError:
        pass
    if not text or any(_is_number(cell) for cell in set(cells)):
        strange = next(cell for cell in cells if cell and not _is_number(cell))
        raise ValueError(f"{name}: {strange!r} is not a number")
    return torch.from_numpy(np.unique(cells, return_inverse=True)[1].astype(np.float64))


def _is_number(cell: str) -> bool:
    try:
        return float(cell) is not None
    except ValueError:
        return False


def _read_npy(path: Path) -> Arrays:
    return Arrays(path, {"": np.load(path, allow_pickle=False)})


def _read_npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return Arrays(path, {name: file[name] for name in file.files})


def _read_pt(path: Path) -> Arrays:
    value = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(value, Tensor):
        return Arrays(path, {"": _detached(value)})
    named = value if isinstance(value, Mapping) else dict(enumerate(value)) if isinstance(value, (list, tuple)) else {}
    tensors = {str(name): _detached(part) for name, part in named.items() if isinstance(part, Tensor)}
    if not tensors:
        raise ValueError(f"it holds no tensor but {type(value).__name__}")
    return Arrays(path, tensors)


def _detached(tensor: Tensor) -> NDArray[Any]:
    return (tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()).numpy()


def _read_csv(path: Path) -> Arrays:
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        rows = [row for row in csv.reader(file, delimiter=max(",;\t", key=first.count)) if row]
    header = rows.pop(0) if rows and not all(_is_number(cell) for cell in rows[0]) else []
    if not rows:
        raise ValueError("it has no rows")
    width = len(header or rows[0])
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise ValueError(f"row {number} has {len(row)} columns, not {width}")
    start = int(bool(header) and header[0] in ("", "Unnamed: 0"))  # the index that pandas writes
    return Arrays(path, {"": np.array(rows, dtype=object)[:, start:]}, header[start:])


def _read_parquet(path: Path) -> Arrays:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(f"reading {path} needs pyarrow: pip install 'torchdisentangle[tables]'") from error
    table = parquet.read_table(path)
    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    columns = [table[name].to_numpy() for name in names]
    nested = [name for name, column in zip(names, columns, strict=True) if _is_nested(column)]
    if nested:
        raise ValueError(f"the column {nested[0]!r} holds lists: give each of their elements a column")
    return Arrays(path, {"": np.stack(columns, axis=1)}, names)


def _is_nested(column: NDArray[Any]) -> bool:
    return column.dtype.kind == "O" and any(isinstance(cell, (list, dict, np.ndarray)) for cell in column[:1])


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0]


READERS: Mapping[str, Callable[[Path], Arrays]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".pt": _read_pt,
    ".pth": _read_pt,
}
"""Functions that read a file, by how its name ends."""


def column_numbers(named: Sequence[str], names: Sequence[str]) -> bool | list[int]:
    """Which columns are meant by names or numbers.

    Args:
        named: names or numbers of columns, or ``["all"]``.
        names: of all columns, where they have some.

    Raises:
        ValueError: for a name that there is not.

    Example:
        >>> column_numbers(["size", "0"], ["shape", "size"]), column_numbers(["all"], [])
        ([1, 0], True)
    """
    if list(named) == ["all"]:
        return True
    found = []
    for name in named:
        if name in names:
            found.append(list(names).index(name))
        elif name.lstrip("-").isdigit():
            found.append(int(name))
        else:
            raise ValueError(f"there is no factor {name!r}; there are {', '.join(names) or 'numbers only'}")
    return found


def real_columns(values: Tensor) -> list[int]:
    """Columns that hold other than whole numbers.

    Example:
        >>> real_columns(torch.tensor([[1.0, 0.5], [2.0, torch.nan]]))
        [1]
    """
    if not values.is_floating_point():
        return []
    usual = values.nan_to_num(0.0, 0.0, 0.0)
    return (usual != usual.round()).any(0).nonzero()[:, 0].tolist()
