"""Files from other people: whatever is wrong with one is a ValueError that names it, within limits of memory."""

from __future__ import annotations

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from torchdisentangle.archive import read_arrays
from torchdisentangle.cli import main
from torchdisentangle.datasets import MPI3D, Cars3D, DSprites, Shapes3D
from torchdisentangle.datasets import matlab as matlab_reader
from torchdisentangle.datasets.mnist import read_idx
from torchdisentangle.datasets.smallnorb import read_matrix
from torchdisentangle.datasets.stored import read_npz, read_unzipped
from torchdisentangle.similarity import Fingerprint


def fingerprint(seed: int = 0) -> Fingerprint:
    mean = 3 * torch.randn(30, 2, generator=torch.Generator().manual_seed(seed))
    return Fingerprint(mean, torch.zeros(30, 2), torch.arange(30), torch.arange(30) % 3, step=7)


def broken(data: bytes, number: int) -> list[bytes]:
    """Copies of data with a bit flipped, and the beginnings of it."""
    choose = random.Random(0)
    copies = []
    for _ in range(number):
        flipped = bytearray(data)
        flipped[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        copies.append(bytes(flipped))
    return copies + [data[: choose.randrange(len(data))] for _ in range(number // 10)]


def assert_value_error_or_fine(path: Path, data: bytes, load: Callable[[Path], Any], number: int) -> int:
    """Number of copies that were refused."""
    messages = []
    for copy in broken(data, number):
        path.write_bytes(copy)
        try:
            load(path)
        except ValueError as error:
            messages.append(str(error))
    assert all(path.name in message for message in messages)
    return len(messages)


def test_flipped_bits_of_fingerprints(tmp_path: Path) -> None:
    file = fingerprint().save(tmp_path / "one.npz")
    assert assert_value_error_or_fine(file, file.read_bytes(), Fingerprint.load, 1500) > 500


def test_flipped_bits_of_data_sets(tmp_path: Path) -> None:
    images = np.zeros((6, 4, 4), np.uint8)
    classes = np.array([[0, a, b, 0, 0, 0] for a in range(3) for b in range(2)])
    np.savez(tmp_path / "sprites.npz", imgs=images, latents_classes=classes)

    def load(path: Path) -> None:
        read_npz(path, "imgs", "latents_classes")

    assert assert_value_error_or_fine(tmp_path / "sprites.npz", (tmp_path / "sprites.npz").read_bytes(), load, 300)
    idx = b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03" + bytes(6)
    assert assert_value_error_or_fine(tmp_path / "train-idx", idx, read_idx, 300)
    assert assert_value_error_or_fine(tmp_path / "train-idx.gz", gzip.compress(idx, mtime=0), read_idx, 300)
    norb = np.array([0x1E3D4C55, 2, 2, 3, 1], "<i4").tobytes() + bytes(6)
    assert assert_value_error_or_fine(tmp_path / "norb.mat", norb, read_matrix, 300)


def with_header(header: str) -> bytes:
    """An archive whose array has a header of one's own, and no values."""
    text = header.encode().ljust(118) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("mean", "log_variance", "index", "format"):
            archive.writestr(f"{name}.npy", array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 9)}", "is larger than"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2)}", "has another length"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", "pickled"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-3, -2)}", "mean"),
        ("{'descr': [", "cannot be read"),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "one.npz"
    path.write_bytes(with_header(header))
    with pytest.raises(ValueError, match=rf"one\.npz .*{message}"):
        Fingerprint.load(path)


def test_archives_that_grow(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "zeros.npz", images=np.zeros(2**21, np.uint8))
    with pytest.raises(ValueError, match=r"zeros\.npz cannot be read: .*larger than the 1000 bytes"):
        read_arrays(tmp_path / "zeros.npz", max_bytes=1000)
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(bytes(2**21), mtime=0))
    with pytest.raises(ValueError, match=r"zeros\.gz is larger than 1000 bytes"):
        read_unzipped(tmp_path / "zeros.gz", max_bytes=1000)
    assert len(read_unzipped(tmp_path / "zeros.gz")) == 2**21


def test_arrays_of_any_layout(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.arange(6).reshape(3, 2)), "c": np.array(3)}
    np.savez_compressed(tmp_path / "some.npz", **arrays, empty=np.zeros((0, 4)))
    found = read_arrays(tmp_path / "some.npz", max_bytes=2**20)
    assert found["empty"].shape == (0, 4)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("load", [DSprites, MPI3D])
