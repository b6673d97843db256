"""JSON values of a file, one by one, each with its line: JSON lines, or one list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from sensorium.errors import AuthorError, Fault, OperatorError

__all__ = ["MOST_LINES", "Told", "read_text", "read_value", "read_values"]

MOST_LINES = 100_000
"""Most samples in a file: each is a question to a language model."""
_MOST_BYTES = 256 * 2**20
_SPACE = re.compile(r"[ \t\r\n]*")


class Told(NamedTuple):
    """A value, and the line that it begins on, counted from 1."""

    line: int
    value: Any


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        AuthorError: It is not there, is too large, or is no UTF-8.
        OperatorError: The disk or a permission keeps it from being read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)  # a device tells no size
        if len(data) > _MOST_BYTES:
            _refuse(path, 0, f"the file has more than {_MOST_BYTES:,} bytes", "take a part of it")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        _refuse(path, 0, "the file is not there", "give the path of one that is")
    except IsADirectoryError:
        _refuse(path, 0, "this is a folder", "give a file")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        _refuse(path, line, f"byte 0x{error.object[error.start]:02x} is not UTF-8", "write the file in UTF-8")
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}; make it readable") from error


def read_value(path: Path) -> Any:
    """The one JSON value of a file.

    Raises:
        AuthorError: It is not there, or is not JSON.
        OperatorError: It cannot be read.
    """
    text = read_text(path)
    start = _after_space(text, 0)
    told, end = _decoded(path, text, start, 1)
    if _after_space(text, end) < len(text):
        _refuse(path, _line(text, end), "something stands behind the JSON value", "give one value")
    return told


def read_values(path: Path) -> Iterator[Told]:
    """The values of a file of JSON lines, or the elements of its one list.

    Raises:
        AuthorError: It is not there, a line is not JSON, or there are more than `MOST_LINES` values.
        OperatorError: It cannot be read.
    """
    text = read_text(path)
    values = _elements(path, text) if text.lstrip()[:1] == "[" else _lines(path, text)
    for number, told in enumerate(values, 1):
        if number > MOST_LINES:
            right = f"at most {MOST_LINES:,} are read; take a part of them"
            _refuse(path, told.line, f"there are more than {MOST_LINES:,} samples", right)
        yield told


def _lines(path: Path, text: str) -> Iterator[Told]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            value, end = _decoded(path, line, _after_space(line, 0), number)
            if _after_space(line, end) < len(line):
                _refuse(path, number, "something stands behind the JSON value", "one value a line")
            yield Told(number, value)


def _elements(path: Path, text: str) -> Iterator[Told]:
    at, line, counted = _after_space(text, text.index("[") + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        value, end = _decoded(path, text, at, line)
        yield Told(line, value)
        at = _after_space(text, end)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
        elif text[at : at + 1] != "]":
            _refuse(path, _line(text, at), "the list is not closed", "write a comma or ] behind an element")
    if _after_space(text, at + 1) < len(text):
        _refuse(path, _line(text, at + 1), "something stands behind the list", "give one list, or one value a line")


def _decoded(path: Path, text: str, at: int, line: int) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, at)
        json.dumps(value, ensure_ascii=False).encode()  # half a character, written as an escape, is no text
    except json.JSONDecodeError as error:
        broken = line + text.count("\n", at, error.pos)
        _refuse(
            path, broken, f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", "write one JSON object a line"
        )
    except (RecursionError, ValueError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        _refuse(path, line, f"this cannot be read: {reason}", "write plain JSON")
    return value, end


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match is not None else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _refuse(path: Path, line: int, found: str, right: str) -> NoReturn:
    raise AuthorError([Fault(str(path), line, 1 if line else 0, found, right)])
