"""Text, numbers, flags and JSON from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NoReturn, cast

import numpy as np

from sensorium.errors import CallerError

__all__ = [
    "MOST_JSON_BYTES",
    "MOST_TEXT_BYTES",
    "check_json",
    "check_text",
    "decode_text",
    "flag_from_text",
    "number_from_text",
    "parse_json",
    "take_flag",
    "take_number",
]

MOST_TEXT_BYTES = 1 << 20
MOST_JSON_BYTES = 8 << 20
_MOST_DEPTH = 64
_LEAST_INTEGER, _MOST_INTEGER = -(1 << 63), (1 << 64) - 1
_FLAGS = {"true": True, "false": False}


def decode_text(data: bytes, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """The text in a file's bytes; a byte order mark at its beginning is not part of it.

    Raises:
        CallerError: The bytes are not UTF-8, or hold what text may not.
    """
    try:
        return check_text(data.decode("utf-8-sig"), most_bytes)
    except UnicodeDecodeError as error:
        raise CallerError(
            f"is not UTF-8 (byte {error.start} is {data[error.start]:#04x}); give text in UTF-8"
        ) from error


def check_text(text: str, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """The same text.

    Raises:
        CallerError: It is too long, or holds NUL or half a character.
    """
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise CallerError(
            f"is not Unicode text (character {error.start} is a lone surrogate); give text in UTF-8"
        ) from error
    if size_bytes > most_bytes:
        raise CallerError(f"has {size_bytes:,} bytes of text; the most is {most_bytes:,}")
    if "\0" in text:
        raise CallerError(f"holds a NUL character at {text.index(chr(0))}; give plain text")
    return text


def take_number(value: object) -> float:
    """A finite number.

    Raises:
        CallerError: The value is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise CallerError(f"is {_named(value)}; give a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CallerError(f"is {number}; give a finite number")
    return number


def number_from_text(text: str) -> float:
    """The number that a text writes.

    Raises:
        CallerError: It writes none.
    """
    try:
        return take_number(float(text))
    except ValueError as error:
        raise CallerError(f"is {_named(text)}; give a number, such as 3 or 0.5") from error


def take_flag(value: object) -> bool:
    """A flag.

    Raises:
        CallerError: The value is none.
    """
    if isinstance(value, np.bool_):
        return bool(cast("np.bool_", value))
    if not isinstance(value, bool):
        raise CallerError(f"is {_named(value)}; give True or False")
    return value


def flag_from_text(text: str) -> bool:
    """The flag that a text writes.

    Raises:
        CallerError: It writes none.
    """
    if text not in _FLAGS:
        raise CallerError(f"is {_named(text)}; give true or false")
    return _FLAGS[text]


def parse_json(text: str) -> Any:
    """The JSON value that a text writes. Source: RFC 8259; names within an object must differ.

    Raises:
        CallerError: It writes none, repeats a name, holds NaN or infinity, or nests too deep.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise CallerError(f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg}); mend it") from error
    except RecursionError as error:
        raise CallerError(f"nests deeper than {_MOST_DEPTH}; give flatter JSON") from error
    except ValueError as error:  # an integer of thousands of digits
        raise CallerError("holds an integer that is too long; give numbers of at most 64 bits") from error
    return check_json(value)


def check_json(value: object) -> Any:
    """A JSON value equal to `value`, tuples as lists.

    Raises:
        CallerError: It is none, is too large, or nests too deep.
    """
    made = _json(value, _MOST_DEPTH)
    size_bytes = len(json.dumps(made, ensure_ascii=False).encode())
    if size_bytes > MOST_JSON_BYTES:
        raise CallerError(f"is {size_bytes:,} bytes of JSON; the most is {MOST_JSON_BYTES:,}")
    return made


def _json(value: object, depth: int) -> Any:
    if depth < 0:
        raise CallerError(f"nests deeper than {_MOST_DEPTH}; give flatter JSON")
    match value:
        case None | bool():
            return value
        case str():
            return check_text(value, MOST_JSON_BYTES)
        case Integral():
            return _integer(int(value))
        case Real():
            return take_number(value)
        case list() | tuple():
            return [_json(item, depth - 1) for item in cast("Sequence[object]", value)]
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {_key(key): _json(item, depth - 1) for key, item in items}
        case _:
            raise CallerError(f"holds {_named(value)}; data is what JSON can say")


def _integer(value: int) -> int:
    if not _LEAST_INTEGER <= value <= _MOST_INTEGER:
        raise CallerError("holds an integer that is too long; give numbers of at most 64 bits")
    return value


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise CallerError(f"holds {_named(key)} as a name; names in JSON are text")
    return check_text(key)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CallerError(f"has the name {twice!r} twice in one object; give each once")
    return made


def _constant(text: str) -> NoReturn:
    raise CallerError(f"holds {text}, which is not JSON; give finite numbers")


def _named(value: object) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else f"{value[:37]}…")
    return "nothing" if value is None else f"a {type(value).__name__}"