def test_what_is_no_archive(tmp_path: Path, load: Any) -> None:
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"data\.npz is not an \.npz archive"):
        load(tmp_path / "data.npz")


# HDF5


def labels() -> np.ndarray:
    return np.array([[0, 0, 0, 0, 0, k] for k in range(4)], dtype=float)


def test_images_stored_elsewhere_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py, of the extra datasets")
    (tmp_path / "secret").write_bytes(bytes(range(4 * 48)))
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file["labels"] = labels()
        external = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("images", (4, 4, 4, 3), np.uint8, external=external)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros((4, 4, 4, 3), np.uint8)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["labels"] = labels()
        file["images"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "images")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file["labels"] = labels()
        layout = h5py.VirtualLayout((4, 4, 4, 3), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "images", (4, 4, 4, 3))
        file.create_virtual_dataset("images", layout)
    for name in ("external", "linked", "virtual"):
        with pytest.raises(ValueError, match=rf"{name}\.h5: the data set 'images' is stored in another file"):
            Shapes3D(tmp_path / f"{name}.h5")


def test_damaged_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py, of the extra datasets")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["labels"] = labels()
        file.create_dataset("images", data=np.zeros((4, 4, 4, 3), np.uint8), compression="gzip")
        file.create_dataset("huge", (2**40, 4, 4, 3), np.uint8, chunks=(1, 4, 4, 3))
    data = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[:600])
    with pytest.raises(ValueError, match=r"cut\.h5 is no HDF5 file"):
        Shapes3D(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "whole.h5", "a") as file:
        del file["images"]
        file["images"] = file["huge"]
    with pytest.raises(ValueError, match=r"whole\.h5: .* is larger than"):
        Shapes3D(tmp_path / "whole.h5")
    with pytest.raises(FileNotFoundError):
        Shapes3D(tmp_path / "absent.h5")


def test_flipped_bits_of_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="extra datasets")
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = labels()
        file.create_dataset("images", data=np.zeros((4, 4, 4, 3), np.uint8), compression="gzip")
    assert assert_value_error_or_fine(path, path.read_bytes(), lambda path: Shapes3D(path, in_memory=True), 60)


# MATLAB


def cars(folder: Path, number: int = 2) -> None:
    for car in range(number):
        savemat(folder / f"car{car}.mat", {"im": np.full((8, 8, 3, 2, 1), car, np.uint8)})


def test_a_reader_that_crashes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cars(tmp_path)
    crashing = matlab_reader._READER.replace("for path in paths:", "for path in paths:\n    crash(path)")
    crashing = f"import os\ndef crash(path):\n    os.abort() if 'car1' in path else None\n{crashing}"
    monkeypatch.setattr(matlab_reader, "_READER", crashing)
    with pytest.raises(ValueError, match=r"car1\.mat has no array 'im' that can be read"):
        Cars3D(tmp_path)


def test_damaged_matlab_files(tmp_path: Path) -> None:
    cars(tmp_path)
    (tmp_path / "car1.mat").write_bytes((tmp_path / "car1.mat").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"car1\.mat has no array 'im' that can be read"):
        Cars3D(tmp_path, image_size=8)
    savemat(tmp_path / "car1.mat", {"im": np.zeros((8, 8, 3, 2, 1), object)})
    with pytest.raises(ValueError, match=r"car1\.mat .*not of numbers"):
        Cars3D(tmp_path, image_size=8)
    paths = [tmp_path / "car0.mat"]
    with pytest.raises(ValueError, match=r"car0\.mat: .*larger than 10 bytes"):
        list(matlab_reader.read_matlab(paths, "im", 10))


# compare


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
    files = [str(fingerprint(seed).save(tmp_path / f"run, {seed}.npz")) for seed in range(2)]
    (tmp_path / "bad.npz").write_text("nothing")
    arguments = [files[0], str(tmp_path / "bad.npz"), str(tmp_path / "absent"), files[1]]
    assert main(["compare", *arguments, "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "2 of 4 runs are left out" in error
    assert "bad.npz is no fingerprint" in error
    with (tmp_path / "out" / "similarity.csv").open() as file:
        table = list(csv.reader(file))
    assert len(table) == 5
    assert {len(row) for row in table} == {6}
    assert table[0][2] == "run, 0:0"
