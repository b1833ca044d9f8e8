"""Shapes3D (3D Shapes), from its HDF5 file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from torchdisentangle.datasets.download import RemoteFile, download_file
from torchdisentangle.datasets.stored import StoredFactorDataset, grid_of_labels, naming

FILE = RemoteFile(("https://storage.googleapis.com/3d-shapes/3dshapes.h5",), md5="099a2078d58cec4daad0702c55d06868")
_LARGEST = 2**33  # bytes; the images take 6 GB


class Shapes3D(StoredFactorDataset):
    """The 480,000 colour 64x64 images of Shapes3D, read from ``3dshapes.h5``.

    Factors and sizes: floor hue 10, wall hue 10, object hue 10, scale 8, shape 4 (cube, cylinder, sphere, capsule),
    orientation 15.

    Args:
        path: of the file, with data sets ``images`` (N, 64, 64, 3) and ``labels`` (N, 6).
        in_memory: read all images at once (6 GB) instead of each when it is asked for. Random access to the
            compressed file is slow. Either way the data set can be used by several worker processes.
        download: download the file (255 MB) to ``path``, unless it is there.

    Raises:
        ImportError: if h5py is not installed.
        ValueError: if the file is not of this form.
        ConnectionError: if it cannot be downloaded.

    Reference:
        Burgess and Kim, *3D Shapes Dataset*, 2018.

    Example:
        >>> dataset = Shapes3D("3dshapes.h5")  # doctest: +SKIP
        >>> dataset.factor_sizes  # doctest: +SKIP
        (10, 10, 10, 8, 4, 15)
    """

    factor_names: tuple[str, ...] = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")

    def __init__(self, path: str | Path, *, in_memory: bool = False, download: bool = False) -> None:
        if download:
            download_file(FILE, Path(path))
        images = _H5Images(path)
        with naming(path):
            sizes, order = grid_of_labels(images.labels())
            super().__init__(images.all() if in_memory else images, sizes, order)


class _H5Images:
    """The images of a file that every process opens for itself: a handle of HDF5 survives neither fork nor pickling."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._process: int | None = None
        self._file: Any = None
        for name in ("images", "labels"):
            self._check(name)
        self.dtype, self.shape = self._open()["images"].dtype, self._open()["images"].shape

    def labels(self) -> np.ndarray:
        return self._read("labels", slice(None))

    def all(self) -> np.ndarray:
        return self._read("images", slice(None))

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        ascending, where = np.unique(positions, return_inverse=True)  # HDF5 takes no other order, and nothing twice
        return self._read("images", ascending)[where]

    def _check(self, name: str) -> None:
        """Refuse what would be read from other files, and what is larger than the data set."""
        file = self._open()
        try:
            names = sorted(file)
        except Exception as error:  # whatever HDF5 meets in a damaged file
            raise ValueError(f"{self.path} is damaged: {error}") from error
        if name not in names:
            raise ValueError(f"{self.path} has no data set {name!r}, only {names}")
        try:
            link, values = type(file.get(name, getlink=True)).__name__, file[name]
            elsewhere = link != "HardLink" or values.is_virtual or values.external
            nbytes = values.nbytes
        except Exception as error:  # whatever HDF5 meets in a damaged file
            raise ValueError(f"{self.path}: the data set {name!r} cannot be read: {error}") from error
        if elsewhere:
            raise ValueError(f"{self.path}: the data set {name!r} is stored in another file, which is not read")
        if nbytes > _LARGEST:
            raise ValueError(f"{self.path}: the data set {name!r} of {values.shape} is larger than {_LARGEST} bytes")

    def _read(self, name: str, rows: Any) -> np.ndarray:
        try:
            return self._open()[name][rows]
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"{self.path}: the data set {name!r} is damaged: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": None, "_file": None}

    def _open(self) -> Any:
        if self._process != os.getpid():
            try:
                import h5py
            except ImportError as error:
                raise ImportError(
                    "Shapes3D is an HDF5 file and needs h5py: pip install torchdisentangle[datasets]"
                ) from error
            try:
                self._file = h5py.File(self.path, "r")
            except FileNotFoundError:
                raise
            except (OSError, RuntimeError) as error:
                raise ValueError(f"{self.path} is no HDF5 file that can be read: {error}") from error
            self._process = os.getpid()
        return self._file
