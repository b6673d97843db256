"""Media as bytes and as arrays: how pictures, sound, masks and tensors lie in the store.

Nothing here guards against hostile bytes: what comes from outside is admitted first (`sensorium.admit`).
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps

__all__ = [
    "TENSOR_DTYPES",
    "as_bits",
    "as_floats",
    "decode_image",
    "decode_masks",
    "decode_tensor",
    "decode_wav",
    "encode_masks",
    "encode_png",
    "encode_tensor",
    "encode_wav",
    "to_mono",
]

Array = npt.NDArray[Any]

TENSOR_DTYPES: dict[str, str] = {
    "float32": "<f4",
    "float16": "<f2",
    "bfloat16": "<u2",
    "int64": "<i8",
    "int32": "<i4",
    "uint8": "|u1",
    "bool": "|b1",
}
"""Element types that a latent may have, with their layout; bfloat16 lies in arrays as its 16 bits."""

_WAVE_FORMAT_IEEE_FLOAT = 3
_PLAIN_MODES = ("L", "RGB", "RGBA")


def encode_png(image: PillowImage.Image) -> bytes:
    """PNG bytes of a picture, lossless."""
    target = io.BytesIO()
    image.save(target, format="PNG", compress_level=1)
    return target.getvalue()


def decode_image(data: bytes) -> PillowImage.Image:
    """The picture in `data`, turned upright by its EXIF, in mode L, RGB or RGBA."""
    image: PillowImage.Image = PillowImage.open(io.BytesIO(data))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in _PLAIN_MODES:
        return image
    if image.mode in ("I;16", "I;16B", "I"):
        wide = np.asarray(image, dtype=np.int64)
        return PillowImage.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8))
    has_alpha = image.mode in ("LA", "PA") or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def to_mono(samples: Array) -> npt.NDArray[np.float32]:
    """Float32 [frames] from samples [frames] or [frames, channels], channels averaged."""
    wide = np.asarray(samples, dtype=np.float32)
    return np.ascontiguousarray(wide.mean(axis=1, dtype=np.float32) if wide.ndim == 2 else wide)


def encode_wav(samples: Array, rate_hz: int) -> bytes:
    """A RIFF WAVE file with 32-bit float samples, bit for bit those of `samples` (float32 [frames])."""
    body = np.asarray(samples, dtype="<f4").tobytes()
    header = struct.pack("<HHIIHH", _WAVE_FORMAT_IEEE_FLOAT, 1, rate_hz, rate_hz * 4, 4, 32)
    chunks = b"fmt " + struct.pack("<I", len(header)) + header
    chunks += b"fact" + struct.pack("<II", 4, len(body) // 4)
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def decode_wav(data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Samples (float32 [frames]) and rate in Hz of a file that `encode_wav` made.

    Raises:
        ValueError: The bytes are not such a file.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("not a RIFF WAVE file")
    position, rate_hz = 12, 0
    while position + 8 <= len(data):
        name, size = data[position : position + 4], struct.unpack_from("<I", data, position + 4)[0]
        start = position + 8
        if name == b"fmt ":
            kind, channels, rate_hz = struct.unpack_from("<HHI", data, start)
            if (kind, channels) != (_WAVE_FORMAT_IEEE_FLOAT, 1):
                raise ValueError(f"format {kind} with {channels} channels; stored sound is mono 32-bit float")
        if name == b"data":
            return np.frombuffer(data, dtype="<f4", count=size // 4, offset=start), rate_hz
        position = start + size + size % 2
    raise ValueError("no data chunk")


def encode_masks(masks: Array) -> bytes:
    """A .npy file of bool [n, height, width]."""
    target = io.BytesIO()
    np.save(target, np.ascontiguousarray(masks, dtype=bool), allow_pickle=False)
    return target.getvalue()


def decode_masks(data: bytes) -> npt.NDArray[np.bool_]:
    """Bool [n, height, width] of a file that `encode_masks` made."""
    masks: npt.NDArray[np.bool_] = np.load(io.BytesIO(data), allow_pickle=False)
    return masks


def encode_tensor(array: Array, dtype: str) -> bytes:
    """Little-endian dense bytes in C order."""
    return np.ascontiguousarray(array).astype(TENSOR_DTYPES[dtype], copy=False).tobytes()


def as_floats(array: Array, dtype: str) -> npt.NDArray[np.float32]:
    """Float32 of the same shape, from an array that `decode_tensor` gave; bfloat16 comes as its bits."""
    if dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def as_bits(array: npt.NDArray[np.float32], dtype: str) -> Array:
    """Float32 as it lies in a tensor of `dtype`; bfloat16 as its bits, rounded to the nearest, ties to even."""
    if dtype != "bfloat16":
        return array.astype(np.dtype(dtype))
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    odd = (bits >> 16) & 1
    return ((bits + 0x7FFF + odd) >> 16).astype(np.uint16)


def decode_tensor(data: bytes, shape: tuple[int, ...], dtype: str) -> Array:
    """An array of `shape` over little-endian dense bytes; read-only.

    Raises:
        ValueError: The bytes are not as many as the shape wants.
    """
    layout = np.dtype(TENSOR_DTYPES[dtype])
    wanted = int(np.prod(shape, dtype=np.int64)) * layout.itemsize
    if wanted != len(data):
        raise ValueError(f"{len(data)} bytes where shape {shape} of {dtype} has {wanted}")
    return np.frombuffer(data, dtype=layout).reshape(shape)
