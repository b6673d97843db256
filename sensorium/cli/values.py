"""Values in a line or two, for people."""

from __future__ import annotations

from sensorium.errors import OperatorError
from sensorium.parts import Audio, Blob, Image, Latent, Masks, Part, Value

__all__ = ["all_words_of", "words_of"]

_MOST_CHARS = 300
_MOST_ITEMS = 8


def words_of(value: Value) -> str:
    """What a value says, cut where it is long; media by their files in the store."""
    if isinstance(value, tuple):
        more = f", and {len(value) - _MOST_ITEMS} more" if len(value) > _MOST_ITEMS else ""
        return f"{len(value)} of them: {', '.join(_cut(_words(part)) for part in value[:_MOST_ITEMS])}{more}"
    return _cut(_words(value))


def all_words_of(value: Value) -> str:
    """What a value says, all of it, each element of a list on a line of its own; media as `words_of`."""
    return "\n".join(_words(part) for part in value) if isinstance(value, tuple) else _words(value)


def _words(part: Part | None) -> str:
    match part:
        case None:
            return "(none)"
        case Image() | Audio() | Masks() | Latent():
            return f"{part.kind} {_file(part.blob)}"
        case _:
            return str(part)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}… ({len(text)} characters)"


def _file(blob: Blob) -> str:
    try:
        return str(blob.path)
    except OperatorError:
        return "that is gone from the store"
