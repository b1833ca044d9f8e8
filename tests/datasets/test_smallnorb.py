from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from torchdisentangle.datasets.smallnorb import SmallNORB, read_matrix

BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
CHUNKS = {"training": (4, 6, 7, 8, 9), "testing": (0, 1, 2, 3, 5)}


def matrix(values: np.ndarray, magic: int) -> bytes:
    """The binary matrix format: at least three dimensions are written, of which a vector's last two mean nothing."""
    dimensions = [*values.shape, 1, 1, 1][: max(3, values.ndim)]
    return struct.pack(f"<{2 + len(dimensions)}i", magic, values.ndim, *dimensions) + values.tobytes()


def write(folder: Path, *, zipped: bool = False) -> dict[tuple[int, ...], np.ndarray]:
    """Files as small NORB's: 2 categories, 2 elevations, 3 azimuths (even numbers) and 2 lightings in random order."""
    rng = np.random.default_rng(0)
    stored = {}
    for part, instances in CHUNKS.items():
        labels = np.stack(np.meshgrid([0, 1], instances, [0, 1], [0, 2, 4], [0, 1], indexing="ij"), -1).reshape(-1, 5)
        labels = rng.permutation(labels).astype("<i4")
        images = rng.integers(0, 256, (len(labels), 2, 96, 96), dtype=np.uint8)
        stored |= {tuple(label): pair for label, pair in zip(labels.tolist(), images, strict=True)}
        contents = {
            "dat": matrix(images, BYTES),
            "cat": matrix(labels[:, 0].copy(), INTEGERS),
            "info": matrix(labels[:, 1:].copy(), INTEGERS),
        }
        for kind, data in contents.items():
            name = f"smallnorb-5x{''.join(map(str, instances))}x9x18x6x2x96x96-{part}-{kind}.mat"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data, 1, mtime=0))
            else:
                (folder / name).write_bytes(data)
    return stored


@pytest.mark.parametrize(
    ("split", "instances"), [("train", (4, 6, 7, 8, 9)), ("test", (0, 1, 2, 3, 5)), ("all", range(10))]
)
@pytest.mark.parametrize("camera", [0, 1])
def test_images_and_factors_of_a_split(tmp_path: Path, split: str, instances: tuple[int, ...], camera: int) -> None:
    stored = write(tmp_path)
    dataset = SmallNORB(tmp_path, split=split, camera=camera, image_size=96)  # type: ignore[arg-type]
    assert dataset.factor_sizes == (2, len(instances), 2, 3, 2)
    factors = dataset.index_to_factors(torch.arange(len(dataset)))
    images = dataset.render(factors)
    assert images.shape == (len(dataset), 1, 96, 96)
    for image, (category, instance, elevation, azimuth, lighting) in zip(images, factors.tolist(), strict=True):
        wanted = stored[category, instances[instance], elevation, 2 * azimuth, lighting][camera] / 255
        assert torch.equal(image[0], torch.from_numpy(wanted).float())


def test_zipped_files_and_64_pixels(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "zipped").mkdir()
    write(tmp_path / "plain")
    write(tmp_path / "zipped", zipped=True)
    plain, zipped = SmallNORB(tmp_path / "plain"), SmallNORB(tmp_path / "zipped")
    assert plain[11][0].shape == (1, 64, 64)
    assert torch.equal(plain[11][0], zipped[11][0])


@pytest.mark.parametrize(
    ("magic", "dtype"),
    [(BYTES, "u1"), (INTEGERS, "<i4"), (0x1E3D4C56, "<i2"), (0x1E3D4C51, "<f4"), (0x1E3D4C53, "<f8")],
)
@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4), (2, 1, 3, 2)])
def test_matrices_of_all_types_and_dimensions(tmp_path: Path, magic: int, dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    (tmp_path / "a.mat").write_bytes(matrix(values, magic))
    read = read_matrix(tmp_path / "a.mat")
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    for data in (b"", b"MATLAB 5.0 MAT-file"):
        file.write_bytes(data)
        with pytest.raises(ValueError, match="not a binary matrix"):
            read_matrix(file)
    file.write_bytes(matrix(np.zeros((2, 3), np.uint8), BYTES)[:-1])
    with pytest.raises(ValueError, match=r"should hold \(2, 3\) values of uint8, but has 5 bytes"):
        read_matrix(file)
    with pytest.raises(ValueError, match="no file smallnorb"):
        SmallNORB(tmp_path)
    with pytest.raises(ValueError, match="split must be"):
        SmallNORB(tmp_path, split="validation")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="camera must be"):
        SmallNORB(tmp_path, camera=2)
