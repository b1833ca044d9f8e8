"""Downloads from a server on this machine that fails in the ways real ones do."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import io
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from torchdisentangle.datasets import (
    EMNIST,
    MNIST,
    MPI3D,
    Cars3D,
    DSprites,
    Shapes3D,
    SmallNORB,
    cars3d,
    download,
    dsprites,
    mnist,
    mpi3d,
    shapes3d,
    smallnorb,
)
from torchdisentangle.datasets.download import RemoteFile, download_file, download_members

CONTENT = np.random.default_rng(0).bytes(3 * 2**20 + 17)  # some chunks and a rest


class Server:
    """Files by name. ``breaks`` says after how many bytes each of the next answers breaks off."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks: list[int] = []
        self.ranges = True
        self.asked: list[str | None] = []
        self.url = ""

    def add(self, name: str, content: bytes) -> RemoteFile:
        self.files[name] = content
        return RemoteFile((self.url + name,), hashlib.md5(content).hexdigest())

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        content = self.files.get(handler.path.rpartition("/")[2])
        if content is None:
            handler.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        end = start + self.breaks.pop(0) if self.breaks else len(content)
        handler.wfile.write(content[start:end])


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{http.server_address[1]}/data/"
        yield served
        http.shutdown()
        thread.join()


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = server.add("data.bin", CONTENT)
    for _ in range(2):
        download_file(file, tmp_path / "new" / "data.bin")
    assert (tmp_path / "new" / "data.bin").read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.bin"]
    progress = capsys.readouterr().err
    assert "data.bin" in progress
    assert "100%" in progress


