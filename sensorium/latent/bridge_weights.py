"""A bridge's weights on the disk: safetensors of float16 alone, written and read by numpy.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sensorium.errors import AuthorError, Fault
from sensorium.spec.plain import is_mapping

__all__ = ["read_weights", "weights_digest", "write_weights"]

_MAX_HEADER_BYTES: Final = 1 << 16
_LENGTH: Final = struct.Struct("<Q")


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays of a file that holds exactly `shapes`, float16 on the disk and float32 here.

    Raises:
        AuthorError: It cannot be read, holds something else, or not all of it is finite.
    """
    try:
        body = path.read_bytes() if path.stat().st_size <= _most_bytes(shapes) else b""
    except OSError as error:
        raise _fault(path, f"it cannot be read ({error.strerror})", "a bridge's folder has it") from error
    header, start = _header(path, body)
    if missing := sorted(shapes.keys() ^ header.keys()):
        named = ", ".join(map(repr, missing))
        raise _fault(path, f"{named} is too much or missing", f"it holds {', '.join(sorted(shapes))} and no more")
    arrays = {name: _array(path, name, header[name], shape, body[start:]) for name, shape in shapes.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise _fault(path, f"{name!r} holds what is not finite", "weights are finite numbers")
    if not (arrays["deviation"] > 0).all():
        raise _fault(path, "'deviation' is not above 0 everywhere", "it is what states are divided by")
    return arrays


def write_weights(path: Path, arrays: Mapping[str, npt.NDArray[np.floating[Any]]]) -> str:
    """Writes the arrays as float16, and gives the sha256 of the file. The file is whole or not there."""
    halves = {name: np.ascontiguousarray(arrays[name], "<f2") for name in sorted(arrays)}
    header: dict[str, Any] = {}
    end = 0
    for name, half in halves.items():
        begin, end = end, end + half.nbytes
        header[name] = {"dtype": "F16", "shape": list(half.shape), "data_offsets": [begin, end]}
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    body = _LENGTH.pack(len(told)) + told + b"".join(half.tobytes() for half in halves.values())
    waiting = path.with_name(f".{path.name}.{os.getpid()}")
    waiting.write_bytes(body)
    waiting.replace(path)
    return hashlib.sha256(body).hexdigest()


def weights_digest(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The sha256 of a file that holds `shapes`.

    Raises:
        AuthorError: It cannot be read, or is larger than such a file can be.
    """
    try:
        if (found := path.stat().st_size) > (most := _most_bytes(shapes)):
            raise _fault(
                path, f"it has {found:,} bytes", f"at most {most:,} would be right for what bridge.yaml tells of"
            )
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _fault(path, f"it cannot be read ({error.strerror})", "a bridge's folder has it") from error


def _most_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return _LENGTH.size + _MAX_HEADER_BYTES + sum(2 * math.prod(shape) for shape in shapes.values())


def _header(path: Path, body: bytes) -> tuple[dict[str, Any], int]:
    """What the head of the file says of each array, and where the arrays begin."""
    right = "it is a safetensors file of the size that bridge.yaml tells of"
    length = _LENGTH.unpack_from(body)[0] if len(body) >= _LENGTH.size else 0
    if not 0 < length <= min(_MAX_HEADER_BYTES, len(body) - _LENGTH.size):
        raise _fault(path, "it is shorter or longer than its head says", right)
    try:
        header = json.loads(body[_LENGTH.size : _LENGTH.size + length], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _fault(path, f"its head cannot be read ({error})", right) from error
    if not is_mapping(header):
        raise _fault(path, "its head is no mapping", right)
    return {name: said for name, said in header.items() if name != "__metadata__"}, _LENGTH.size + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _array(path: Path, name: str, said: Any, shape: tuple[int, ...], body: bytes) -> npt.NDArray[np.float32]:
    nbytes = 2 * math.prod(shape)
    expected = {"dtype": "F16", "shape": list(shape)}
    if not is_mapping(said) or {key: said.get(key) for key in expected} != expected:
        raise _fault(path, f"{name!r} is {said}", f"float16 of shape {list(shape)} would be right")
    match said.get("data_offsets"):
        case [int(begin), int(end)] if begin >= 0 and end == begin + nbytes <= len(body):
            return np.frombuffer(body[begin:end], "<f2").astype(np.float32).reshape(shape)
        case offsets:
            raise _fault(path, f"{name!r} lies at {offsets}", f"{nbytes:,} bytes inside the file would be right")


def _fault(path: Path, found: str, right: str) -> AuthorError:
    return AuthorError([Fault(str(path), 0, 0, found, right)])
