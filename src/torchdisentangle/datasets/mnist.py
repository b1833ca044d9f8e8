"""MNIST and EMNIST, from their IDX files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from torchdisentangle.datasets.download import RemoteFile, download_file, download_members
from torchdisentangle.datasets.stored import array_after_header, read_unzipped

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
SUBSETS = ("digits", "letters", "balanced", "byclass", "bymerge", "mnist")

MNIST_SERVERS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_FILES = {
    name: RemoteFile(tuple(f"{server}{name}-ubyte.gz" for server in MNIST_SERVERS), md5)
    for name, md5 in {
        "train-images-idx3": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1": "ec29112dd5afa0611ce80d1b7f02629c",
    }.items()
}
EMNIST_ARCHIVE = RemoteFile(
    (
        "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
    ),
    md5="58c8d27c78d21e728a6bc7b3cc06412e",
)


class MNIST(Dataset[tuple[Tensor, Tensor]]):
    """Handwritten digits, read from the four IDX files of MNIST, zipped (``.gz``) or not.

    Items are an image ``(1, 28, 28)`` in [0, 1], float32, and its class, a scalar of int64. The images are held in
    memory as bytes. What comes in files of the same names, such as Fashion-MNIST, is read just so.

    Args:
        path: of the folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and, for the test data,
            ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``.
        split: ``"train"`` (60,000 images) or ``"test"`` (10,000).
        download: download the files of the split (up to 10 MB) to the folder, unless they are there.

    Raises:
        ValueError: for an unknown split, or if a file is missing, is not of this form, or not all images have a label.
        ConnectionError: if a file cannot be downloaded.

    Reference:
        LeCun, Bottou, Bengio & Haffner, *Gradient-Based Learning Applied to Document Recognition*, Proceedings of the
        IEEE 86(11), 1998, section 3.

    Example:
        >>> dataset = MNIST("mnist")  # doctest: +SKIP
        >>> image, digit = dataset[0]  # doctest: +SKIP
        >>> image.shape, digit  # doctest: +SKIP
        (torch.Size([1, 28, 28]), tensor(5))
    """

    images: Tensor
    labels: Tensor

    def __init__(self, path: str | Path, split: Literal["train", "test"] = "train", *, download: bool = False) -> None:
        check_split(split)
        prefix = "train" if split == "train" else "t10k"
        if download:
            _download_mnist(Path(path), prefix)
        self.images, self.labels = read_labelled(path, prefix)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index].unsqueeze(0).float() / 255, self.labels[index]


class EMNIST(MNIST):
    """Handwritten digits and letters, read from the IDX files of EMNIST, zipped (``.gz``) or not.

    Items are as those of :class:`MNIST`. EMNIST stores its images with rows and columns exchanged; here they are
    upright. Classes begin at 0: of ``"letters"``, where 1 to 26 are stored, they are 0 to 25.

    Args:
        path: of the folder with ``emnist-<subset>-train-images-idx3-ubyte`` and so on.
        split: ``"train"`` or ``"test"``.
        subset: ``"digits"`` (10 classes of equal size, 240,000 and 40,000 images), ``"letters"`` (26 classes),
            ``"balanced"`` (47), ``"byclass"`` (62), ``"bymerge"`` (47) or ``"mnist"`` (10).
        download: download the archive of all subsets (540 MB) and unpack it into the folder, unless the files are
            there.

    Raises:
        ValueError: for an unknown split or subset, and as :class:`MNIST`.

    Reference:
        Cohen, Afshar, Tapson & van Schaik, *EMNIST: Extending MNIST to Handwritten Letters*, IJCNN 2017, section II.

    Example:
        >>> dataset = EMNIST("emnist", subset="letters")  # doctest: +SKIP
        >>> dataset[0][0].shape  # doctest: +SKIP
        torch.Size([1, 28, 28])
    """

    def __init__(
        self,
        path: str | Path,
        split: Literal["train", "test"] = "train",
        subset: str = "digits",
        *,
        download: bool = False,
    ) -> None:
        check_split(split)
        if subset not in SUBSETS:
            raise ValueError(f"subset must be one of {SUBSETS}, got {subset!r}")
        prefix = f"emnist-{subset}-{split}"
        if download and not (_found(path, f"{prefix}-images", "idx3") and _found(path, f"{prefix}-labels", "idx1")):
            download_members(EMNIST_ARCHIVE, Path(path), _emnist)
        images, labels = read_labelled(path, prefix)
        self.images: Tensor = images.mT
        self.labels: Tensor = labels - 1 if subset == "letters" else labels


def read_labelled(path: str | Path, prefix: str) -> tuple[Tensor, Tensor]:
    """Images and their labels from a pair of IDX files.

    Args:
        path: of the folder.
        prefix: with which the names of both files begin.

    Returns:
        uint8 images ``(N, H, W)`` and int64 labels ``(N,)``.

    Raises:
        ValueError: if a file is missing or not of this form, or there are not as many labels as images.
    """
    images = read_idx(_find(path, f"{prefix}-images", "idx3"))
    labels = read_idx(_find(path, f"{prefix}-labels", "idx1"))
    if images.dtype != np.uint8 or labels.dtype != np.uint8 or images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"want uint8 images (N, H, W) and as many uint8 labels (N,), got {images.dtype} {images.shape} and "
            f"{labels.dtype} {labels.shape} in the files {prefix} of {path}"
        )
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def read_idx(path: str | Path) -> np.ndarray:
    """A file in the IDX format: two zero bytes, type, number of dimensions, dimensions, values, all big-endian.

    Args:
        path: of the file; one that ends in ``.gz`` is unzipped.

    Returns:
        The array, of the type and shape which the file's header tells.

    Raises:
        ValueError: if the file does not begin with a known type, or its length is not what its header tells.

    Reference:
        LeCun, Cortes & Burges, *The MNIST database of handwritten digits*, 1998, file formats.
    """
    data = read_unzipped(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES:
        raise ValueError(f"{path} is not an IDX file: it begins with {data[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError(f"{path} should have {data[3]} dimensions, but ends after {len(data)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(data[4:start], ">u4"))
    return array_after_header(path, data, start, shape, np.dtype(IDX_TYPES[data[2]]))


def check_split(split: str) -> None:
    """Refuse what is neither training nor test data."""
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")


def _download_mnist(folder: Path, prefix: str) -> None:
    for name, file in MNIST_FILES.items():
        stored, kind = name.rsplit("-", 1)
        if stored.startswith(prefix) and not _found(folder, stored, kind):
            download_file(file, folder / file.name)


def _emnist(member: str) -> str | None:
    """The name of a file of EMNIST from its path in the archive."""
    name = member.rpartition("/")[2]
    return name if name.startswith("emnist-") and name.endswith("-ubyte.gz") else None


def _find(path: str | Path, name: str, kind: str) -> Path:
    found = _found(path, name, kind)
    if not found:
        raise ValueError(f"no file {name}-{kind}-ubyte or {name}-{kind}-ubyte.gz in {path}")
    return found[0]


def _found(path: str | Path, name: str, kind: str) -> list[Path]:
    pattern = f"{name}[-.]{kind}-ubyte"  # some copies have a dot before the kind
    return sorted([*Path(path).glob(pattern), *Path(path).glob(pattern + ".gz")])
