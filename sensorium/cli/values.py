"""Values in a line or two, for people."""

from __future__ import annotations

from sensorium.errors import OperatorError
from sensorium.parts import Audio, Blob, Image, Latent, Masks, Part, Value

__all__ = ["words_of"]

_MOST_CHARS = 300
_MOST_ITEMS = 8


def words_of(value: Value) -> str:
    """What a value says, cut where it is long; media by their files in the store."""
    if isinstance(value, tuple):
        more = f", and {len(value) - _MOST_ITEMS} more" if len(value) > _MOST_ITEMS else ""
        return f"{len(value)} of them: {', '.join(_words(part) for part in value[:_MOST_ITEMS])}{more}"
    return _words(value)


def _words(part: Part | None) -> str:
    match part:
        case None:
            return "(none)"
        case Image() | Audio() | Masks() | Latent():
            return f"{part.kind} {_file(part.blob)}"
        case _:
            text = str(part)
            return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}… ({len(text)} characters)"


def _file(blob: Blob) -> str:
    try:
        return str(blob.path)
    except OperatorError:
        return "that is gone from the store"
