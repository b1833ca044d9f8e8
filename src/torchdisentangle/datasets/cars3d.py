"""Cars3D, from its folder of ``.mat`` files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from torchdisentangle.datasets.download import RemoteFile, download_members
from torchdisentangle.datasets.matlab import read_matlab
from torchdisentangle.datasets.stored import StoredFactorDataset, resized

ARCHIVE = RemoteFile(
    ("http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",), md5="4e866a7919c1beedf53964e6f7a23686"
)
_LARGEST_CAR = 2**26  # bytes; a car of the data set takes 5 MB


class Cars3D(StoredFactorDataset):
    """The 17,568 colour images of Cars3D, read from the folder ``cars`` of the analogy-making data.

    Factors and sizes: elevation 4, azimuth 24, object 183, the objects in the order of their files' names. All three
    are scored; a metric that bins codes needs 183 bins to see the last one whole.

    Args:
        path: of the folder, with one ``.mat`` file for each car, whose array ``im`` is (height, width, 3, azimuth,
            elevation).
        image_size: height and width that the images are brought to; stored are 128.
        download: download the analogy-making data and put its cars into the folder, unless it has ``.mat`` files.

    Raises:
        ValueError: if there are no such files, or their arrays differ in shape.
        ConnectionError: if they cannot be downloaded.

    Reference:
        Reed et al., *Deep Visual Analogy-Making*, NeurIPS 2015, section 5.3.

    Example:
        >>> dataset = Cars3D("data/cars")  # doctest: +SKIP
        >>> dataset.factor_sizes  # doctest: +SKIP
        (4, 24, 183)
    """

    factor_names: tuple[str, ...] = ("elevation", "azimuth", "object")

    def __init__(self, path: str | Path, *, image_size: int = 64, download: bool = False) -> None:
        if download and not any(Path(path).glob("*.mat")):
            download_members(ARCHIVE, Path(path), _car)
        files = sorted(Path(path).glob("*.mat"))
        if not files:
            raise ValueError(f"no .mat files in {path}")
        arrays = zip(files, read_matlab(files, "im", _LARGEST_CAR), strict=True)
        cars = [_views(file, array) for file, array in arrays]
        if len({car.shape for car in cars}) != 1:
            raise ValueError(f"want all cars in the same views, got arrays of {sorted({car.shape for car in cars})}")
        elevations, azimuths = cars[0].shape[:2]
        small = [resized(car.reshape(-1, *car.shape[2:]), image_size) for car in cars]
        images = np.stack(small, axis=1).reshape(-1, image_size, image_size, 3)
        super().__init__(images, (elevations, azimuths, len(files)))


def _car(member: str) -> str | None:
    """The name of a car's file from its path in the archive."""
    path = PurePosixPath(member)
    return path.name if path.parent.name == "cars" and path.suffix == ".mat" else None


def _views(file: Path, array: np.ndarray) -> np.ndarray:
    """Views of one car, (elevation, azimuth, height, width, 3)."""
    if array.ndim != 5 or array.shape[2] != 3:
        raise ValueError(f"want an array 'im' (height, width, 3, azimuth, elevation) in {file}, got {array.shape}")
    return array.transpose(4, 3, 0, 1, 2)
