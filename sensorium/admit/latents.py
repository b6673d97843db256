"""Latents from outside: one tensor, whole, dense and finite. Source: the safetensors format's README, "Format"."""

from __future__ import annotations

import math
import re
import struct
from typing import Any, NamedTuple, TypeGuard, cast

import numpy as np

from sensorium import media
from sensorium.admit.plain import decode_text, parse_json
from sensorium.errors import CallerError
from sensorium.spec.ports import CONTEXT

__all__ = ["MOST_BYTES", "TENSOR_NAMES", "Tensor", "check_tensor", "read_latent"]

MOST_BYTES = 1 << 30
_MOST_HEADER_BYTES = 64 << 10
_MOST_DIMENSIONS = 8

TENSOR_NAMES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}
"""Element types of latents, and what safetensors calls them."""

_DTYPES = {name: dtype for dtype, name in TENSOR_NAMES.items()}
_CONTEXT_DTYPES = ("int32", "uint8")
_FORM = "a latent's file is safetensors with one tensor named latent, as `save` writes it"


class Tensor(NamedTuple):
    """A latent that may come in."""

    data: bytes
    space: str
    weights: str
    shape: tuple[int, ...]
    dtype: str
    twin: str | None
    runtime: str
    chunks: int
    made_by: str


def read_latent(data: bytes) -> Tensor:
    """The latent in the bytes of a file. Nothing is allocated before the header is held against the body.

    Raises:
        CallerError: The bytes are no such file, hold another number of tensors than one, or are not whole and finite.
    """
    (header_bytes,) = struct.unpack("<Q", data[:8]) if len(data) >= 8 else (0,)
    if not 2 <= header_bytes <= min(_MOST_HEADER_BYTES, len(data) - 8):
        raise CallerError(f"is no latent's file; {_FORM}")
    header = _mapping(parse_json(decode_text(data[8 : 8 + header_bytes], _MOST_HEADER_BYTES)))
    if set(header) != {"__metadata__", "latent"}:
        raise CallerError(f"is no latent's file; {_FORM}")
    told, tensor = _mapping(header["__metadata__"]), _mapping(header["latent"])
    shape, dtype = tensor.get("shape"), _DTYPES.get(str(tensor.get("dtype")))
    body = data[8 + header_bytes :]
    if dtype is None or not _is_shape(shape) or tensor.get("data_offsets") != [0, len(body)]:
        raise CallerError(f"has a header that does not fit its {len(body):,} bytes of tensor; {_FORM}")
    texts = {name: told.get(name, "") for name in ("space", "weights", "twin", "runtime", "chunks", "made_by")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise CallerError(f"has a header whose words are no text; {_FORM}")
    chunks = texts["chunks"] or "0"
    if not re.fullmatch(r"[0-9]{1,9}", chunks):
        raise CallerError(f"has chunks that are no number; {_FORM}")
    check_tensor(body, tuple(shape), dtype)
    if texts["space"] == CONTEXT and (
        dtype not in _CONTEXT_DTYPES or len(shape) != 1 or (shape == [0] and dtype == "int32")
    ):
        raise CallerError(
            f"has a latent of {CONTEXT} that is {dtype} {shape}; right is its recipe, int32 [entries], or its text, "
            "uint8 [bytes], as `save` writes them"
        )
    return Tensor(
        body,
        texts["space"],
        texts["weights"],
        tuple(shape),
        dtype,
        texts["twin"] or None,
        texts["runtime"],
        int(chunks),
        texts["made_by"],
    )


def check_tensor(data: bytes, shape: tuple[int, ...], dtype: str) -> None:
    """Whether the bytes are a tensor of this shape and type.

    Raises:
        CallerError: The type is none that a latent has, the bytes are more or fewer, or a number is not finite.
    """
    layout = media.TENSOR_DTYPES.get(dtype)
    if layout is None:
        raise CallerError(f"has the type {dtype!r}; a latent's is one of {', '.join(media.TENSOR_DTYPES)}")
    wanted = math.prod(shape) * np.dtype(layout).itemsize
    if min(shape, default=1) < 0 or wanted != len(data):
        raise CallerError(f"has {len(data):,} bytes where its shape wants {wanted:,}; give the whole tensor")
    array = media.decode_tensor(data, shape, dtype)
    if dtype == "bfloat16":
        is_finite = bool(((array & 0x7F80) != 0x7F80).all())
    else:
        is_finite = not np.issubdtype(array.dtype, np.floating) or bool(np.isfinite(array).all())
    if not is_finite:
        raise CallerError("holds NaN or infinity; give finite numbers")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CallerError(f"is no latent's file; {_FORM}")
    return cast("dict[str, Any]", value)


def _is_shape(value: Any) -> TypeGuard[list[int]]:
    if not isinstance(value, list):
        return False
    sides = cast("list[object]", value)
    return len(sides) <= _MOST_DIMENSIONS and all(
        isinstance(side, int) and not isinstance(side, bool) and 0 <= side < 1 << 40 for side in sides
    )
