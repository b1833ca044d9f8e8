"""Small NORB, from its binary matrix files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from torchdisentangle.datasets.download import RemoteFile, download_file
from torchdisentangle.datasets.stored import (
    StoredFactorDataset,
    array_after_header,
    grid_of_labels,
    read_unzipped,
    resized,
)

MATRIX_TYPES = {
    0x1E3D4C51: "<f4",
    0x1E3D4C53: "<f8",
    0x1E3D4C54: "<i4",
    0x1E3D4C55: "u1",
    0x1E3D4C56: "<i2",
}
FILES = {
    name: RemoteFile((f"https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/smallnorb-5x{name}.mat.gz",), md5)
    for name, md5 in {
        "46789x9x18x6x2x96x96-training-dat": "66054832f9accfe74a0f4c36a75bc0a2",
        "46789x9x18x6x2x96x96-training-cat": "23c8b86101fbf0904a000b43d3ed2fd9",
        "46789x9x18x6x2x96x96-training-info": "51dee1210a742582ff607dfd94e332e3",
        "01235x9x18x6x2x96x96-testing-dat": "e4ad715691ed5a3a5f138751a4ceb071",
        "01235x9x18x6x2x96x96-testing-cat": "5aa791cd7e6016cf957ce9bdb93b8603",
        "01235x9x18x6x2x96x96-testing-info": "a9454f3864d7fd4bb3ea7fc3eb84924e",
    }.items()
}
SPLITS: dict[str, tuple[str, ...]] = {"train": ("training",), "test": ("testing",), "all": ("training", "testing")}


class SmallNORB(StoredFactorDataset):
    """Grey images of toys, read from the ``dat``, ``cat`` and ``info`` files of small NORB, zipped (``.gz``) or not.

    Factors and sizes: category 5, instance 5 (10 in both splits together), elevation 9, azimuth 18, lighting 6. Which
    factors are scored differs between papers: Locatello et al. count the instance as a nuisance, drawn at random, and
    score the other four; leave its column out where scores are to be compared with theirs.

    Args:
        path: of the folder with the files ``smallnorb-*-training-dat.mat`` and so on.
        split: the 24,300 images of ``"train"``, the 24,300 of ``"test"``, which are of other instances, or ``"all"``.
        camera: which of the two cameras, 0 (left) or 1 (right).
        image_size: height and width that the images are brought to; stored are 96.
        download: download the files of the split (up to 250 MB) to the folder, unless they are there.

    Raises:
        ValueError: if an argument is not one of these, or a file is missing or not of this form.
        ConnectionError: if a file cannot be downloaded.

    Reference:
        LeCun, Huang and Bottou, *Learning Methods for Generic Object Recognition with Invariance to Pose and
        Lighting*, CVPR 2004, section 2.

    Example:
        >>> dataset = SmallNORB("smallnorb", split="all")  # doctest: +SKIP
        >>> dataset.factor_sizes  # doctest: +SKIP
        (5, 10, 9, 18, 6)
    """

    factor_names: tuple[str, ...] = ("category", "instance", "elevation", "azimuth", "lighting")

    def __init__(
        self,
        path: str | Path,
        *,
        split: Literal["train", "test", "all"] = "all",
        camera: int = 0,
        image_size: int = 64,
        download: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {sorted(SPLITS)}, got {split!r}")
        if camera not in (0, 1):
            raise ValueError(f"camera must be 0 (left) or 1 (right), got {camera}")
        images, labels = [], []
        for part in SPLITS[split]:
            if download:
                _download(Path(path), part)
            pairs, category, info = (read_matrix(_find(path, part, kind)) for kind in ("dat", "cat", "info"))
            if pairs.ndim != 4 or pairs.shape[1] != 2 or info.shape[1:] != (4,):
                raise ValueError(f"want images (N, 2, H, W) and info (N, 4), got {pairs.shape} and {info.shape}")
            images.append(resized(pairs[:, camera], image_size))
            labels.append(np.column_stack([category, info]))
        sizes, order = grid_of_labels(np.concatenate(labels))
        super().__init__(np.concatenate(images), sizes, order)


def read_matrix(path: str | Path) -> np.ndarray:
    """A file in NORB's binary matrix format: type, number of dimensions, dimensions (at least three), values.

    Args:
        path: of the file; one that ends in ``.gz`` is unzipped.

    Returns:
        The array, of the type and shape which the file's header tells.

    Raises:
        ValueError: if the file does not begin with a known type, or its length is not what its header tells.

    Reference:
        LeCun, Huang and Bottou, *The small NORB dataset*, version 1.0, 2005, file format.
    """
    data = read_unzipped(path)
    header = np.frombuffer(data, "<i4", min(len(data) // 4, 2))
    if len(header) < 2 or int(header[0]) not in MATRIX_TYPES:
        raise ValueError(f"{path} is not a binary matrix of NORB")
    ndim = int(header[1])
    if not 0 < ndim <= 8:
        raise ValueError(f"{path} is not a binary matrix of NORB: it would have {ndim} dimensions")
    start = 8 + 4 * max(3, ndim)  # unused dimensions of vectors and matrices are written all the same
    if len(data) < start:
        raise ValueError(f"{path} should have {ndim} dimensions, but ends after {len(data)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(data[8:start], "<i4")[:ndim])
    return array_after_header(path, data, start, shape, np.dtype(MATRIX_TYPES[int(header[0])]))


def _download(folder: Path, part: str) -> None:
    for name, file in FILES.items():
        _, stored, kind = name.split("-")
        if stored == part and not _found(folder, part, kind):
            download_file(file, folder / file.name)


def _find(path: str | Path, part: str, kind: str) -> Path:
    found = _found(path, part, kind)
    if not found:
        raise ValueError(f"no file smallnorb-*-{part}-{kind}.mat or smallnorb-*-{part}-{kind}.mat.gz in {path}")
    return found[0]


def _found(path: str | Path, part: str, kind: str) -> list[Path]:
    pattern = f"smallnorb-*-{part}-{kind}.mat"
    return sorted([*Path(path).glob(pattern), *Path(path).glob(pattern + ".gz")])
