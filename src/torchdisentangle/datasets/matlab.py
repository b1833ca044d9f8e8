"""MATLAB files from other people, read by a process of its own: a damaged one can crash the reader."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_READER = """
import sys
sys.path[:] = [place for place in sys.path if place]  # not the working folder, which may be other people's
import numpy
from scipy.io import loadmat
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**34, resource.getrlimit(resource.RLIMIT_AS)[1]))
except (ImportError, ValueError, OSError):
    pass  # not on this system
name, paths = sys.argv[1], sys.stdin.read().split("\\0")
out, sys.stdout = sys.stdout.buffer, sys.stderr
for path in paths:
    array = loadmat(path, variable_names=[name]).get(name)
    if array is None:
        sys.exit("there is no array " + repr(name))
    if array.dtype.kind not in "biuf":
        sys.exit("the array is not of numbers but of " + str(array.dtype))
    out.write((array.dtype.str + " " + " ".join(map(str, array.shape)) + "\\n").encode())
    out.write(numpy.ascontiguousarray(array).tobytes())
    out.flush()
"""


def read_matlab(paths: Sequence[Path], name: str, max_bytes: int) -> Iterator[np.ndarray]:
    """One array of numbers of each of several ``.mat`` files.

    Args:
        paths: of the files.
        name: of the array.
        max_bytes: how large each array may be.

    Returns:
        An iterator over the arrays, in the files' order.

    Raises:
        ValueError: if a file is damaged, lacks the array, or holds a too large one; it names the file.
    """
    command = [sys.executable, "-c", _READER, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.write("\0".join(str(path.resolve()) for path in paths).encode())
            process.stdin.close()
            for path in paths:
                kind, *sizes = process.stdout.readline().decode().split() or ["", ""]
                shape = tuple(int(size) for size in sizes if size)
                if kind and math.prod(shape) * np.dtype(kind).itemsize > max_bytes:
                    raise ValueError(f"{path}: the array {name!r} {shape} is larger than {max_bytes} bytes")
                data = process.stdout.read(math.prod(shape) * np.dtype(kind).itemsize) if kind else b""
                if not kind or len(data) < math.prod(shape) * np.dtype(kind).itemsize:
                    lines = process.stderr.read().decode(errors="replace").strip().splitlines()
                    reason = lines[-1] if lines else "the reader crashed"
                    raise ValueError(f"{path} has no array {name!r} that can be read: {reason}")
                yield np.frombuffer(data, kind).reshape(shape)
        finally:
            process.kill()
