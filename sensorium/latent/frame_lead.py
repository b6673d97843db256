"""What stands before a frame's body: lengths, the head, and a tag of its own, so that it is judged before the body."""

from __future__ import annotations

import hmac
import struct
from typing import NamedTuple

from blake3 import blake3

from sensorium.latent.frame_body import ALIGNMENT, Placed, aligned, lay_out
from sensorium.latent.frame_head import FrameHead, FrameLimits, FrameRefused, Told, decode_told, encode_told

__all__ = [
    "KEY_BYTES",
    "PREFIX_BYTES",
    "TAG_BYTES",
    "Lead",
    "Lengths",
    "check_key",
    "check_tag",
    "make_lead",
    "open_lead",
    "read_lengths",
]

KEY_BYTES = 32
TAG_BYTES = 32

_MAGIC = b"SENSEFR\x01"
"""The last byte is the version of the format."""
_PREFIX = struct.Struct("<8sQQ")

PREFIX_BYTES = _PREFIX.size
"""So many bytes tell how long the frame is."""


class Lengths(NamedTuple):
    """What the first bytes of a frame claim, within limits."""

    head_bytes: int
    body_bytes: int

    @property
    def body_at(self) -> int:
        """Where the body begins: the lead is so long."""
        return aligned(PREFIX_BYTES + self.head_bytes + TAG_BYTES)

    @property
    def signed_bytes(self) -> int:
        """What the head's tag covers: the lead but for the tag itself, which ends it."""
        return self.body_at - TAG_BYTES

    @property
    def whole(self) -> int:
        """Bytes of the whole frame."""
        return self.body_at + self.body_bytes + TAG_BYTES


class Lead(NamedTuple):
    """A lead that is genuine, and its hasher."""

    head: FrameHead
    placed: tuple[Placed, ...]
    lengths: Lengths
    hasher: blake3
    """Has taken in the lead; takes in the body next."""


def check_key(key: bytes) -> None:
    """Nothing, where the key has 32 bytes.

    Raises:
        FrameRefused: It has not.
    """
    if len(key) != KEY_BYTES:
        raise FrameRefused(f"the key has {len(key):,} bytes; a frame's key has {KEY_BYTES}: take it from `frame_key`")


def check_tag(hasher: blake3, tag: bytes | memoryview, what: str) -> None:
    """Nothing, where the tag is that of what the hasher took in. Takes as long whatever the tag is.

    Raises:
        FrameRefused: It is not.
    """
    if not hmac.compare_digest(hasher.digest(), tag):
        raise FrameRefused(
            f"the frame's {what} does not bear its tag: it was altered, or sealed with another key; "
            "send it again, from a process with this installation's key"
        )


def read_lengths(prefix: memoryview, limits: FrameLimits) -> Lengths:
    """How long the frame is that begins with these 24 bytes. Nobody has vouched for them yet.

    Raises:
        FrameRefused: No frame begins so, or it is too large.
    """
    magic, head_bytes, body_bytes = _PREFIX.unpack(prefix[:PREFIX_BYTES])
    if magic[:-1] != _MAGIC[:-1]:
        raise FrameRefused("no frame begins with these bytes; give what `seal` makes")
    if magic != _MAGIC:
        raise FrameRefused(f"the frame is of version {magic[-1]}; this Sensorium reads version {_MAGIC[-1]}")
    if head_bytes > limits.most_head_bytes:
        raise FrameRefused(f"the frame claims a head of {head_bytes:,} bytes; the most is {limits.most_head_bytes:,}")
    if body_bytes > limits.most_body_bytes:
        raise FrameRefused(f"the frame claims a body of {body_bytes:,} bytes; the most is {limits.most_body_bytes:,}")
    if body_bytes % ALIGNMENT:
        raise FrameRefused(f"the frame claims a body of {body_bytes:,} bytes; a body has a multiple of {ALIGNMENT}")
    return Lengths(head_bytes, body_bytes)


def make_lead(told: Told, key: bytes, limits: FrameLimits) -> tuple[bytes, Lead]:
    """The lead of a frame, as bytes and as its receiver will read it.

    Raises:
        FrameRefused: The receiver would refuse it.
    """
    check_key(key)
    placed = lay_out(told.tensors, limits)
    words = encode_told(told, limits)
    lengths = Lengths(len(words), placed[-1].following if placed else 0)
    signed = (_PREFIX.pack(_MAGIC, *lengths) + words).ljust(lengths.signed_bytes, b"\0")
    hasher = blake3(signed, key=key)
    tag = hasher.digest()
    hasher.update(tag)
    return signed + tag, Lead(told.head, placed, lengths, hasher)


def open_lead(data: memoryview, key: bytes, lengths: Lengths, limits: FrameLimits) -> Lead:
    """A lead from its bytes, `lengths.body_at` of them. Its tag is held against the key before anything is parsed.

    Raises:
        FrameRefused: The tag is not right, or what was said under a right tag is not.
    """
    check_key(key)
    data = memoryview(bytes(data))  # what is parsed is then what was vouched for, whoever else can write to the frame
    signed, tag = data[: lengths.signed_bytes], data[lengths.signed_bytes :]
    # The lengths, which are signed, tell the two tags of a frame apart: no bytes can be both a lead and a whole.
    hasher = blake3(signed, key=key)
    check_tag(hasher, tag, "head")
    told = decode_told(bytes(signed[PREFIX_BYTES : PREFIX_BYTES + lengths.head_bytes]))
    if any(signed[PREFIX_BYTES + lengths.head_bytes :]):
        raise FrameRefused("the frame's head is followed by bytes that are not zero; give what `seal` makes")
    placed = lay_out(told.tensors, limits)
    body_bytes = placed[-1].following if placed else 0
    if body_bytes != lengths.body_bytes:
        raise FrameRefused(
            f"the frame's tensors have {body_bytes:,} bytes, its body {lengths.body_bytes:,}; give what `seal` makes"
        )
    hasher.update(tag)
    return Lead(told.head, placed, lengths, hasher)
