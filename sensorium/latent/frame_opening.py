"""Frames as their receiver takes them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from sensorium.latent.frame_body import ALIGNMENT, Array, pass_over, views
from sensorium.latent.frame_head import USUAL_LIMITS, FrameBroken, FrameHead, FrameLimits, FrameRefused
from sensorium.latent.frame_lead import PREFIX_BYTES, TAG_BYTES, Lead, check_tag, open_lead, read_lengths

__all__ = ["Frame", "Readable", "open_frame", "open_head", "read_frame"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Tensors that somebody with the key has sealed, whole and finite."""

    head: FrameHead
    tensors: Mapping[str, Array]
    """Read-only arrays over the frame's own bytes, in the sender's order; bfloat16 as its bits in uint16."""
    dtypes: Mapping[str, str]
    """What each is: a key of `DTYPES`."""
    size_bytes: int
    """Of the whole frame."""


class Readable(Protocol):
    """A file opened for reading bytes."""

    def readinto(self, buffer: Any, /) -> int | None:
        """How many bytes were put into the buffer: at least one, but for the end."""
        ...


def open_frame(data: bytes | bytearray | memoryview, key: bytes, *, limits: FrameLimits = USUAL_LIMITS) -> Frame:
    """The frame that lies in `data`, and nothing beside it. Nothing is copied.

    The arrays keep `data` alive. It must not be written to from then on, nor by anybody meanwhile: bytes that another
    process can still change are copied first.

    Args:
        data: All bytes of one frame.
        key: 32 bytes with which it was sealed.
        limits: How much it may claim.

    Raises:
        FrameRefused: It is not such a frame, or not with this key; the message says why. Tags are held against the key
            before what they cover is parsed.
    """
    view = _flat(data)
    if len(view) < PREFIX_BYTES:
        raise FrameRefused(f"the frame has {len(view)} bytes; give all of it")
    lengths = read_lengths(view, limits)
    if len(view) != lengths.whole:
        raise FrameRefused(
            f"the frame has {len(view):,} bytes where its beginning claims {lengths.whole:,}; "
            "give all of it and nothing beside it"
        )
    lead = open_lead(view[: lengths.body_at], key, lengths, limits)
    return _opened(view[lengths.body_at :], lead, lambda _block: None)


def open_head(data: bytes | bytearray | memoryview, key: bytes, *, limits: FrameLimits = USUAL_LIMITS) -> FrameHead:
    """What a frame says of itself, from its beginning: enough of it, or all of it.

    Raises:
        FrameBroken: There are too few bytes yet.
        FrameRefused: It is not such a frame, or not with this key.
    """
    view = _flat(data)
    if len(view) < PREFIX_BYTES:
        raise FrameBroken(f"the frame has {len(view)} bytes; its first {PREFIX_BYTES} tell how long it is")
    lengths = read_lengths(view, limits)
    if len(view) < lengths.body_at:
        raise FrameBroken(f"the frame has {len(view):,} bytes; its head lies in the first {lengths.body_at:,}")
    return open_lead(view[: lengths.body_at], key, lengths, limits).head


def read_frame(
    source: Readable | socket.socket,
    key: bytes,
    *,
    limits: FrameLimits = USUAL_LIMITS,
    accept: Callable[[FrameHead], object] = lambda _head: None,
) -> Frame:
    """The next frame of a file or socket, read to its last byte and no further. Blocking.

    No memory is taken for a body before the head was found genuine and `accept` has returned. A socket's own timeout
    bounds each wait for bytes.

    Args:
        source: Where it comes from.
        key: 32 bytes with which it was sealed.
        limits: How much it may claim.
        accept: Is shown the head before the body is read; raises where the frame is not wanted.

    Raises:
        FrameBroken: The sender ended, or nothing came in time.
        FrameRefused: It is not such a frame, or not with this key. What is left of it is still in the source.
    """
    inflow = _Inflow(source)
    lead_bytes = bytearray(PREFIX_BYTES)
    inflow.fill(memoryview(lead_bytes))
    lengths = read_lengths(memoryview(lead_bytes), limits)
    inflow.wanted = lengths.whole
    lead_bytes.extend(bytes(lengths.body_at - PREFIX_BYTES))
    inflow.fill(memoryview(lead_bytes)[PREFIX_BYTES:])
    lead = open_lead(memoryview(lead_bytes), key, lengths, limits)
    accept(lead.head)
    return _opened(_room(lengths.body_bytes + TAG_BYTES), lead, inflow.fill)


class _Inflow:
    """The bytes of one frame as they come."""

    def __init__(self, source: Readable | socket.socket) -> None:
        self._take = source.recv_into if isinstance(source, socket.socket) else source.readinto
        self._came = 0
        self.wanted = PREFIX_BYTES
        """How many bytes the frame has, as far as is known."""

    def fill(self, block: memoryview) -> None:
        """Puts the next bytes into all of the block.

        Raises:
            FrameBroken: They do not come.
        """
        while block:
            try:
                taken = self._take(block)
            except OSError as error:
                raise self._broken(str(error.strerror or error) or type(error).__name__) from error
            if not taken:
                raise self._broken("nothing came in time" if taken is None else "the sender ended")
            self._came += taken
            block = block[taken:]

    def _broken(self, why: str) -> FrameBroken:
        return FrameBroken(
            f"the frame broke off after {self._came:,} of {self.wanted:,} bytes: {why}; let it be sent again"
        )


def _opened(rest: memoryview, lead: Lead, fill: Callable[[memoryview], None]) -> Frame:
    """The frame whose lead is genuine, once `rest` was filled with what follows the lead and found genuine too."""
    lengths = lead.lengths
    body, tag = rest[: lengths.body_bytes], rest[lengths.body_bytes :]
    fault = pass_over(body, lead.placed, lead.hasher, lengths.body_at, fill)
    fill(tag)
    check_tag(lead.hasher, tag, "body")
    if fault:
        raise FrameRefused(f"the frame's {fault}")
    dtypes = {tensor.name: tensor.dtype for tensor in lead.placed}
    return Frame(lead.head, views(body.toreadonly(), lead.placed), MappingProxyType(dtypes), lengths.whole)


def _flat(data: bytes | bytearray | memoryview) -> memoryview:
    view = memoryview(data)
    if not view.c_contiguous:
        raise FrameRefused("the frame lies in pieces; give its bytes one behind the other")
    return view.cast("B") if view.nbytes else memoryview(b"")


def _room(size_bytes: int) -> memoryview:
    """Memory that begins at a multiple of 64 bytes; none is used before it is written."""
    room = np.empty(size_bytes + ALIGNMENT, np.uint8)
    first = -room.ctypes.data % ALIGNMENT
    return room[first : first + size_bytes].data
