"""Values from the file of an offline W&B run."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

_FILE_HEADER, _HEADER, _BLOCK = 7, 7, 2**15
_FULL, _FIRST, _LAST = 1, 2, 4


def read_wandb(path: Path) -> dict[str, float]:
    """The last value of each logged number.

    Args:
        path: of a file ``run-*.wandb``.

    Raises:
        ImportError: if W&B is missing.
        ValueError: if the file is broken.
    """
    try:
        decode_error = import_module("google.protobuf.message").DecodeError
        new_record = import_module("wandb.proto.wandb_internal_pb2").Record
    except ImportError as error:
        raise ImportError(f"reading {path} needs W&B: pip install 'torchdisentangle[wandb]'") from error
    last: dict[str, float] = {}
    for message in _messages(path):
        record = new_record()
        try:
            record.ParseFromString(message)
        except decode_error as error:
            raise ValueError(str(error)) from error
        for item in record.history.item:
            name = item.key or ".".join(item.nested_key)
            value = json.loads(item.value_json)
            counts = name.startswith("_") or name in ("epoch", "trainer/global_step")
            if isinstance(value, (int, float)) and not counts:
                last[name] = float(value)
    return last


def _messages(path: Path) -> Iterator[bytes]:
    """The messages of a file in LevelDB's log format: pieces in blocks of 32 KiB, each with a header."""
    data = path.read_bytes()
    if data[:4] != b":W&B":
        raise ValueError("it is no W&B file")
    position, message = _FILE_HEADER, b""
    while position + _HEADER <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:  # the rest of a block that is too short for a header is padding
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + _HEADER])
        piece = data[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        message = piece if kind in (_FULL, _FIRST) else message + piece
        if kind in (_FULL, _LAST):
            yield message
