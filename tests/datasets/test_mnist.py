from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from torchdisentangle.datasets import EMNIST, MNIST
from torchdisentangle.datasets.mnist import read_idx

TYPES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([1, 26, 3, 9, 2], dtype=np.uint8)


def idx(values: np.ndarray, dtype: str = "u1") -> bytes:
    """The IDX format: magic number, sizes and values, big-endian."""
    header = struct.pack(f">{1 + values.ndim}i", (TYPES[dtype] << 8) + values.ndim, *values.shape)
    return header + values.astype(dtype).tobytes()


def write(folder: Path, prefix: str, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS, dot: str = "-") -> None:
    (folder / f"{prefix}-images{dot}idx3-ubyte").write_bytes(idx(images))
    (folder / f"{prefix}-labels{dot}idx1-ubyte").write_bytes(idx(labels))


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
@pytest.mark.parametrize("dot", ["-", "."])
def test_images_and_labels_of_a_split(tmp_path: Path, split: str, prefix: str, dot: str) -> None:
    write(tmp_path, prefix, dot=dot)
    dataset = MNIST(tmp_path, split)  # type: ignore[arg-type]
    assert len(dataset) == 5
    for index in (0, 4, -1):
        image, label = dataset[index]
        assert torch.equal(image, torch.from_numpy(IMAGES[index]).float()[None] / 255)
        assert label == int(LABELS[index])
    images, labels = next(iter(DataLoader(dataset, 5)))
    assert (images.shape, images.dtype, labels.dtype) == ((5, 1, 28, 28), torch.float32, torch.int64)
    with pytest.raises(IndexError):
        dataset[5]


def test_emnist_is_turned_upright_and_its_letters_begin_at_zero(tmp_path: Path) -> None:
    upright = np.zeros((5, 28, 28), np.uint8)
    upright[:, 3, :20] = 255  # a bar at the top: stored, it is at the left
    for subset in ("digits", "letters"):
        write(tmp_path, f"emnist-{subset}-test", upright.transpose(0, 2, 1))
    digits, letters = EMNIST(tmp_path, "test"), EMNIST(tmp_path, "test", subset="letters")
    for image, _ in (digits[2], letters[2]):
        assert image.shape == (1, 28, 28)
        assert torch.equal(image[0].nonzero(), torch.tensor([[3, column] for column in range(20)]))
    assert [int(digits[i][1]) for i in range(5)] == LABELS.tolist()
    assert [int(letters[i][1]) for i in range(5)] == (LABELS - 1).tolist()


def test_zipped_files(tmp_path: Path) -> None:
    write(tmp_path, "train")
    plain = MNIST(tmp_path)
    for file in list(tmp_path.iterdir()):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 1, mtime=0))
        file.unlink()
    zipped = MNIST(tmp_path)
    assert torch.equal(plain.images, zipped.images)
    assert torch.equal(plain.labels, zipped.labels)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 3, 2), (0, 3)])
def test_arrays_of_all_types_and_dimensions(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    (tmp_path / "file").write_bytes(idx(values, dtype))
    read = read_idx(tmp_path / "file")
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


WHOLE = idx(IMAGES)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty", b"", "is not an IDX file: it begins with nothing"),
        ("type", b"\0\0\x0a\x03" + WHOLE[4:], "is not an IDX file: it begins with 00 00 0a 03"),
        ("zeros", b"\0\1" + WHOLE[2:], "is not an IDX file: it begins with 00 01 08 03"),
        ("little-endian", WHOLE[3::-1] + WHOLE[4:], "is not an IDX file: it begins with 03 08 00 00"),
        ("zipped", gzip.compress(WHOLE, mtime=0), "is not an IDX file: it begins with 1f 8b"),
        ("header", WHOLE[:14], "should have 3 dimensions, but ends after 14 bytes"),
        ("short", WHOLE[:-7], r"should hold \(5, 28, 28\) values of uint8, but has 3913 bytes"),
        ("long", WHOLE + b"\0", r"should hold \(5, 28, 28\) values of uint8, but has 3921 bytes"),
        ("unzipped.gz", WHOLE, "cannot be unzipped: Not a gzipped file"),
        ("short.gz", gzip.compress(WHOLE, mtime=0)[:-20], "cannot be unzipped: Compressed file ended"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / name)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file train-images-idx3-ubyte or train-images-idx3-ubyte\.gz"):
        MNIST(tmp_path)
    write(tmp_path, "train", labels=LABELS[:4])
    with pytest.raises(ValueError, match=r"uint8 \(5, 28, 28\) and uint8 \(4,\) in the files train"):
        MNIST(tmp_path)
    write(tmp_path, "train", images=IMAGES[0])
    with pytest.raises(ValueError, match=r"want uint8 images \(N, H, W\)"):
        MNIST(tmp_path)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'all'"):
        EMNIST(tmp_path, "all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="subset must be one of"):
        EMNIST(tmp_path, subset="vowels")
