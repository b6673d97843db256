"""Frames as their sender makes them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from sensorium.latent.frame_body import DTYPES, Array, blocks, fault_in
from sensorium.latent.frame_head import USUAL_LIMITS, Entry, FrameHead, FrameLimits, FrameRefused, Told
from sensorium.latent.frame_lead import make_lead

__all__ = ["Tensor", "Writable", "seal", "seal_to"]

_NAMES = {np.dtype(layout): name for name, layout in DTYPES.items() if name != "bfloat16"}
"""What an array's own type says; bfloat16 has none of its own."""


class Tensor(NamedTuple):
    """An array and its element type: for bfloat16, whose 16 bits lie in an array of uint16."""

    array: Array
    dtype: str
    """A key of `DTYPES`."""


class Writable(Protocol):
    """A file opened for writing bytes."""

    def write(self, data: Any, /) -> int | None:
        """How many of the bytes were taken."""
        ...


def seal(
    head: FrameHead, tensors: Mapping[str, Array | Tensor], key: bytes, *, limits: FrameLimits = USUAL_LIMITS
) -> bytes:
    """A frame in one piece.

    Args:
        head: What the tensors are.
        tensors: In the order in which they are to lie: arrays of a type in `DTYPES`, of any strides and byte order;
            bfloat16 as `Tensor`.
        key: 32 bytes that the receiver has too.
        limits: What the receiver may be expected to take.

    Raises:
        FrameRefused: A receiver would refuse it: a text of the head, a name, type, size or number.
    """
    return b"".join(_pieces(head, tensors, key, limits))


def seal_to(
    target: Writable | socket.socket,
    head: FrameHead,
    tensors: Mapping[str, Array | Tensor],
    key: bytes,
    *,
    limits: FrameLimits = USUAL_LIMITS,
) -> int:
    """Writes a frame to a file or socket, never holding it whole; how many bytes it has.

    All is checked before the first byte is written. For the arguments see `seal`.

    Raises:
        FrameRefused: A receiver would refuse it.
        OSError: The target takes no more.
    """
    size_bytes = 0
    for piece in _pieces(head, tensors, key, limits):
        size_bytes += len(piece)
        if isinstance(target, socket.socket):
            target.sendall(piece)
            continue
        rest = memoryview(piece)
        while rest:
            rest = rest[target.write(rest) or 0 :]
    return size_bytes


def _pieces(
    head: FrameHead, tensors: Mapping[str, Array | Tensor], key: bytes, limits: FrameLimits
) -> Iterator[bytes | memoryview]:
    """The bytes of a frame, in order; nothing comes before all was checked."""
    given = {name: _typed(name, tensor) for name, tensor in tensors.items()}
    entries = tuple(Entry(name, dtype, array.shape) for name, (array, dtype) in given.items())
    words, lead = make_lead(Told(head, entries), key, limits)
    bodies = [_dense(name, tensor) for name, tensor in given.items()]
    yield words
    hasher, origin = lead.hasher, lead.lengths.body_at
    for body, placed in zip(bodies, lead.placed, strict=True):
        for start, end in blocks(placed.start, placed.end, origin):
            block = body[start - placed.start : end - placed.start]
            hasher.update(block)
            yield block
        if padding := bytes(placed.following - placed.end):
            hasher.update(padding)
            yield padding
    yield hasher.digest()


def _typed(name: str, given: Array | Tensor) -> Tensor:
    """The tensor with its element type.

    Raises:
        FrameRefused: It is no array of a type that a frame carries.
    """
    array, dtype = given if isinstance(given, Tensor) else (given, "")
    if not isinstance(array, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance] a caller may have no types
        raise FrameRefused(f"tensor {name} is a {type(array).__name__}; give an array of numpy")
    native = array.dtype.newbyteorder("=")
    dtype = dtype or _NAMES.get(native, "")
    if dtype not in DTYPES or native != np.dtype(DTYPES[dtype]).newbyteorder("="):
        raise FrameRefused(
            f"tensor {name} is an array of {array.dtype}{f' given as {dtype}' if dtype else ''}; "
            f"a frame carries {', '.join(DTYPES)}, and bfloat16 as Tensor(its bits in uint16, 'bfloat16')"
        )
    return Tensor(array, dtype)


def _dense(name: str, tensor: Tensor) -> memoryview:
    """The bytes of a tensor, little-endian in C order.

    Raises:
        FrameRefused: A number is not finite.
    """
    array = np.asarray(tensor.array, dtype=DTYPES[tensor.dtype], order="C")
    body = array.reshape(-1).view(np.uint8).data
    for start, end in blocks(0, len(body), 0):
        if fault := fault_in(body[start:end], tensor.dtype):
            raise FrameRefused(f"tensor {name} {fault}")
    return body
