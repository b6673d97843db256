"""What a frame says of itself, and the limits that it is read under."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import msgspec

from sensorium.errors import LatentError

__all__ = [
    "USUAL_LIMITS",
    "Entry",
    "FrameBroken",
    "FrameHead",
    "FrameLimits",
    "FrameRefused",
    "Told",
    "decode_told",
    "encode_told",
]

_MOST_COUNT = 1 << 62
_MOST_QUOTED = 160

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST_COUNT)]


class FrameRefused(LatentError):
    """A frame that is not what `seal` makes, or not with this key, or passes a limit. Nothing of it was kept."""


class FrameBroken(FrameRefused):
    """A frame whose bytes ended, or ceased to come, before it was whole; sent again it may arrive."""

    def __init__(self, message: str) -> None:
        super().__init__(message, can_retry=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLimits:
    """How much a frame may claim. What claims more is refused before memory is taken for it."""

    most_head_bytes: int = 64 << 10
    """Of the words about the tensors."""
    most_body_bytes: int = 1 << 30
    """Of all tensors, each filled up to 64 bytes."""
    most_tensors: int = 64
    most_dimensions: int = 8
    """Of one tensor."""


USUAL_LIMITS = FrameLimits()
"""What holds where nothing else is said."""


class FrameHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a frame's tensors are, and where they come from. Texts are printable, on one line."""

    space: str
    """Which vectors these are, such as `lm.kv` or `lm.hidden[12]`."""
    weights: str
    """Identity of the weights as loaded, tokenizer and adapter included: hexadecimal digits."""
    runtime: str
    """What computed them, such as `torch 2.13.0 cpu bfloat16`: equal where bit-equality is claimed."""
    positions: Count
    """How many token positions they stand for."""
    chunks: Count = 0
    """Tokens of one step of the prefill; 0 where there is no such grid."""
    codec: str = ""
    """How the numbers were packed, such as `int8`; empty where they lie as they were computed."""
    made_by: str = ""
    """Where they come from, for people."""
    recipe: str = ""
    """Digest of the inputs and steps that give them anew: hexadecimal digits; empty where there is none."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor of a body, in the order in which they lie there."""

    name: str
    dtype: str
    shape: tuple[Count, ...]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that stands in front of a body."""

    head: FrameHead
    tensors: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    fits: Callable[[str], object]
    right: str


def _printable(most: int) -> _Form:
    return _Form(lambda text: len(text) <= most and text.isprintable(), f"at most {most:,} printable characters")


_FORMS = {
    "space": _Form(re.compile(r"[A-Za-z0-9_.\[\]-]{1,200}").fullmatch, "1 to 200 letters, digits and _ . - [ ]"),
    "weights": _Form(re.compile(r"[0-9a-f]{1,128}").fullmatch, "1 to 128 digits of 0-9a-f"),
    "runtime": _printable(300),
    "codec": _Form(re.compile(r"[A-Za-z0-9_.+-]{0,64}").fullmatch, "at most 64 letters, digits and _ . + -"),
    "made_by": _printable(1000),
    "recipe": _Form(re.compile(r"[0-9a-f]{0,128}").fullmatch, "at most 128 digits of 0-9a-f"),
}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Told)


def encode_told(told: Told, limits: FrameLimits) -> bytes:
    """JSON of a head and its tensors, which passes all that `decode_told` asks.

    Raises:
        FrameRefused: It does not.
    """
    try:
        data = _encoder.encode(told)
    except (OverflowError, TypeError, ValueError) as error:
        raise FrameRefused(f"the frame's head cannot be written: {_quoted(str(error))}") from error
    if len(data) > limits.most_head_bytes:
        raise FrameRefused(f"the frame's head has {len(data):,} bytes; the most is {limits.most_head_bytes:,}")
    decode_told(data)
    return data


def decode_told(data: bytes) -> Told:
    """A head and its tensors, from the one spelling that `encode_told` gives them.

    Raises:
        FrameRefused: The bytes are no head, are spelled otherwise, or a text has not its form.
    """
    try:
        told = _decoder.decode(data)
        is_ours = _encoder.encode(told) == data
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameRefused(f"the frame's head is none: {_quoted(str(error))}; give what `seal` makes") from error
    for name, form in _FORMS.items():
        text: str = getattr(told.head, name)
        if not form.fits(text):
            raise FrameRefused(f"the frame's {name} is {_quoted(text)!r}; right is: {form.right}")
    if not is_ours:
        raise FrameRefused("the frame's head is spelled otherwise than `seal` spells it; give what `seal` makes")
    return told


def _quoted(text: str) -> str:
    """The beginning of a text that anybody may have written, fit for a terminal."""
    start = text[:_MOST_QUOTED]
    return start if start.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in start)
