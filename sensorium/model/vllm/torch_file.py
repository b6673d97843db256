"""One dense tensor in the file format of `torch.save`, written without torch.

Source: torch's `torch/csrc/jit/serialization/docs/serialization.md` and the protocol-2 opcodes of CPython's
`pickletools`. The file is a ZIP archive of stored entries under one folder: `data.pkl`, which says how a tensor is
made of a storage; `data/0`, that storage's bytes; `byteorder` and `version`.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile

from sensorium import media

__all__ = ["STORAGES", "write_tensor"]

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage"}
"""Element types that can be written, and what torch calls their storages."""

_FOLDER = "archive"
_VERSION = b"3\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""So that equal tensors are equal files."""
_MOST = (1 << 31) - 1


def write_tensor(data: bytes, shape: tuple[int, ...], dtype: str) -> bytes:
    """A file that `torch.load(..., weights_only=True)` reads as a tensor of these numbers, bit for bit.

    Args:
        data: The numbers, little-endian and dense, in C order.
        shape: Each side.
        dtype: A key of `STORAGES`.

    Raises:
        ValueError: The type is none of these, the bytes are more or fewer than the shape wants, or more than 2³¹ - 1.
    """
    if dtype not in STORAGES:
        raise ValueError(f"a tensor of {dtype}; one of {', '.join(STORAGES)} can be written")
    media.decode_tensor(data, shape, dtype)
    if len(data) > _MOST:
        raise ValueError(f"a tensor of {len(data):,} bytes; at most {_MOST:,} can be written")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("data.pkl", _pickle(shape, STORAGES[dtype])),
            ("byteorder", b"little"),
            ("data/0", data),
            ("version", _VERSION),
        ):
            archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}", _LONG_AGO), content)
    return target.getvalue()


def _pickle(shape: tuple[int, ...], storage: str) -> bytes:
    """The call `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`, as opcodes."""
    stride = tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
    persistent = _tuple(_text("storage"), _global("torch", storage), _text("0"), _text("cpu"), _int(math.prod(shape)))
    hooks = _global("collections", "OrderedDict") + b")R"  # an empty tuple; called with it
    arguments = _tuple(
        persistent + b"Q",  # what the reader finds under this name
        _int(0),
        _tuple(*map(_int, shape)),
        _tuple(*map(_int, stride)),
        b"\x89",  # false
        hooks,
    )
    return b"\x80\x02" + _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R."  # protocol 2 … call, stop


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"
