"""Downloads of public data sets: resumed where they broke off, and checked by their hash."""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

_CHUNK = 2**20  # bytes
_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 5  # a transfer that breaks is continued that often before it is given up
_NOT_SATISFIABLE = 416  # the status of a server that has no bytes after those that are there


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Args:
        urls: where it is, the preferred place first.
        md5: of its bytes, as published by the libraries that read the data set.

    Example:
        >>> RemoteFile(("https://example.org/data/sprites.npz",), md5="0" * 32).name
        'sprites.npz'
    """

    urls: tuple[str, ...]
    md5: str

    @property
    def name(self) -> str:
        """The file's name on the server."""
        return self.urls[0].rsplit("/", 1)[1]


def download_file(file: RemoteFile, path: Path) -> None:
    """Download a file, unless it is there.

    Bytes go to ``<path>.part``, which is renamed when the file is complete and its hash is right. A download that was
    interrupted continues where it stopped, the next time, too.

    Args:
        file: the file.
        path: where to write it; missing folders are made.

    Raises:
        ConnectionError: if no server can be reached, or the transfer keeps breaking off.
        ValueError: if the file on the server is not the one that was published.
        OSError: if there is not enough space.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    errors = []
    for url in file.urls:
        left = part.exists()
        try:
            _transfer(url, part)
            if left and _md5(part) != file.md5:  # what a former call left was of another file
                part.unlink()
                _transfer(url, part)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            errors.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        found = _md5(part)
        if found == file.md5:
            part.replace(path)
            return
        part.unlink()
        errors.append(f"{url}: the file there is another one; its MD5 is {found}, not {file.md5}")
    message = f"cannot download {file.name}; {'; '.join(errors)}. Put a copy of it at {path}, or try again"
    raise (ValueError if "MD5" in errors[-1] else ConnectionError)(message)


def download_members(archive: RemoteFile, folder: Path, rename: Callable[[str], str | None]) -> None:
    """Download an archive, ``.zip`` or ``.tar.gz``, and keep some of its files.

    Args:
        archive: the archive, which is deleted afterwards.
        folder: where to write the files.
        rename: the name of a file in ``folder`` from its path in the archive, or None to leave it out.

    Raises:
        ConnectionError: as :func:`download_file`.
        ValueError: as :func:`download_file`, or if the archive has none of the files.
        OSError: if there is not enough space.
    """
    path = folder / archive.name
    download_file(archive, path)
    kept = 0
    for name, opened in _members(path):
        target = rename(name)
        if target is not None:
            part = folder / f"{target}.part"
            with opened() as source, _said_of_space(part), part.open("wb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)
            part.replace(folder / target)
            kept += 1
    path.unlink()
    if not kept:
        raise ValueError(f"{archive.name} does not have the files of the data set")


def _members(path: Path) -> Iterable[tuple[str, Callable[[], IO[bytes]]]]:
    """Names of an archive's files, and how to open each. Nothing is ever written where the archive says."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for info in zipped.infolist():
                yield info.filename, lambda info=info: zipped.open(info)  # type: ignore[misc]
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                source = tar.extractfile(member)
                if source is not None:
                    yield member.name, lambda source=source: source  # type: ignore[misc]


def _transfer(url: str, part: Path) -> None:
    """Write what the server has to a file; what is there already is not asked for again."""
    for attempt in range(_ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(url, part, before)
            return
        except urllib.error.HTTPError as error:
            if error.code != _NOT_SATISFIABLE or before == 0:
                raise
            part.unlink()  # more bytes than the server has: not a part of this file
        except (http.client.HTTPException, ConnectionError, TimeoutError):
            progressed = part.exists() and part.stat().st_size > before
            if attempt == _ATTEMPTS - 1 or not progressed:
                raise
    raise ConnectionError(f"{url} broke off {_ATTEMPTS} times")


def _continue(url: str, part: Path, start: int) -> None:
    headers = {"User-Agent": "torchdisentangle"} | ({"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server sends all of it
        length = response.headers.get("Content-Length")
        missing = None if length is None else int(length)
        _check_space(part, missing or 0)
        total = None if missing is None else start + missing
        bar = tqdm(desc=part.stem, initial=start, total=total, unit="B", unit_scale=True, unit_divisor=1024)
        with bar, _said_of_space(part), part.open("ab" if start else "wb") as sink:
            received = 0
            while chunk := response.read(_CHUNK):
                sink.write(chunk)
                bar.update(len(chunk))
                received += len(chunk)
        if missing is not None and received < missing:
            raise ConnectionError(f"the transfer broke off after {start + received} of {total} bytes")


def _check_space(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < wanted:
        raise OSError(errno.ENOSPC, f"want {wanted} bytes for {part.stem}, but only {free} are free", str(part.parent))


class _said_of_space:
    """Say which file found no space, in place of "No space left on device" alone."""

    def __init__(self, part: Path) -> None:
        self.part = part

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            free_first = "free some space and call it again, and it will continue"
            raise OSError(errno.ENOSPC, f"no space left for {self.part.stem}; {free_first}", str(self.part)) from error


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
