"""What may stand in a value, for every database alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensorium.errors import CallerError

__all__ = ["require_text"]


def require_text(values: Sequence[Any], place: str, *, nul: bool) -> None:
    """Refuses texts that a database would change or choke on.

    Args:
        values: A statement's values.
        place: The database, for people.
        nul: Whether it keeps the character NUL.

    Raises:
        CallerError: A text has half a character, or NUL where that is not kept.
    """
    for value in values:
        if not isinstance(value, str):
            continue
        if not nul and "\0" in value:
            raise CallerError(f"a text with the character NUL cannot be kept in {place}; leave NUL out of it")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"U+{ord(value[error.start]):04X}"
            raise CallerError(
                f"a text with half a character ({half}) cannot be kept in {place}; give it whole"
            ) from error
