"""How tensors lie in a frame's body, and one pass over them that hashes and checks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from sensorium import media
from sensorium.latent.frame_head import Entry, FrameLimits, FrameRefused

__all__ = ["ALIGNMENT", "DTYPES", "Array", "Placed", "aligned", "blocks", "fault_in", "lay_out", "pass_over", "views"]

Array = npt.NDArray[Any]

ALIGNMENT = 64
"""Every tensor begins at a multiple of so many bytes of its frame."""

DTYPES: Mapping[str, str] = MappingProxyType({**media.TENSOR_DTYPES, "int8": "|i1"})
"""Element types that a frame carries, with their layout; bfloat16 lies in arrays as its 16 bits."""

_BLOCK_BYTES = 256 << 10
"""Fits a core's second cache: what was hashed is checked without another trip to memory."""

_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")


class _Bounds(NamedTuple):
    """Two views of an element's bits, and what the greatest of each must stay below."""

    unsigned: str
    below: int
    signed: str = ""
    signed_below: int = 0


# Read as integers, NaN and infinity are the greatest of all numbers of their sign: with the sign bit set they are the
# greatest unsigned ones, without it the greatest signed ones. So two maxima tell, and nothing is written to memory.
_BOUNDS = {
    "float32": _Bounds("<u4", 0xFF800000, "<i4", 0x7F800000),
    "float16": _Bounds("<u2", 0xFC00, "<i2", 0x7C00),
    "bfloat16": _Bounds("<u2", 0xFF80, "<i2", 0x7F80),
    "bool": _Bounds("|u1", 2),
}


class Placed(NamedTuple):
    """One tensor and where it lies, in bytes from the beginning of the body."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    following: int
    """Where the next one begins; what lies between is zero."""


def aligned(size_bytes: int) -> int:
    """The next multiple of 64."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def lay_out(entries: Sequence[Entry], limits: FrameLimits) -> tuple[Placed, ...]:
    """Where each tensor lies: one behind the other, so that there is nothing to overlap and no gap to hide in.

    Takes no memory for what the entries claim.

    Raises:
        FrameRefused: There are too many, two have one name, a name or type is none that a frame has, or the sizes pass
            the limit.
    """
    if len(entries) > limits.most_tensors:
        raise FrameRefused(f"the frame has {len(entries):,} tensors; the most is {limits.most_tensors}")
    placed: list[Placed] = []
    names: set[str] = set()
    start = 0
    for entry in entries:
        if entry.name in names:
            raise FrameRefused(f"the frame has two tensors named {entry.name}; give each a name of its own")
        end = start + _size_bytes(entry, limits)
        placed.append(Placed(entry.name, entry.dtype, entry.shape, start, end, aligned(end)))
        names.add(entry.name)
        start = aligned(end)
    if start > limits.most_body_bytes:
        raise FrameRefused(f"the frame's tensors have {start:,} bytes; the most is {limits.most_body_bytes:,}")
    return tuple(placed)


def _size_bytes(entry: Entry, limits: FrameLimits) -> int:
    if not _NAME.fullmatch(entry.name):
        raise FrameRefused(
            f"the frame has a tensor named {entry.name[:100]!a}; a name is 1 to 100 letters, digits and _ . - [ ]"
        )
    if entry.dtype not in DTYPES:
        raise FrameRefused(
            f"tensor {entry.name} has the type {entry.dtype[:40]!a}; a frame carries {', '.join(DTYPES)}"
        )
    if len(entry.shape) > limits.most_dimensions:
        raise FrameRefused(
            f"tensor {entry.name} has {len(entry.shape):,} dimensions; the most is {limits.most_dimensions}"
        )
    itemsize = np.dtype(DTYPES[entry.dtype]).itemsize
    # A side of 0 must not hide sides that no array could have.
    if math.prod(side or 1 for side in entry.shape) * itemsize > limits.most_body_bytes:
        raise FrameRefused(
            f"tensor {entry.name} claims {'x'.join(map(str, entry.shape))} of {entry.dtype}; "
            f"a frame's tensors have at most {limits.most_body_bytes:,} bytes"
        )
    return math.prod(entry.shape) * itemsize


def blocks(start: int, end: int, origin: int) -> Iterator[tuple[int, int]]:
    """Cuts `start` to `end` at round places of the frame, whose byte `origin` is the body's first.

    The hash joins whole subtrees where it is fed from round places.
    """
    while start < end:
        cut = ((start + origin) // _BLOCK_BYTES + 1) * _BLOCK_BYTES - origin
        yield start, min(cut, end)
        start = cut


def fault_in(block: memoryview | Array, dtype: str) -> str:
    """What is wrong with numbers that lie dense in `block`; empty if nothing is."""
    bounds = _BOUNDS.get(dtype)
    if bounds is None or not len(block):
        return ""
    if int(np.frombuffer(block, bounds.unsigned).max()) >= bounds.below:
        return "holds NaN or infinity; give finite numbers" if bounds.signed else "holds bytes other than 0 and 1"
    if bounds.signed and int(np.frombuffer(block, bounds.signed).max()) >= bounds.signed_below:
        return "holds NaN or infinity; give finite numbers"
    return ""


def pass_over(
    body: memoryview, placed: Sequence[Placed], hasher: blake3, origin: int, fill: Callable[[memoryview], None]
) -> str:
    """What is wrong with the first tensor that is not sound; empty if all are.

    Each block is filled, hashed and checked while it lies in the cache. What this says counts only once the hash was
    found right.

    Args:
        body: Bytes of all tensors.
        placed: Where they lie.
        hasher: Has taken in all that stands before the body.
        origin: How many bytes of the frame stand before the body.
        fill: Puts the body's next bytes into the block that it is given.
    """
    fault = ""
    for tensor in placed:
        for start, end in blocks(tensor.start, tensor.following, origin):
            block = body[start:end]
            fill(block)
            hasher.update(block)
            if not fault:
                numbers = max(tensor.end - start, 0)
                fault = fault_in(block[:numbers], tensor.dtype)
                if not fault and any(block[numbers:]):
                    fault = "is followed by bytes that are not zero; give what `seal` makes"
                fault = fault and f"tensor {tensor.name} {fault}"
    return fault


def views(body: memoryview, placed: Sequence[Placed]) -> Mapping[str, Array]:
    """Arrays over the body; nothing is copied, and they are read-only as `body` is."""
    return MappingProxyType(
        {
            tensor.name: np.frombuffer(body[tensor.start : tensor.end], DTYPES[tensor.dtype]).reshape(tensor.shape)
            for tensor in placed
        }
    )