def test_a_broken_transfer_continues(server: Server, tmp_path: Path) -> None:
    file, server.breaks = server.add("data.bin", CONTENT), [2**20, 5000]
    download_file(file, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={2**20}-", f"bytes={2**20 + 5000}-"]


def test_a_broken_transfer_begins_again_where_the_server_knows_no_parts(server: Server, tmp_path: Path) -> None:
    file, server.breaks, server.ranges = server.add("data.bin", CONTENT), [2**20], False
    download_file(file, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_what_a_former_call_left_is_continued(server: Server, tmp_path: Path) -> None:
    file, server.breaks = server.add("data.bin", CONTENT), [1000, 0, 0]  # no byte more: given up
    with pytest.raises(ConnectionError, match=r"data.bin.*broke off after 1000 of 3145745 bytes.*try again"):
        download_file(file, tmp_path / "data.bin")
    assert not (tmp_path / "data.bin").exists()
    server.breaks = []
    download_file(file, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000-"


@pytest.mark.parametrize("left", [b"of another file", CONTENT + b"more"])
def test_a_part_of_another_file_is_not_taken(server: Server, tmp_path: Path, left: bytes) -> None:
    file = server.add("data.bin", CONTENT)
    (tmp_path / "data.bin.part").write_bytes(left)
    download_file(file, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_another_hash_is_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    file = server.add("data.bin", CONTENT)
    server.files["data.bin"] = b"<html>moved</html>"
    with pytest.raises(ValueError, match=rf"data.bin.*another one; its MD5 is \w+, not {file.md5}"):
        download_file(file, tmp_path / "data.bin")
    assert not list(tmp_path.iterdir())


def test_the_next_server_is_asked(server: Server, tmp_path: Path) -> None:
    file = server.add("data.bin", CONTENT)
    mirrored = dataclasses.replace(file, urls=(server.url + "gone", "http://127.0.0.1:9/data.bin", *file.urls))
    download_file(mirrored, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    file = RemoteFile(("http://127.0.0.1:9/data.bin",), "0" * 32)  # nothing listens at the discard port
    with pytest.raises(ConnectionError, match=rf"127.0.0.1:9.*Put a copy of it at {tmp_path}"):
        download_file(file, tmp_path / "data.bin")


def test_a_disk_that_is_too_small_is_told_before(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = server.add("data.bin", CONTENT)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(OSError, match=r"want 3145745 bytes for data.bin, but only 1 are free") as caught:
        download_file(file, tmp_path / "data.bin")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is full")
def test_a_disk_that_fills_up_is_told(server: Server, tmp_path: Path) -> None:
    file = server.add("data.bin", CONTENT)
    (tmp_path / "data.bin.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"no space left for data.bin; free some space") as caught:
        download_file(file, tmp_path / "data.bin")
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "data.bin").exists()


def tar(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


@pytest.mark.parametrize("pack", [tar, zipped])
def test_members_of_an_archive_stay_in_the_folder(server: Server, tmp_path: Path, pack: object) -> None:
    content = pack({"../../evil": b"out", "data/a.bin": b"a", "data/b.txt": b"b"})  # type: ignore[operator]
    file = server.add("all.archive", content)
    folder = tmp_path / "folder"
    download_members(file, folder, lambda name: name.rpartition("/")[2] if name.endswith(("bin", "evil")) else None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.bin": b"a", "evil": b"out"}
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(ValueError, match="does not have the files"):
        download_members(file, tmp_path / "other", lambda name: None)


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim, *b"".join(size.to_bytes(4, "big") for size in values.shape)]) + values.tobytes()


IMAGES, LABELS = np.zeros((3, 28, 28), np.uint8), np.array([1, 2, 3], np.uint8)


def test_mnist(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = {
        name: server.add(f"{name}-ubyte.gz", gzip.compress(idx(IMAGES if "images" in name else LABELS), mtime=0))
        for name in mnist.MNIST_FILES
    }
    monkeypatch.setattr(mnist, "MNIST_FILES", remote)
    assert len(MNIST(tmp_path / "digits", download=True)) == 3
    assert len(server.asked) == 2  # not the test data
    assert len(MNIST(tmp_path / "digits", "test", download=True)) == 3
    assert len(server.asked) == 4


def test_emnist(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {
        f"gzip/emnist-{subset}-{split}-{kind}-ubyte.gz": gzip.compress(idx(values), mtime=0)
        for subset in ("letters", "digits")
        for split in ("train", "test")
        for kind, values in (("images-idx3", IMAGES), ("labels-idx1", LABELS))
    }
    monkeypatch.setattr(mnist, "EMNIST_ARCHIVE", server.add("gzip.zip", zipped(members)))
    for subset in ("letters", "digits"):
        assert len(EMNIST(tmp_path, "test", subset, download=True)) == 3
    assert len(server.asked) == 1
    assert not (tmp_path / "gzip.zip").exists()


def test_cars3d(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    car = io.BytesIO()
    savemat(car, {"im": np.zeros((8, 8, 3, 2, 4), np.uint8)})
    members = {f"data/cars/car_00{i}_mesh.mat": car.getvalue() for i in range(2)} | {"data/shapes48.mat": b"other"}
    monkeypatch.setattr(cars3d, "ARCHIVE", server.add("nips2015-analogy-data.tar.gz", tar(members)))
    assert Cars3D(tmp_path / "cars", download=True).factor_sizes == (4, 2, 2)


def test_files_of_one_array(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dSprites and MPI3D; a file of the right hash and another content is refused by the reader."""
    sprites, arm = io.BytesIO(), io.BytesIO()
    classes = np.indices((1, 2, 2)).reshape(3, -1).T
    np.savez(sprites, imgs=np.zeros((4, 64, 64), np.uint8), latents_classes=classes)
    np.savez(arm, images=np.zeros((4, 64, 64, 3), np.uint8))
    monkeypatch.setattr(dsprites, "FILE", server.add("sprites.npz", sprites.getvalue()))
    monkeypatch.setattr(mpi3d, "FILES", {"mpi3d_toy.npz": server.add("mpi3d_toy.npz", arm.getvalue())})
    monkeypatch.setattr(DSprites, "factor_names", ("shape", "scale"))
    assert len(DSprites(tmp_path / "sprites.npz", download=True)) == 4
    sizes = (4, 1, 1, 1, 1, 1, 1)
    assert len(MPI3D(tmp_path / "mpi3d_toy.npz", factor_sizes=sizes, download=True)) == 4
    with pytest.raises(ValueError, match=r"can download \['mpi3d_toy.npz'\], got the path .*complex.npz"):
        MPI3D(tmp_path / "complex.npz", factor_sizes=sizes, download=True)
    monkeypatch.setattr(dsprites, "FILE", server.add("page.npz", b"<html></html>"))
    with pytest.raises(ValueError, match=r"page.npz"):
        DSprites(tmp_path / "page.npz", download=True)


def test_shapes3d(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py", reason="needs the extra datasets")
    with h5py.File(tmp_path / "made.h5", "w") as file:
        file["images"] = np.zeros((2, 64, 64, 3), np.uint8)
        file["labels"] = np.array([[0.0] * 6, [1.0] + [0.0] * 5])
    monkeypatch.setattr(shapes3d, "FILE", server.add("3dshapes.h5", (tmp_path / "made.h5").read_bytes()))
    assert Shapes3D(tmp_path / "3dshapes.h5", download=True).factor_sizes == (2, 1, 1, 1, 1, 1)


def test_smallnorb(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def matrix(values: np.ndarray, magic: int) -> bytes:
        sizes = [*values.shape, 1, 1, 1][: max(3, values.ndim)]
        return np.array([magic, values.ndim, *sizes], "<i4").tobytes() + values.tobytes()

    contents = {
        "dat": matrix(np.zeros((2, 2, 96, 96), np.uint8), 0x1E3D4C55),
        "cat": matrix(np.zeros(2, "<i4"), 0x1E3D4C54),
        "info": matrix(np.array([[4, 0, 0, 0], [4, 1, 0, 0]], "<i4"), 0x1E3D4C54),
    }
    remote = {
        name: server.add(f"smallnorb-5x{name}.mat.gz", gzip.compress(contents[name.rsplit("-", 1)[1]], mtime=0))
        for name in smallnorb.FILES
    }
    monkeypatch.setattr(smallnorb, "FILES", remote)
    assert len(SmallNORB(tmp_path, split="train", download=True)) == 2
    assert len(server.asked) == 3  # not the test data
