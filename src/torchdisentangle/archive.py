"""Archives of arrays from other people: read within limits, and whatever is wrong with one is a ValueError."""

from __future__ import annotations

import math
import os
import zipfile
from typing import Any

import numpy as np

_LARGEST_HEADER = 2**16


def read_arrays(
    path: str | os.PathLike[str], *, max_bytes: int, names: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Arrays of a NumPy archive (``.npz``).

    Args:
        path: of the file.
        max_bytes: how many bytes all arrays together may take, unzipped.
        names: which arrays to read; ``None``: all. The others are not touched.

    Returns:
        The arrays by name.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is damaged or no archive, lacks an array, or holds pickled or too large ones; it names the
            file.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive, names, max_bytes)
        except (Exception, MemoryError) as error:  # zlib, struct, zipfile and NumPy raise whatever they meet
            what = "is not an .npz archive" if isinstance(error, zipfile.BadZipFile) else "cannot be read"
            raise ValueError(f"{os.fspath(path)} {what}: {error}") from error


def _read(archive: zipfile.ZipFile, names: tuple[str, ...] | None, max_bytes: int) -> dict[str, np.ndarray]:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    missing = [name for name in names or () if name not in members]
    if missing:
        raise ValueError(f"it has no array {missing[0]!r}, only {list(members)}")
    arrays: dict[str, np.ndarray] = {}
    for name in members if names is None else names:
        with archive.open(members[name]) as stream:
            arrays[name] = _read_array(stream, name, max_bytes - sum(array.nbytes for array in arrays.values()))
    return arrays


def _read_array(stream: Any, name: str, max_bytes: int) -> np.ndarray:
    """Like NumPy's reader, but the size is checked before the memory is taken."""
    major, _ = np.lib.format.read_magic(stream)
    read_header: Any = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream, max_header_size=_LARGEST_HEADER)
    if dtype.hasobject:
        raise ValueError(f"the array {name!r} is pickled, and pickles can run code: allow_pickle is off")
    count = math.prod(shape)
    if count * dtype.itemsize > max_bytes:
        raise ValueError(f"the array {name!r} of {shape} values of {dtype} is larger than the {max_bytes} bytes left")
    data = np.empty(count, dtype)
    into, filled = data.data.cast("B") if data.nbytes else memoryview(b""), 0
    while filled < len(into) and (read := stream.readinto(into[filled : filled + 2**24])):
        filled += read
    if filled < len(into) or stream.read(1):  # the end of a member is where its checksum is compared
        raise ValueError(f"the array {name!r} of {shape} values of {dtype} has another length")
    return data.reshape(shape, order="F" if fortran_order else "C")
